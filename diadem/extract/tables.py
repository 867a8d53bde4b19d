"""A dataset's vendor blocks: cut by those who know the format, read through tables, kept whole.

Tables are applied so: keys looked up, units changed, what is no measurement dropped, evidence noted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeGuard

from diadem.errors import DiademError
from diadem.extract.assertions import Statement, Value, clean, number_of
from diadem.extract.axes import tidy
from diadem.extract.extraction import fault_text, issue
from diadem.hooks.cuts import cutter
from diadem.hooks.fields import AMBIGUOUS, Block, Derived, Dropped, Extension, Found, Rule, Table
from diadem.hooks.formats import CutShort
from diadem.hooks.manifest import document, several
from diadem.hooks.offers import NAMESPACE
from diadem.hooks.tables import table
from diadem.model.canonical import depth_exceeds
from diadem.model.vendor import TREE
from diadem.serialization import typed_json
from diadem.serialization.strict_json import compact, parse
from diadem.terms import fields
from diadem.terms.units import convert

#: Kind of the blocks that hold what a reader of RosettaSciIO calls `original_metadata`.
READER_TREE = "rosettasciio"
#: Bytes of one block, and of all blocks of a dataset, that are kept; the file itself has the rest.
MAX_BLOCK = 8 << 20
MAX_BLOCKS = 64 << 20
#: Blocks of a dataset that are looked at.
MAX_COUNT = 4096
#: Rules of which it is told what became of them.
MOST_OUTCOMES = 20_000
#: Bytes of JSON that one extension may have; namespaces of a dataset; levels of objects and lists in one another.
MAX_EXTENSION: Final = 256 << 10
_MOST_EXTENSIONS: Final = 16
_DEEPEST: Final = 32


@dataclass(slots=True)
class Cut:
    """The blocks of a dataset, what plugins offer for its format, and what became of cutting them.

    `trees` is what the reader calls `original_metadata`, one for each signal; `short` are files that ended before their
    blocks did; `outcomes` tell of each rule that `statements` has applied, behind its table's name and its block;
    `names` is what the dataset's files are called, with and without their endings, in lower case.
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
        """Apply every table to the blocks of its kind; `names` are ids of the signals, in the order of the reader."""
        statements: list[_Applied] = []
        issues: list[dict[str, Any]] = []
        for offer in self.offers:
            self.tell("fields", offer["name"])
            for block in [*self.blocks, *self.trees]:
                dotted = offer["tables"].get(block.kind)
                if dotted is None or not block.tree:  # bytes alone say nothing
                    continue
                kind = block.place if block.kind == READER_TREE else block.kind
                try:
                    applied, made_by = apply(table(dotted), block, offer["name"]), _maker_of(dotted, kind)
                except Exception as error:  # a plugin that cannot be imported, or whose table is none
                    issues.append(_fault(offer, error))
                    break
                issues += [found for found in applied.issues if found not in issues]
                self.outcomes += [(offer["name"], block, outcome) for outcome in applied.outcomes]
                values = [one for one in applied.values if not self._is_own_name(one)]
                signals = tuple(names[number] for number in block.signals if 0 <= number < len(names))
                statements.append(_Applied(kind, made_by, Statement(signals, offer["by"], values)))
        return [*(one.statement for one in statements), *_makers(statements)], issues

    def _is_own_name(self, value: Value) -> bool:
        """Whether a sample is called as its file: then a program has filled the field in."""
        return value.field == "sample.name" and str(value.value).strip().casefold() in self.names

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
    yield from cutter(dotted)(path, files)


def _take(items: Iterable[Block | Extension], offer: Mapping[str, Any], found: Cut) -> None:
    """Take what somebody cuts out of a file, until that fails."""
    try:
        for number, item in enumerate(items):
            if number >= MAX_COUNT:
                found.issues.append(issue("many-blocks", f"the first {MAX_COUNT} blocks of metadata are looked at"))
                return
            if _is_sound(item):
                found.blocks.append(item)
                continue
            try:
                found.extensions.append(_plain_extension(item, offer["by"], found.extensions))
            except (ValueError, DiademError) as error:  # the plugin's other blocks are none the worse
                found.issues.append(_fault(offer, error))
    except CutShort as short:
        found.short.append(short)
    except Exception as error:  # a damaged file, or the plugin's own fault
        found.issues.append(_fault(offer, error))


def _fault(offer: Mapping[str, Any], error: Exception) -> dict[str, Any]:
    message = f"the metadata reader '{offer['name']}' cannot read this file: {fault_text(error)}"
    return issue("metadata-unread", message, reader=offer["name"], exception=type(error).__name__)


def _is_sound(block: object) -> TypeGuard[Block]:
    """Whether a block's parts are of the types that they should be."""
    return (
        isinstance(block, Block)
        and isinstance(block.tree, Mapping)
        and isinstance(block.data, bytes | bytearray | memoryview)
        and all(isinstance(text, str) for text in (block.kind, block.media_type, block.place, block.file))
        and bool(block.media_type)
        and all(isinstance(number, int) for number in block.signals)
    )


def _plain_extension(item: object, by: Mapping[str, str], others: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """An extension as plain JSON: ``namespace, version, data, by``.

    Raises `ValueError` or `DocumentError`, which say why it cannot stand in a record beside the `others`.
    """
    if not isinstance(item, Extension):
        raise ValueError(f"{repr(item)[:80]} is neither a Block of sound parts nor an Extension")  # noqa: TRY004
    if not isinstance(item.namespace, str) or not NAMESPACE.fullmatch(item.namespace):
        raise ValueError(f"{item.namespace!r} is not the namespace of an extension; write it as org.example.cl")
    if not isinstance(item.version, str) or not item.version.strip() or len(item.version) > 64:
        raise ValueError(f"the extension '{item.namespace}' has no version")
    if any(other["namespace"] == item.namespace for other in others):
        raise ValueError(f"the dataset has an extension '{item.namespace}' already")
    if len(others) >= _MOST_EXTENSIONS:
        raise ValueError(f"a dataset has at most {_MOST_EXTENSIONS} extensions")
    written = compact(item.data, where=item.namespace)
    if len(written) > MAX_EXTENSION:
        raise ValueError(f"the extension '{item.namespace}' has {len(written)} bytes, more than {MAX_EXTENSION}")
    data = parse(written, where=item.namespace, next="")
    if depth_exceeds(data, _DEEPEST):
        raise ValueError(f"the extension '{item.namespace}' is nested more than {_DEEPEST} deep")
    return {"namespace": item.namespace, "version": item.version, "data": data, "by": dict(by)}


def to_keep(found: Cut, ids: Mapping[str, str]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What is kept: bytes of blocks, and their trees as typed JSON, without blocks the reader's trees; and issues."""
    kept: list[dict[str, Any]] = []
    issues: list[dict[str, Any]] = []
    total = 0
    for block in found.blocks or found.trees:
        about = {"path": block.place or block.kind, "file": ids.get(block.file, "f1")}
        parts = []
        if block.data:
            span = {"byte_range": list(block.byte_range)} if block.byte_range else {}
            parts.append({**about, "media_type": block.media_type, "data": bytes(block.data), **span})
        if block.tree:
            parts.append({**about, "media_type": TREE, "data": typed_json.encode(block.tree)})
        for part in parts:
            if (size := len(part["data"])) > min(MAX_BLOCK, MAX_BLOCKS - total):
                message = f"'{part['path']}' has {size} bytes; it is kept in the file only"
                issues.append(issue("large-block", message, severity="info"))
                continue
            total += size
            kept.append(part)
    return kept, issues


# -- tables --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one rule: ``found``, ``nothing there``, ``dropped`` or ``raised``, and why.

    `rule` is the field, or the name of a rule that finds several; `keys` where it looks.
    """

    rule: str
    keys: str
    verdict: str
    why: str = ""


#: Programs, which some write where the operator is to stand; a maker's bare name may be a login.
_PROGRAMS = re.compile(
    r"(bruker (nano|axs)|edax (team|genesis)|oxford instruments|thermo (fisher|electron|noran)|noran system|hyperspy"
    r"|digitalmicrograph|esprit|aztec)\b.*",
    re.IGNORECASE,
)


def _is_placeholder(field_: str, value: Any, block: Block) -> bool:
    """Whether a program has written what stands there, because nobody measured or said anything.

    A magnification of exactly 1 is that of a column that reports none; one that is the resolution for printing is dots
    in an inch.
    """
    if field_ == "optics.magnification":
        return bool(value in (1, block.tree.get("XResolution")))
    return field_ == "person.operator" and _PROGRAMS.fullmatch(str(value).strip()) is not None


@dataclass(slots=True)
class Applied:
    """What tables made of one block: values, issues for numbers that cannot be, and what became of each rule."""

    values: list[Value] = field(default_factory=list)
    issues: list[dict[str, Any]] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)


def apply(table: Table, block: Block, name: str) -> Applied:
    """Apply a table to a block; `name` is the table's, for the evidence.

    A value that its field cannot hold is an issue, unless it is zero or empty: then nobody measured.
    """
    applied = Applied()
    for rule in table:
        applied.outcomes.append(_outcome(rule, block, name, applied))
    return applied


def _outcome(rule: Rule | Derived, block: Block, name: str, applied: Applied) -> Outcome:
    """Apply one rule; its own exceptions give nothing, and are told to who asks."""
    of, keys, before = rule.name, " + ".join(rule.keys), len(applied.values)
    try:
        found = list(rule.find(block.tree))
        dropped = list(filter(None, (_admit(one, f"{name}/{of}", block, applied) for one in found)))
    except Dropped as why:
        return Outcome(of, keys, "dropped", str(why))
    except Exception as error:  # a table meets values that its author has not seen; the block is kept whole beside it
        del applied.values[before:]
        return Outcome(of, keys, "raised", f"{type(error).__name__}: {error}")
    if not found:
        return Outcome(of, keys, "nothing there")
    taken = [f"{one.field} = {one.value} {one.unit.strip('1')}".rstrip() for one in applied.values[before:]]
    return Outcome(of, keys, "found" if taken else "dropped", "; ".join([*taken, *dropped]))


def _admit(found: Found, rule: str, block: Block, applied: Applied) -> str:
    """Bring a value into the form of its field; in words why it has none, or ""."""
    if not fields.is_field(found.field):
        table = rule.partition("/")[0]
        message = f"the table '{table}' names a field that does not exist: {found.field}"
        applied.issues.append(issue("plugin-fault", message))
        return message
    if found.status == AMBIGUOUS:
        message = f"{found.key} says {found.raw!r}, which can be {found.value}; nothing in the file decides"
        applied.issues.append(issue("ambiguous-date", message, severity="info"))
        return message
    field = fields.field(found.field)
    wanted = field.unit
    value: Any
    status = found.status
    if wanted:
        number = number_of(found.value)
        converted = None if number is None else convert(number, found.unit or "1", wanted)
        if converted is None:
            return f"{found.value!r} {found.unit}".rstrip() + f" cannot be given in {wanted}"
        value = tidy(converted)
        if field.type == "integer" and value == int(value):
            value = int(value)
        status = status or ("stated" if number_of(found.raw) == value else "converted")
    else:
        value = _text_of(found.value) if field.type == "text" else found.value
        value = clean(value) if isinstance(value, str) else value
        status = status or "stated"
    locator = f"{block.place}/{found.key}" if block.place else found.key
    if not field.admits(value):
        message = f"{locator} says {found.raw!r} {found.unit}".rstrip()
        message = f"{message}; that cannot be the {field.label.lower()}"
        if value not in (0, "", []):
            applied.issues.append(issue("implausible", message))
        return message
    if _is_placeholder(found.field, value, block):
        return f"{locator} says {found.raw!r}, which programs write when no value is known"
    said = found.unit if wanted and wanted != "1" else ""
    of = (wanted, said or None, rule, found.offset_status, block.file)
    applied.values.append(Value(found.field, value, status, locator, found.raw, *of))
    return ""


def _text_of(value: Any) -> Any:
    """A number as text, where a text is meant: readers make numbers of what looks like one. Zero says nothing."""
    plain = value.item() if getattr(value, "ndim", None) == 0 else value  # a scalar of NumPy
    if isinstance(plain, bool) or not isinstance(plain, int | float) or not plain:
        return plain
    return str(int(plain)) if plain == int(plain) else str(plain)


# -- who made the instrument ---------------------------------------------------------------------------------------
#
# Nothing is guessed: a format of a camera, of a detector or of a program that runs on anybody's microscope (Gatan,
# EDAX, Bruker, TVIPS, Delmic, NanoMEGAS, SerialEM …) says nothing of it, and what a file states goes before.

_BY: Final = {"plugin": "makers", "version": "1"}


class _Applied(NamedTuple):
    """What a table says of blocks of a kind, or of a reader; `maker` is what the table's family says of theirs."""

    kind: str
    maker: Mapping[str, Any]
    statement: Statement


def _maker_of(dotted: str, kind: str) -> Mapping[str, Any]:
    """The `[[maker]]` of a table's family for blocks of a kind, or for those that the table was made for."""
    package, _, own = dotted.partition("/")
    family = document(package.partition(":")[0].rpartition(".")[0] if ":" in package else package)
    makers = () if family is None else family.content.get("maker", ())
    return next((one for one in makers if {kind, own} & set(several(one["blocks"]))), {})


def _makers(applied: Sequence[_Applied]) -> Iterator[Statement]:
    """`instrument.vendor`, derived, where no table states it but the format or the model's own name tells."""
    values = [(one, value) for one in applied for value in one.statement.values]
    if any(value.field == "instrument.vendor" for _, value in values):
        return
    for one, value in values:
        vendor, signals = str(one.maker.get("vendor", "")), one.statement.signals
        if vendor and not one.maker.get("with_model"):
            locator, raw, rule, signals = one.kind, one.kind, "maker-of-format", ()
        elif value.field == "instrument.model" and (vendor := fields.maker_in(str(value.value)) or vendor):
            locator, raw, rule = value.locator, value.raw, "maker-of-model"
        else:
            continue
        made = Value("instrument.vendor", vendor, "derived", locator, raw, rule=rule, file=value.file)
        yield Statement(signals, _BY, [made])
        if not signals:
            return
