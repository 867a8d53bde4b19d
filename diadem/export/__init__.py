"""What leaves for people without DIADEM: pages, ZIP files, names that any system can hold, copies without people."""
