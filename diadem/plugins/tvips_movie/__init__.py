"""TVIPS: movies of the recorder of EM-MENU (.tvips)."""
