"""What nodes say to each other: its one form, the outbox, and how it goes and comes, directly and over hubs."""
