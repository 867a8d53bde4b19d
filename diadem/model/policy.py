"""A group's policy: what it wants of its copies, checks, metadata and transfers. Frozen values with sound defaults.

Each key of `policy.toml` stands here once: its default as people write it, its bounds, its rule in words and what is
said above it in the file that `diadem init` writes. `diadem.policy` reads the file by it and judges an archive by the
values; the schema is made of it (`python -m diadem.policy.generate`).
"""

# ruff: noqa: RUF009 - every key is made by `dataclasses.field`
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from diadem.model.display import Display
from diadem.model.measures import read_duration, read_size
from diadem.model.peer_checks import NAME
from diadem.model.replicas import STORE_KINDS

#: Routes that a transfer may take: straight to the receiver, over a hub, or the first of the two that works.
ROUTES: Final = ("direct", "hub", "auto")
#: Who may find and read a new package: its owner, or everybody who has an account on the node.
ACCESS: Final = ("private", "node")
#: What a scrub reads and compares: the BLAKE3 leaves, or SHA-256 of every file as well.
SCRUB_LEVELS: Final = ("leaves", "full")

_UNITS: Final = "s, min, h, days, weeks, months or years"
_T = TypeVar("_T")
_Read = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class PolicyKey:
    """One key of `policy.toml`."""

    #: Its schema: type, bounds, rule in words, examples, and its default as people write it.
    schema: Mapping[str, Any]
    #: From what stands in the file to the value.
    read: _Read
    #: What is said above it in the file that `diadem init` writes.
    note: str = ""


def key_of(member: Any) -> PolicyKey:
    """The key of a member of a policy or of one of its sections."""
    found: PolicyKey = member.metadata["key"]
    return found


def read_table(kind: type[_T], table: Mapping[str, Any]) -> _T:
    """The value of a table that the schema admits; what it does not say has its default."""
    keys = {member.name: key_of(member) for member in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: keys[name].read(value) for name, value in table.items()})


def _key(
    rule: str,
    *examples: Any,
    note: str = "",
    read: _Read = lambda value: value,
    otherwise: Any = None,
    **schema: Any,
) -> Any:
    """A key with a default, or one that the file must state; `otherwise` is then its default in a program."""
    key = PolicyKey({**schema, "description": rule, "examples": list(examples)}, read, note)
    default = schema.get("default", otherwise)
    if default is None:
        return field(metadata={"key": key})
    return field(default_factory=lambda: read(default), metadata={"key": key})


def _section(kind: Callable[[], Any], rule: str, **example: Any) -> Any:
    key = PolicyKey({"description": rule, "examples": [example]}, lambda table: read_table(kind, table))  # type: ignore[arg-type]
    return field(default_factory=kind, metadata={"key": key})


def _whole(default: int, rule: str, least: int, most: int, note: str = "") -> Any:
    """A whole number; ``2.0``, which JSON Schema takes for one, becomes one."""
    rule = f"{rule}: a whole number from {least} to {most}."
    return _key(rule, default, note=note, read=int, type="integer", minimum=least, maximum=most, default=default)


def _duration(default: str, rule: str, least: str, most: str, note: str = "", units: str = _UNITS) -> Any:
    return _ranged("duration", read_duration, default, rule, least, most, note, units)


def _size(default: str, rule: str, note: str = "") -> Any:
    return _ranged("size", read_size, default, rule, "1 MB", "1000 TB", note, "kB, MB, GB or TB")


def _ranged(kind: str, read: _Read, default: str, rule: str, least: str, most: str, note: str, units: str) -> Any:
    rule = f"{rule}: from {least} to {most}, as a number and {units}."
    bounds = {"$ref": f"#/$defs/{kind}", "x-diadem-least": least, "x-diadem-most": most}
    return _key(rule, default, note=note, read=read, default=default, **bounds)


def _flag(default: bool, rule: str, note: str) -> Any:
    return _key(f"{rule}: true or false.", True, note=note, type="boolean", default=default)


def _choice(default: str, choices: Sequence[str], rule: str, *examples: str, note: str = "") -> Any:
    return _key(rule, *(examples or (default,)), note=note, enum=list(choices), default=default)


def _texts(rule: str, example: Sequence[str], note: str = "") -> Any:
    items = {"type": "string", "minLength": 1, "pattern": "\\S"}
    return _key(rule, example, note=note, read=tuple, type="array", uniqueItems=True, items=items, default=[])


def _by_kind(of: str, read: _Read, default: Mapping[str, Any], rule: str, example: Mapping[str, Any], note: str) -> Any:
    rule = f"{rule}: disk, nas, object, offsite or cold."
    below = {"additionalProperties": False, "properties": {kind: {"$ref": f"#/$defs/{of}"} for kind in STORE_KINDS}}
    return _key(rule, example, note=note, read=read, type="object", default=default, **below)


@dataclass(frozen=True, slots=True)
class Copies:
    """How many copies there must be, and where."""

    minimum: int = _whole(
        2,
        "Copies of each package on different disks, shares or buckets",
        1,
        10,
        """\
Copies of each package on different disks, shares or buckets (1 to 10). Two stores on one disk
are one copy. Only a copy whose bytes were proven counts.""",
    )
    #: How many of them at least must lie on stores of a kind.
    kinds: Mapping[str, int] = _by_kind(
        "count",
        lambda kinds: {kind: int(count) for kind, count in kinds.items() if count},
        {},
        "How many of the copies at least must lie on stores of a kind",
        {"offsite": 1},
        """\
How many of the copies at least must be on stores of a kind. Kinds: disk, nas, object,
offsite (in another building), cold (a disk or tape in a drawer). For example:
offsite = 1""",
    )
    #: Whether a person's own folder, adopted where it lies, counts while it is unchanged.
    adopted_counts: bool = _flag(
        True,
        "Whether a folder adopted where it lies counts as a copy while nobody has changed it",
        """\
Whether a folder that was adopted where it lies (`diadem archive --in-place`) counts as a copy
while nobody has changed it.""",
    )


@dataclass(frozen=True, slots=True)
class Stores:
    """What is expected of the stores themselves."""

    #: One of kind ``cold``, which lies in a drawer, may be away for any time.
    unseen: timedelta = _duration(
        "24 h",
        "Longest time for which a store that is not cold may not answer",
        "1 min",
        "10 years",
        """\
Longest time for which a store may not answer before `diadem status` is red. Its copies cannot be
seen meanwhile. One of kind cold (in a drawer) is never expected to answer.""",
    )


@dataclass(frozen=True, slots=True)
class Scrub:
    """How often the bytes are read and compared."""

    interval: timedelta = _key(
        f"Longest time between two proofs of a copy: from 1 hour to 10 years, as a number and {_UNITS}.",
        "90 days",
        read=read_duration,
        default="90 days",
        note="""\
Longest time between two readings of a copy. A disk loses bits without a word; a copy that
nobody has read for years is a hope.""",
        **{"$ref": "#/$defs/interval"},
    )
    level: str = _choice(
        "leaves",
        SCRUB_LEVELS,
        "What a scrub compares: leaves (BLAKE3 of every leaf of 1 MiB) or full (SHA-256 of every file as well).",
        note='What is compared: "leaves" (BLAKE3 of each 1 MiB leaf, fast) or "full" (SHA-256 of files too).',
    )
    kinds: Mapping[str, timedelta] = _by_kind(
        "interval",
        lambda kinds: {kind: read_duration(text) for kind, text in kinds.items()},
        {"cold": "365 days"},
        "Another interval for stores of a kind",
        {"cold": "365 days"},
        "Another interval for stores of a kind.",
    )

    def interval_for(self, kind: str) -> timedelta:
        """The longest time between two proofs of a copy on a store of this kind."""
        return self.kinds.get(kind, self.interval)


@dataclass(frozen=True, slots=True)
class Parity:
    """Whether parity lies beside the packages, so that damage is mended without another copy."""

    enabled: bool = _flag(
        False,
        "Whether parity is wanted",
        """\
Whether parity is written beside the packages: it mends damage without another copy and takes some
more space. stores = [] means on all of them; else their names.""",
    )
    stores: tuple[str, ...] = _texts("Names of the stores that should hold parity; an empty list means all.", ["nas"])

    def wanted_on(self, store: str) -> bool:
        """Whether a store of this name should hold parity."""
        return self.enabled and (not self.stores or store in self.stores)


@dataclass(frozen=True, slots=True)
class RequiredMetadata:
    """What must be known of a session before it is archived."""

    required: tuple[str, ...] = _texts(
        "Keys that the files or a person must state, such as sample.name, person.operator or session.title.",
        ["sample.name", "person.operator"],
        """\
What must be known of a session before it is archived, from its files or from a person.
Keys as in the record: "sample.name", "person.operator", "session.title", "instrument.name" ...""",
    )


@dataclass(frozen=True, slots=True)
class Retention:
    """How long packages are kept."""

    years: int = _whole(
        10,
        "Years from the day of archiving in which the last copies cannot be deleted",
        0,
        1000,
        """\
Years from the day of archiving in which the last copies of a package cannot be deleted.
Ten years is what the DFG's code of good research practice asks for.""",
    )

    def ends(self, ingested_at: datetime) -> datetime:
        """The moment from which a package archived at `ingested_at` may be deleted."""
        year = ingested_at.year + self.years
        try:
            return ingested_at.replace(year=year)
        except ValueError:  # 29 February
            return ingested_at.replace(year=year, month=3, day=1)


@dataclass(frozen=True, slots=True)
class Archiving:
    """How sessions are archived; licence and owner are used where the command says nothing else."""

    quiet: timedelta = _duration(
        "10 min",
        "A session is finished when nothing in its folder has changed for so long",
        "0 s",
        "7 days",
        "A session is finished when nothing in its folder has changed for so long.",
        "s, min, h or days",
    )
    license: str = _key(
        "Licence of the data where the command names none; an empty text for none.",
        "https://creativecommons.org/licenses/by/4.0/",
        note="""\
Licence of the data and short name of its owner where the command names none.
license = "https://creativecommons.org/licenses/by/4.0/\"""",
        type="string",
        default="",
    )
    owner: str = _key(
        "Short name of the user who owns what is archived where the command names none; "
        "an empty text for the user who runs it.",
        "alice",
        type="string",
        pattern=f"^({NAME.pattern})?$",
        default="",
    )


@dataclass(frozen=True, slots=True)
class Watching:
    """What is expected of the watched folders."""

    #: Also for how long nobody may look, where a timer starts `diadem watch --once`.
    waiting: timedelta = _duration(
        "24 h",
        "Longest time that a session in a watched folder may wait for being archived",
        "1 min",
        "10 years",
        """\
Longest time that a session in a watched folder may wait for being archived, and that nobody may
look there where a timer starts `diadem watch --once`, before `diadem status` is red.""",
    )


@dataclass(frozen=True, slots=True)
class Access:
    """Who may find and read a new package."""

    default: str = _choice(
        "private",
        ACCESS,
        "private (the owner, and whom the owner grants it) or node (everybody who has an account here).",
        note="""\
Who may find and read a new package: "private" (its owner, and whom the owner grants it)
or "node" (everybody who has an account here).""",
    )


@dataclass(frozen=True, slots=True)
class AllowedTransfer:
    """One permission to send packages away."""

    who: str = _key(
        "The sender: owner (of the package), * (every user here) or a user's short name.",
        "owner",
        type="string",
        pattern=f"^(\\*|{NAME.pattern})$",
        default="owner",
    )
    to: str = _key(
        "The receiver: a user's address, * and a node for all of its users, or * for everybody.",
        *("marie@nmi", "*@nmi", "*"),
        type="string",
        pattern=f"^(\\*|(\\*|{NAME.pattern})@{NAME.pattern})$",
        otherwise="*",
    )
    route: str = _choice(
        "auto",
        ROUTES,
        "direct (straight to the receiver's node), hub (over a node that relays) or auto (the first that works).",
        "direct",
    )
    custody: bool = _key(
        "Whether who had the package until now is told with it, which names people: true or false.",
        False,
        type="boolean",
        default=True,
    )

    def fits(self, sender: str, owner: str, to: str) -> bool:
        """Whether it is about a package of this owner that somebody sends to somebody; all are addresses."""
        who = self.who == "*" or (self.who == "owner" and sender == owner) or self.who == sender.partition("@")[0]
        return who and self.to in ("*", to, f"*@{to.rpartition('@')[2]}")


@dataclass(frozen=True, slots=True)
class Transfers:
    """Who may send what to whom, and by which route."""

    #: What ``auto`` means in every entry.
    route: str = _choice(
        "auto",
        ROUTES,
        'What "auto" means in every entry below: so a group changes from one topology to another in one line.',
        "hub",
        note="""\
How things go to other nodes where an entry below says "auto": "direct" (straight to the other
node), "hub" (over a node that relays what it cannot read) or "auto" (the first that works).
A group that moves behind a hub changes this one line.""",
    )
    #: The first that fits decides; where none does, nothing is sent.
    allow: tuple[AllowedTransfer, ...] = _key(
        "Permissions, of which the first that fits decides; where none fits, nothing is sent.",
        [{"who": "owner", "to": "*@nmi", "route": "direct"}],
        read=lambda tables: tuple(read_table(AllowedTransfer, table) for table in tables),
        note="""\
Who may send packages away, to whom, and by which route. The first entry that fits decides;
where none fits, nothing is sent. who: "owner" (of the package), "*" (every user here) or a
user's name. to: "marie@nmi", "*@nmi" or "*". route: "direct", "hub" or "auto" (as above).
custody = false: they are not told who had the package until now.""",
        type="array",
        items={"$ref": "#/$defs/allowed"},
        default=[{"who": "owner", "to": "*", "route": "auto"}],
    )

    def permission(self, sender: str, owner: str, to: str) -> AllowedTransfer | None:
        """The entry that decides whether somebody may send a package of an owner to somebody; all are addresses."""
        return next((entry for entry in self.allow if entry.fits(sender, owner, to)), None)


@dataclass(frozen=True, slots=True)
class Incoming:
    """What others may offer to us; sizes in bytes."""

    max_size: int = _size(
        "500 GB",
        "Largest package that may be offered",
        """\
What others may offer to us: the largest package, the most that may be on its way here,
and the most offers that one node may make in a day.""",
    )
    max_waiting: int = _size("2 TB", "Most bytes of accepted offers that have not arrived")
    max_per_day: int = _whole(100, "Most offers that one node may make in a day", 0, 100_000)


@dataclass(frozen=True, slots=True)
class Hub:
    """What this node carries for others while it is a hub; sizes in bytes."""

    max_size: int = _size(
        "500 GB",
        "Most bytes of all spokes together",
        """\
What this node carries for others while it is a hub (`diadem serve --hub`): the most bytes of
all these nodes together, and of one; the most sealed windows and messages that wait for one; how
long they wait; and what stays free on the disk whatever the rest allows.""",
    )
    #: Also the largest permit.
    max_per_spoke: int = _size("100 GB", "Most bytes that wait for one spoke")
    max_objects: int = _whole(20_000, "Most sealed windows that wait for one spoke", 1, 50_000)
    #: A quarter of a box is open to one sender.
    max_messages: int = _whole(1000, "Most sealed messages that wait for one spoke", 4, 100_000)
    keep: timedelta = _duration(
        "14 days",
        "How long a window or message waits at a hub at most",
        "1 hour",
        "1 year",
        units="h, days, weeks, months or years",
    )
    free: int = _size("10 GB", "What stays free on the disk of a hub")


@dataclass(frozen=True, slots=True)
class Scheme:
    """A list of criteria by which a group judges data for a purpose; an assessment by it names one of them."""

    purpose: str = _key(
        "What the data are to be used for: a text of up to 200 characters.",
        "EELS",
        type="string",
        minLength=1,
        maxLength=200,
        pattern="\\S",
    )
    criteria: tuple[str, ...] = _key(
        "What is looked at: a list of texts, none twice.",
        ["thickness", "drift"],
        read=tuple,
        type="array",
        minItems=1,
        maxItems=100,
        uniqueItems=True,
        items={
            "type": "string",
            "minLength": 1,
            "maxLength": 200,
            "pattern": "\\S",
            "description": "What is looked at: a text of up to 200 characters.",
            "examples": ["drift"],
        },
    )


@dataclass(frozen=True, slots=True)
class Quality:
    """How data are judged."""

    #: By the name that an assessment gives.
    schemes: Mapping[str, Scheme] = _key(
        "Lists of criteria, by the name that an assessment gives.",
        {"eels": {"purpose": "EELS", "criteria": ["thickness", "drift"]}},
        read=lambda tables: {name: read_table(Scheme, table) for name, table in tables.items()},
        note="""\
Lists of criteria by which data are assessed for a purpose. What is assessed by a scheme
(`diadem assess ID accept --scheme eels --criterion drift`) must use one of its criteria.
For example:
[quality.schemes.eels]
purpose = "EELS"
criteria = ["thickness", "drift", "saturation"]""",
        type="object",
        additionalProperties={"$ref": "#/$defs/scheme"},
        default={},
    )


@dataclass(frozen=True, slots=True)
class Policy(Display):
    """A group's policy; `Policy()` is the one of a node that has no `policy.toml`."""

    copies: Copies = _section(Copies, "How many copies of each package there must be, and where.", minimum=2)
    stores: Stores = _section(Stores, "What is expected of the stores themselves.", unseen="24 h")
    scrub: Scrub = _section(Scrub, "How often every byte of every copy is read and compared.", interval="90 days")
    parity: Parity = _section(
        Parity, "Parity beside the packages, from which damage is mended without another copy.", enabled=True
    )
    metadata: RequiredMetadata = _section(
        RequiredMetadata,
        "What must be known of a session before it is archived.",
        required=["sample.name", "person.operator"],
    )
    retention: Retention = _section(Retention, "How long packages are kept.", years=10)
    archive: Archiving = _section(Archiving, "How sessions are archived.", quiet="10 min")
    watch: Watching = _section(Watching, "What is expected of the watched folders.", waiting="24 h")
    access: Access = _section(Access, "Who may find and read a new package.", default="private")
    transfer: Transfers = _section(
        Transfers,
        "Who may send packages to whom, and by which route.",
        allow=[{"who": "owner", "to": "*", "route": "auto"}],
    )
    incoming: Incoming = _section(Incoming, "What others may offer to us.", max_size="500 GB")
    hub: Hub = _section(Hub, "What this node carries for others while it is a hub.", max_per_spoke="100 GB")
    quality: Quality = _section(
        Quality, "How data are judged.", schemes={"eels": {"purpose": "EELS", "criteria": ["thickness", "drift"]}}
    )

    def to_dict(self) -> dict[str, Any]:
        """A JSON object, section by section; durations in seconds, sizes in bytes."""
        plain: dict[str, Any] = _plain(self)
        return plain

    def _display_document(self) -> dict[str, Any]:
        shown: dict[str, Any] = _plain(self, seconds=False)
        return shown


def _plain(value: Any, *, seconds: bool = True) -> Any:
    """Plain JSON of a section or a value in one; for a person durations stay what they are."""
    if isinstance(value, timedelta):
        return value.total_seconds() if seconds else value
    if isinstance(value, Mapping):
        return {key: _plain(item, seconds=seconds) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item, seconds=seconds) for item in value]
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name), seconds=seconds) for name in value.__dataclass_fields__}
    return value
