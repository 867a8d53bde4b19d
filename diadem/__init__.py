"""DIADEM: verified archive packages with extended metadata for electron microscopy."""
