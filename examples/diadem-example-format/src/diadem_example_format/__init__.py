"""A DIADEM plugin for XYF files. `formats.toml` says what there is, and where: it is read without this module."""
