"""What nodes say to each other: requests and their handlers, the client, and what is under way between two nodes."""
