"""RosettaSciIO's readers that no family of ours knows more of, and what several families share of it."""
