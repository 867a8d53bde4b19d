"""What plugin authors and tests use: honest sample files and faults."""
