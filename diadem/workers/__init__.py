"""Work given to others: processes of this machine, and executors of other kinds."""
