"""Exif data of pictures: maker, program, time, and the field of Renishaw's white-light pictures."""
