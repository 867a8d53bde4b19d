"""The package as the user holds it: pack, open, load, restore, verify."""
