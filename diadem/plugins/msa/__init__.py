"""EMSA/MAS spectra (ISO 22029): keywords before the data."""
