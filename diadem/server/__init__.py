"""The listener: HTTP on one side, the handlers of the transfer room on the other. Needs the extra ``server``."""
