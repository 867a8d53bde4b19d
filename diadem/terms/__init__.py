"""What the words of a record mean: the dictionary of its fields."""
