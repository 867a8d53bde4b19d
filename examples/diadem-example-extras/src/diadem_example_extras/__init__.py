"""A DIADEM plugin that adds to maps of cathodoluminescence: `formats.toml` says what, and where."""
