"""Carl Zeiss: TIFF files of SmartSEM and of the Orion helium ion microscopes."""
