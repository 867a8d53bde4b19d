"""Services: a node's watcher, server, scrub and repair, started by the operating system for one account."""
