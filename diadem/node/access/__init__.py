"""Who may what with a package: one engine decides, for the command line, the server and transfers alike."""
