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
class Group:
    """Files that make one dataset, told by their names alone.

    Patterns are matched without regard to case. ``{stem}`` stands for what the primary's pattern captured, and stands
    first; ``*``, ``?`` and ``[…]`` are as in fnmatch; ``Folder/**`` is everything below a folder beside the primary.

    Attributes
    ----------
    primary : str
        Pattern of the file handed to the reader: ``{stem}_master.h5``.
    parts : sequence of str
        Patterns of files that hold data. A pattern without ``{stem}`` counts only where the primary is the one of its
        group in the folder, so that no primary takes another's files.
    sidecars : sequence of str
        Patterns of files that describe the data.
    required : bool
        Whether a primary without any part is incomplete.
    """

    primary: str
    parts: Sequence[str] = ()
    sidecars: Sequence[str] = ()
    required: bool = False


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
        Keyword arguments for the reader; JSON values.
    groups : sequence of Group
        Sets of files that are one dataset, where `sidecars` is too plain.
    folders : sequence of str
        Endings of folders that are one dataset, with the dot, lower case: ``(".zspy",)``. The reader gets the folder.
    probe : str
        ``module:function`` that looks into a file whose suffix several formats share, called in the worker as
        ``function(path)`` before the reader; false means "not mine". "" where suffix and magic suffice.
    priority : int
        Higher is tried first when several offers match.
    describe : str
        ``module:function`` that says what signals the file holds without decoding them, called like `load` when only
        metadata is wanted; `data` may be anything with `shape` and `dtype`. Where it fails, `load` is called. "" where
        `load` is quick.
    """

    name: str
    suffixes: Sequence[str]
    load: str
    magic: Sequence[Magic] = ()
    sidecars: Sequence[str] = ()
    layout: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    priority: int = 0
    groups: Sequence[Group] = ()
    folders: Sequence[str] = ()
    probe: str = ""
    describe: str = ""

    def __post_init__(self) -> None:
        """Refuse a descriptor that cannot work."""
        _require_target(f"reader offer '{self.name}': load", self.load)
        for what in ("probe", "layout", "describe"):
            if target := getattr(self, what):
                _require_target(f"reader offer '{self.name}': {what}", target)
        if bad := [
            suffix
            for suffix in (*self.suffixes, *self.folders)
            if not suffix.startswith(".") or suffix != suffix.lower()
        ]:
            raise PluginError(f"reader offer '{self.name}': suffixes are lower case and start with a dot, not {bad}")


@dataclass(frozen=True, slots=True)
class FieldsOffer:
    """Metadata of one or several formats: where their blocks are, and tables that make fields of them.

    Tables add assertions under the plugin's own name; they never overwrite another's.

    Attributes
    ----------
    name : str
        Names the tables in the evidence: ``velox``.
    formats : sequence of str
        Names of the readers' formats that it is asked for; ``*`` is all.
    tables : mapping of str to str
        Kind of block to ``module:NAME`` of a sequence of `Rule` and `Derived` (see `diadem.hooks.fields`). The trees of
        RosettaSciIO's readers (`original_metadata`) are blocks of the kind ``rosettasciio``.
    blocks : str
        ``module:function`` that cuts blocks out of a dataset's files, called in the worker as ``function(path, files)``
        with the path of the primary file and those of all files, and returning `Block` objects. "" where the tables are
        for blocks of others.
    whole : bool
        Whether the tables say all that can be said: where a block is found, the values that the reader has normalised
        itself are not asked for.
    """

    name: str
    formats: Sequence[str]
    tables: Mapping[str, str]
    blocks: str = ""
    whole: bool = False

    def __post_init__(self) -> None:
        """Refuse a descriptor that cannot work."""
        for kind, target in self.tables.items():
            _require_target(f"fields offer '{self.name}': the table for '{kind}'", target)
        if self.blocks:
            _require_target(f"fields offer '{self.name}': blocks", self.blocks)


def _require_target(what: str, target: str) -> None:
    if not _TARGET.match(target):
        raise PluginError(f"{what} must be 'module:name', not '{target}'")
