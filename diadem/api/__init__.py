"""Composition root: the verbs. Here the plugin manager is asked, and plain values are handed down.

Importing this room imports nothing heavy: each verb imports what it needs when it is called.
"""

from diadem.api.extraction import extract, extract_many
from diadem.api.packages import (
    check_metadata,
    metadata_from_pairs,
    open,  # noqa: A004 - the verb of the field
    pack,
    plan,
    read_plan,
    readable_files,
    scan,
    verify,
)
from diadem.api.tools import Tools, plugins, tools, trying

__all__ = [
    "Tools",
    "check_metadata",
    "extract",
    "extract_many",
    "metadata_from_pairs",
    "open",
    "pack",
    "plan",
    "plugins",
    "read_plan",
    "readable_files",
    "scan",
    "tools",
    "trying",
    "verify",
]
