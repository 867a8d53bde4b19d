"""The catalogue follows the log."""
