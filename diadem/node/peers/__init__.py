"""Other nodes as this one knows them: who they are, by which keys, where they are, and how far they are trusted."""
