"""What is given back and given away: files, sessions, exports."""
