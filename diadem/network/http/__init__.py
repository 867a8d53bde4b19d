"""The listener: HTTP on one side, the handlers of the network room on the other. Needs the extra ``server``."""
