"""How a plugin says what a file states: blocks cut out of files, and tables that make fields of their values.

A *block* is a piece of a vendor's metadata: its bytes as they are, and the same as a tree. A *table* is a sequence of
`Rule` and `Derived`. The core looks the keys up, changes units, drops what is no measurement, and writes the evidence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from diadem.hooks.text import quantity

#: A rule's unit where number and unit stand in one text: ``8100 um``.
IN_TEXT: Final = "in the text"

#: A part of a key that stands for several places.
WILD: Final = re.compile(r"(?:^|(?<=/))\*(?=/|$)|\[\](?=/|$)")
#: Status of a text that may mean several times: nothing is stated, and the record says so.
AMBIGUOUS = "ambiguous"
#: A block's tree: nested mappings and lists of plain values.
Tree = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a vendor's metadata.

    Attributes
    ----------
    kind : str
        What it is, in lower case with dashes: ``velox-metadata``. Tables are chosen by it.
    tree : mapping
        The block parsed: nested mappings and lists of texts, numbers, bytes, NumPy values.
    data : bytes
        The block's bytes as in the file, kept in the package. Empty if the block is a whole side file, which the
        package has anyway.
    media_type : str
        Of `data`.
    place : str
        Where it is in the file, as a person would write it: ``Data/Image/<hash>/Metadata``. Keys follow it in locators.
    file : str
        Path of the file, one of those given to the function; "" is the dataset's primary file.
    signals : sequence of int
        Numbers, from 0, of the signals that it describes, in the order of the reader; empty is the whole dataset.
    byte_range : (int, int), optional
        First byte, and the one after the last, if `data` is one piece of the file.
    """

    kind: str
    tree: Tree
    data: bytes = b""
    media_type: str = "application/octet-stream"
    place: str = ""
    file: str = ""
    signals: Sequence[int] = ()
    byte_range: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Extension:
    """Metadata of a dataset that no field holds, under a name that a community owns; it is yielded beside blocks.

    If a plugin offers a JSON Schema for the namespace and version (`SchemaOffer`), the core checks it: what is valid is
    marked so, what violates its schema is left out and named in an issue. Without a schema it is kept unchecked.

    Attributes
    ----------
    namespace : str
        In reverse domain order, lower case: ``org.example.cl``.
    version : str
        Of the schema: ``1.0.0``.
    data : object
        Plain JSON: mappings, lists, texts, finite numbers, true, false, null. What is unknown is left out.
    """

    namespace: str
    version: str
    data: Any


@dataclass(frozen=True, slots=True)
class Rule:
    """One value of a block that is a field.

    Zero, empty texts, and values that the field cannot hold are dropped: what is unknown is left out.

    Attributes
    ----------
    field : str
        Key of the record's field: ``beam.acceleration_voltage``.
    key : str
        Path in the tree, parts joined by ``/``; names may hold ``/`` themselves; a number is a place in a list.
    unit : str
        Of the file's number (``kV``, ``um``, ``deg``; see `diadem.terms.units`); "" for texts and bare numbers;
        `IN_TEXT` where it follows the number in the same text: one without a unit is dropped.
    read : callable, optional
        Turns the raw value into the number in `unit`, the text or the list; None or an exception drops it.
    drop : sequence
        Raw values that mean "not measured", besides zero and "" where the field's schema refuses them anyway.
    when : callable, optional
        Called with the block's tree; the rule counts only if it returns true.
    unit_key : str
        Path of a text that names the unit; takes precedence over `unit`. If it is not understood, the value is dropped.
    cite : str
        How unit and meaning are proven: a file and what it is checked against, or a specification.
    status : str
        As in `Found`.
    """

    field: str
    key: str
    unit: str = ""
    read: Callable[[Any], Any] | None = None
    drop: Sequence[Any] = ()
    when: Callable[[Tree], bool] | None = None
    unit_key: str = ""
    cite: str = ""
    status: str = ""

    @property
    def name(self) -> str:
        """What it is called where outcomes are told: its field."""
        return self.field

    @property
    def keys(self) -> Sequence[str]:
        """What it looks at."""
        return (self.key,)

    def find(self, tree: Tree) -> Iterator[Found]:
        """Find the value, or nothing.

        Raises
        ------
        Dropped
            There is something that is not a measurement.
        Exception
            What `when` or `read` raises.
        """
        raw = look_up(tree, self.key)
        if raw is None:
            return
        if raw in self.drop:
            raise Dropped(f"{raw!r} means that it was not measured")
        if self.when is not None and not self.when(tree):
            raise Dropped("its condition is not met")
        value, unit = raw, self.unit
        if unit == IN_TEXT:
            split = quantity(str(raw))
            if split is None or not split[1]:
                raise Dropped(f"{raw!r} is not a number with a unit")
            value, unit = split
        if self.unit_key and (written := look_up(tree, self.unit_key)) is not None:
            unit = str(written)
        value = self.read(value) if self.read is not None else value
        if value is None or value in self.drop:
            raise Dropped(f"{raw!r} says nothing about it")
        yield Found(self.field, value, self.key, raw, unit, self.status)


@dataclass(frozen=True, slots=True)
class Found:
    """One value that a `Derived` rule has found.

    Attributes
    ----------
    field : str
        Key of the record's field.
    value : object
        Number in `unit`, text or list.
    key : str
        Path, or paths joined by `` + ``, in the tree.
    raw : object
        What stands there.
    unit : str
        As in `Rule`.
    status : str
        ``stated``, ``converted``, ``derived`` or ``assumed``; "" is decided by the unit. `AMBIGUOUS` where `value`
        lists what the text may mean.
    offset_status : str
        Of times: ``known``, ``derived``, ``assumed``, ``unknown``.
    """

    field: str
    value: Any
    key: str
    raw: Any
    unit: str = ""
    status: str = ""
    offset_status: str = ""


@dataclass(frozen=True, slots=True)
class Derived:
    """Fields that need several values of a block together, such as a time.

    Attributes
    ----------
    name : str
        Of the rule: ``acquisition-time``.
    read : callable
        Turns the block's tree into `Found` values; an exception gives none.
    cite : str
        As in `Rule`.
    keys : sequence of str
        The keys it reads, shown to authors who ask why it found nothing.
    """

    name: str
    read: Callable[[Tree], Iterable[Found]]
    cite: str = ""
    keys: Sequence[str] = ()

    def find(self, tree: Tree) -> Iterable[Found]:
        """What `read` finds."""
        return self.read(tree)


Table = Sequence[Rule | Derived]


class Dropped(Exception):
    """There is a value, but it is not taken; the text says why."""


def look_up(tree: Any, key: str) -> Any:
    """Return the value at a path such as ``Stage/Stage X``, or None.

    Parameters
    ----------
    tree : object
        Nested mappings and lists.
    key : str
        Parts joined by ``/``. A part may contain ``/`` itself: longer names are tried after shorter ones.
    """
    if not key:
        return tree
    if isinstance(tree, Sequence) and not isinstance(tree, (str, bytes)):
        head, _, rest = key.partition("/")
        return look_up(tree[int(head)], rest) if head.isdecimal() and int(head) < len(tree) else None
    if not isinstance(tree, Mapping):
        return None
    if key in tree:
        return tree[key]
    end = key.find("/")
    while end >= 0:
        if key[:end] in tree:
            found = look_up(tree[key[:end]], key[end + 1 :])
            if found is not None:
                return found
        end = key.find("/", end + 1)
    return None


def places_of(tree: Tree, key: str) -> Iterator[str]:
    """Keys without ``*`` and ``[]``: each section or item of what is there; each item of a list, or the one thing."""
    wild = WILD.search(key)
    if wild is None:
        yield key
        return
    before, behind = key[: wild.start()], key[wild.end() :]
    there = look_up(tree, before.rstrip("/"))
    if wild[0] == "[]" and isinstance(there, Mapping):
        yield from places_of(tree, before + behind)
        return
    inner = before if wild[0] == "*" else f"{before}/"
    items: Iterable[tuple[Any, Any]] = there.items() if isinstance(there, Mapping) else ()
    for name, item in enumerate(there) if isinstance(there, list) else items:
        if isinstance(item, (Mapping, list)):
            yield from places_of(tree, f"{inner}{name}{behind}")
