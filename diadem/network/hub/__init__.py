"""The hub: what a node carries for two others that cannot reach each other, and how those two ask for it."""
