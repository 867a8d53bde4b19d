"""The policy: read from text, judged against the state of an archive. Pure: opens no file, store or database."""
