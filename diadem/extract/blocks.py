"""A dataset's vendor blocks: cut by those who know the format, read through tables, kept whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from diadem.errors import DiademError
from diadem.extract.assertions import Statement, Value
from diadem.extract.extensions import plain_extension
from diadem.extract.extraction import issue
from diadem.extract.fault_text import fault_text
from diadem.extract.makers import maker
from diadem.extract.tables import Outcome, apply, for_signals
from diadem.hooks.extensions import Extension
from diadem.hooks.fields import Block
from diadem.hooks.formats import CutShort
from diadem.hooks.tables import table
from diadem.hooks.targets import target
from diadem.model.vendor import TREE
from diadem.serialization import typed_json

#: Kind of the blocks that hold what a reader of RosettaSciIO calls `original_metadata`.
READER_TREE = "rosettasciio"
#: Bytes of one block, and of all blocks of a dataset, that are kept; the file itself has the rest.
MAX_BLOCK = 8 << 20
MAX_BLOCKS = 64 << 20
#: Blocks of a dataset that are looked at.
MAX_COUNT = 4096
#: Rules of which it is told what became of them.
MOST_OUTCOMES = 20_000


@dataclass(slots=True)
class Cut:
    """The blocks of a dataset, and what became of cutting them.

    Attributes
    ----------
    offers : sequence of mapping
        Blocks and tables that plugins offer for the format.
    blocks : list of Block
        Vendor blocks.
    trees : list of Block
        What the reader calls `original_metadata`, one for each signal.
    extensions : list of dict
        ``namespace, version, data, by`` each.
    issues : list of dict
        Plugins that failed.
    short : list of CutShort
        Files that ended before their blocks did.
    outcomes : list of (str, Block, Outcome)
        What became of each rule that `statements` has applied, behind its table's name and its block.
    tell : callable
        Told of kind and name of what runs now.
    names : frozenset of str
        What the dataset's files are called, with and without their endings, in lower case.
    """

    offers: Sequence[Mapping[str, Any]]
    blocks: list[Block] = field(default_factory=list)
    trees: list[Block] = field(default_factory=list)
    extensions: list[dict[str, Any]] = field(default_factory=list)
    issues: list[dict[str, Any]] = field(default_factory=list)
    short: list[CutShort] = field(default_factory=list)
    outcomes: list[tuple[str, Block, Outcome]] = field(default_factory=list)
    tell: Callable[[str, str], None] = lambda _kind, _name: None
    names: frozenset[str] = frozenset()

    def add_tree(self, tree: Any, reader: str, signal: int) -> None:
        """Keep a reader's own tree of one signal."""
        if isinstance(tree, Mapping) and tree:
            self.trees.append(Block(READER_TREE, tree, place=reader, signals=(signal,)))

    def statements(self, names: Sequence[str]) -> tuple[list[Statement], list[dict[str, Any]]]:
        """Apply every table to the blocks of its kind.

        Parameters
        ----------
        names : sequence of str
            Ids of the signals, in the order of the reader.
        """
        statements: list[tuple[str, Statement]] = []
        issues: list[dict[str, Any]] = []
        for offer in self.offers:
            self.tell("fields", offer["name"])
            for block in [*self.blocks, *self.trees]:
                dotted = offer["tables"].get(block.kind)
                if dotted is None or not block.tree:  # bytes alone say nothing
                    continue
                try:
                    applied = apply(table(dotted), block, offer["name"])
                except Exception as error:  # a plugin that cannot be imported, or whose table is none
                    issues.append(_fault(offer, error))
                    break
                issues += [found for found in applied.issues if found not in issues]
                self.outcomes += [(offer["name"], block, outcome) for outcome in applied.outcomes]
                values = [one for one in applied.values if not self._is_own_name(one)]
                kind = block.place if block.kind == READER_TREE else block.kind
                statements.append((kind, Statement(for_signals(block, names), offer["by"], values)))
        return [*(stated for _, stated in statements), *maker(statements)], issues

    def _is_own_name(self, value: Value) -> bool:
        """Whether a sample is called as its file: then a program has filled the field in."""
        return value.field == "sample.name" and str(value.leaf.value).strip().casefold() in self.names

    def told(self) -> list[dict[str, str]]:
        """The outcomes as JSON: ``table, block, place, rule, keys, verdict, why`` each."""
        return [
            {"table": name, "block": block.kind, "place": block.place, **asdict(outcome), "why": outcome.why[:500]}
            for name, block, outcome in self.outcomes[:MOST_OUTCOMES]
        ]


def cut(
    path: str,
    job: Mapping[str, Any],
    format_: str,
    tell: Callable[[str, str], None],
    opened: Iterable[Block | Extension] = (),
) -> Cut:
    """Take the blocks that the format itself gives, and have every plugin that knows it cut more.

    Parameters
    ----------
    path : str
        Of the file or folder that names the dataset.
    job : mapping
        See `diadem.extract.reading.read_dataset`.
    format_ : str
        Name of the reader.
    tell : callable
        Told of kind and name of what runs now.
    opened : iterable of Block or Extension
        What the format's `open` gives.

    Returns
    -------
    Cut
        A plugin that fails is an issue; the blocks that it has cut until then are kept.
    """
    offers = [offer for offer in job.get("fields", ()) if "*" in offer["formats"] or format_ in offer["formats"]]
    files = [f"{job['root']}/{name}" for name in job["files"]]
    names = frozenset(name.casefold() for file in map(Path, files) for name in (file.name, file.stem))
    found = Cut(offers, tell=tell, names=names)
    own = next((offer for offer in job.get("offers", ()) if offer["name"] == format_), {"name": format_, "by": {}})
    _take(opened, own, found)
    for offer in offers:
        if offer["blocks"]:
            tell("fields", offer["name"])
            _take(_cut_by(offer["blocks"], path, files), offer, found)
    return found


def _cut_by(dotted: str, path: str, files: Sequence[str]) -> Iterator[Block | Extension]:
    yield from target(dotted)(path, files)


def _take(items: Iterable[Block | Extension], offer: Mapping[str, Any], found: Cut) -> None:
    """Take what somebody cuts out of a file, until that fails."""
    try:
        for number, item in enumerate(items):
            if number >= MAX_COUNT:
                found.issues.append(issue("many-blocks", f"the first {MAX_COUNT} blocks of metadata are looked at"))
                return
            if is_sound(item):
                found.blocks.append(item)
                continue
            try:
                found.extensions.append(plain_extension(item, offer["by"], found.extensions))
            except (ValueError, DiademError) as error:  # the plugin's other blocks are none the worse
                found.issues.append(_fault(offer, error))
    except CutShort as short:
        found.short.append(short)
    except Exception as error:  # a damaged file, or the plugin's own fault
        found.issues.append(_fault(offer, error))


def _fault(offer: Mapping[str, Any], error: Exception) -> dict[str, Any]:
    message = f"the metadata reader '{offer['name']}' cannot read this file: {fault_text(error)}"
    return issue("metadata-unread", message, reader=offer["name"], exception=type(error).__name__)


def is_sound(block: object) -> TypeGuard[Block]:
    """Whether a block's parts are of the types that they should be."""
    return (
        isinstance(block, Block)
        and isinstance(block.tree, Mapping)
        and isinstance(block.data, bytes | bytearray | memoryview)
        and all(isinstance(text, str) for text in (block.kind, block.media_type, block.place, block.file))
        and bool(block.media_type)
        and all(isinstance(number, int) for number in block.signals)
    )


def to_keep(found: Cut, ids: Mapping[str, str]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What is kept: bytes of blocks, and their trees as typed JSON; without blocks the reader's trees.

    Returns
    -------
    blocks, issues : list of dict
        ``path, media_type, data, file, byte_range`` each; an issue for each block that is too large.
    """
    kept: list[dict[str, Any]] = []
    issues: list[dict[str, Any]] = []
    total = 0
    for block in found.blocks or found.trees:
        for part in _parts(block, ids):
            total += len(part["data"])
            if len(part["data"]) > MAX_BLOCK or total > MAX_BLOCKS:
                message = f"'{part['path']}' has {len(part['data'])} bytes; it is kept in the file only"
                issues.append(issue("large-block", message, severity="info"))
                total -= len(part["data"])
                continue
            kept.append(part)
    return kept, issues


def _parts(block: Block, ids: Mapping[str, str]) -> Iterable[dict[str, Any]]:
    path = block.place or block.kind
    common = {"file": ids.get(block.file, "f1")}
    if block.data:
        part = {"path": path, "media_type": block.media_type, "data": bytes(block.data), **common}
        yield {**part, "byte_range": list(block.byte_range)} if block.byte_range else part
    if block.tree:
        yield {"path": path, "media_type": TREE, "data": typed_json.encode(block.tree), **common}
