"""What the record's words mean: its fields, units and dates."""
