"""A node that is reached only, or also, through a hub: what it puts down there for others, and picks up for itself."""
