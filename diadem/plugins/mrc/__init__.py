"""MRC: headers of the file, SerialEM's lists of sections beside it, and Direct Electron's settings."""
