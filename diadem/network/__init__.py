"""Between nodes: what they say to each other and who answers it, the client, and what is under way."""
