"""A node as somebody works with it from elsewhere: asked over the network, and believed only what it proves."""
