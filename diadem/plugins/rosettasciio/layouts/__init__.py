"""Where the arrays lie in formats that are not opened by an `open` yet."""
