"""How a package comes in: a plan of its files, these taken and read, a record written, and all of it sealed."""
