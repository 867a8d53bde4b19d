"""Gatan DigitalMicrograph (dm3, dm4): the whole tag directory kept, and what its tags state."""
