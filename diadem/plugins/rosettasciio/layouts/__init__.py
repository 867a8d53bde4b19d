"""Where the arrays lie in the formats that store them flat: one small file a format.

Offsets and orders are those that RosettaSciIO's readers use, so that a layout and a reader mean the same array; where
the two could differ a layout returns None.
"""
