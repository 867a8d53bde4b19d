"""Other nodes as this one knows them: who they are, by which keys, where they are found, and how far they are trusted."""
