"""The contract with plugin authors: hook specifications, frozen offers, and the plugin manager."""
