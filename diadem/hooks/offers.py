"""What plugins offer: frozen, typed descriptors. Nothing live is handed to a plugin."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from diadem.errors import PluginError

_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*\Z")


@dataclass(frozen=True, slots=True)
class Magic:
    """Bytes that a format has at a fixed place."""

    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class ReaderOffer:
    """A reader of one instrument format.

    Attributes
    ----------
    name : str
        The format's name, in lower case with dashes: ``digitalmicrograph``.
    suffixes : sequence of str
        File name endings with the dot, lower case; several dots are allowed: ``(".dm3", ".dm4")``.
    load : str
        ``module:function`` of the reader, imported in the worker only. It is called as ``function(path, lazy=True)``
        and returns a list of RosettaSciIO signal dictionaries (data, axes, metadata, original_metadata, mapping).
    magic : sequence of Magic
        Any one must match; empty means that the suffix alone decides.
    sidecars : sequence of str
        Patterns of files that belong to the primary: ``{stem}.hdr`` or ``{stem}_data_*.h5``, wildcards as in fnmatch.
    layout : str
        ``module:function`` that tells where the array's bytes are, or "" (see `diadem.archive.loading`).
    options : mapping
        Keyword arguments for the reader.
    priority : int
        Higher is tried first when several offers match.
    """

    name: str
    suffixes: Sequence[str]
    load: str
    magic: Sequence[Magic] = ()
    sidecars: Sequence[str] = ()
    layout: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    priority: int = 0

    def __post_init__(self) -> None:
        """Refuse a descriptor that cannot work."""
        if not _TARGET.match(self.load):
            raise PluginError(f"reader offer '{self.name}': load must be 'module:function', not '{self.load}'")
        if bad := [suffix for suffix in self.suffixes if not suffix.startswith(".") or suffix != suffix.lower()]:
            raise PluginError(f"reader offer '{self.name}': suffixes are lower case and start with a dot, not {bad}")
