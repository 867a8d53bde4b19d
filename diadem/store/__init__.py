"""The first room that touches files: source trees, local and object stores, staging and publishing."""
