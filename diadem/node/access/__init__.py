"""Who may what: granting, and who asks. `policy/access.py` decides, for command line, server and transfers alike."""
