"""JSON and schemas: the record's form on disk, and what may be in it."""
