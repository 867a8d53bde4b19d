"""What goes by carriers: sealed objects that one node puts down and another picks up."""
