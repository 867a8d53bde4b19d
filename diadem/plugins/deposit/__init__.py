"""What a data repository wants of a package: its description by DataCite."""
