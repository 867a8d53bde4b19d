"""What a reader's exception says, for a person: where Python's words mean little, what they mean comes first."""

from __future__ import annotations

import struct

#: Characters of an exception that are told.
_LONGEST = 300


def fault_text(error: Exception) -> str:
    """One line: name and words of the exception, and before them what they mean where a file simply ends too early."""
    told = f"{type(error).__name__}: {' '.join(str(error).split())[:_LONGEST]}"
    ends = isinstance(error, EOFError) or (isinstance(error, struct.error) and "requires a buffer" in str(error))
    return f"it ends earlier than it should, or is damaged ({told})" if ends else told
