"""A group's policy: what it wants of its copies, checks, metadata and transfers. Frozen values with sound defaults.

`diadem.policy` reads them from `policy.toml` and judges an archive by them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from diadem.model.display import Display

#: Routes that a transfer may take: straight to the receiver, over a hub, or the first of the two that works.
ROUTES: Final = ("direct", "hub", "auto")
#: Who may find and read a new package: its owner, or everybody who has an account on the node.
ACCESS: Final = ("private", "node")
#: What a scrub reads and compares: the BLAKE3 leaves, or SHA-256 of every file as well.
SCRUB_LEVELS: Final = ("leaves", "full")

_DAY: Final = timedelta(days=1)
_GB: Final = 10**9


@dataclass(frozen=True, slots=True)
class Copies:
    """How many copies there must be, and where.

    Attributes
    ----------
    minimum : int
        Proven copies on different disks, shares or buckets.
    kinds : mapping of str to int
        How many of them at least must lie on stores of a kind.
    adopted_counts : bool
        Whether a person's own folder, adopted where it lies, counts while it is unchanged.
    """

    minimum: int = 2
    kinds: Mapping[str, int] = field(default_factory=dict)
    adopted_counts: bool = True


@dataclass(frozen=True, slots=True)
class Stores:
    """What is expected of the stores themselves.

    Attributes
    ----------
    unseen : timedelta
        For how long a store may not answer. One of kind ``cold``, which lies in a drawer, may for any time.
    """

    unseen: timedelta = _DAY


@dataclass(frozen=True, slots=True)
class Scrub:
    """How often the bytes are read and compared.

    Attributes
    ----------
    interval : timedelta
        Longest time between two proofs of a copy.
    level : str
        One of `SCRUB_LEVELS`.
    kinds : mapping of str to timedelta
        Another interval for stores of a kind.
    """

    interval: timedelta = 90 * _DAY
    level: str = "leaves"
    kinds: Mapping[str, timedelta] = field(default_factory=lambda: {"cold": 365 * _DAY})

    def interval_for(self, kind: str) -> timedelta:
        """The longest time between two proofs of a copy on a store of this kind."""
        return self.kinds.get(kind, self.interval)


@dataclass(frozen=True, slots=True)
class Parity:
    """Whether parity lies beside the packages, so that damage is mended without another copy.

    Attributes
    ----------
    enabled : bool
        Whether it is wanted.
    stores : tuple of str
        On which stores; empty means on all.
    """

    enabled: bool = False
    stores: tuple[str, ...] = ()

    def wanted_on(self, store: str) -> bool:
        """Whether a store of this name should hold parity."""
        return self.enabled and (not self.stores or store in self.stores)


@dataclass(frozen=True, slots=True)
class RequiredMetadata:
    """What must be known of a session before it is archived.

    Attributes
    ----------
    required : tuple of str
        Keys such as ``sample.name``, ``person.operator`` or ``session.title``.
    """

    required: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Retention:
    """How long packages are kept.

    Attributes
    ----------
    years : int
        Counted from the day of archiving. Ten is what the DFG's code of conduct (guideline 17) asks for.
    """

    years: int = 10

    def ends(self, ingested_at: datetime) -> datetime:
        """The moment from which a package archived at `ingested_at` may be deleted."""
        year = ingested_at.year + self.years
        try:
            return ingested_at.replace(year=year)
        except ValueError:  # 29 February
            return ingested_at.replace(year=year, month=3, day=1)


@dataclass(frozen=True, slots=True)
class Archiving:
    """How sessions are archived.

    Attributes
    ----------
    quiet : timedelta
        Nothing in the folder may have changed for so long: else the session is not finished.
    license, owner : str
        Used where the command says nothing else; "" for none.
    """

    quiet: timedelta = timedelta(minutes=10)
    license: str = ""
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Watching:
    """What is expected of the watched folders.

    Attributes
    ----------
    waiting : timedelta
        For how long a session in a watched folder may wait to be archived; also for how long nobody may look, where a
        timer starts `diadem watch --once`.
    """

    waiting: timedelta = _DAY


@dataclass(frozen=True, slots=True)
class Access:
    """Who may find and read a new package.

    Attributes
    ----------
    default : str
        One of `ACCESS`.
    """

    default: str = "private"


@dataclass(frozen=True, slots=True)
class AllowedTransfer:
    """One permission to send packages away.

    Attributes
    ----------
    who : str
        The sender: ``owner`` of the package, ``*`` for every user, or a user's name.
    to : str
        The receiver: ``marie@nmi``, ``*@nmi`` or ``*``.
    route : str
        One of `ROUTES`.
    """

    who: str = "owner"
    to: str = "*"
    route: str = "auto"


@dataclass(frozen=True, slots=True)
class Transfers:
    """Who may send what to whom, and by which route.

    Attributes
    ----------
    allow : tuple of AllowedTransfer
        The first that fits decides; where none does, nothing is sent.
    route : str
        One of `ROUTES`: what ``auto`` means in every entry; so a group changes its topology in one line.
    """

    allow: tuple[AllowedTransfer, ...] = (AllowedTransfer(),)
    route: str = "auto"


@dataclass(frozen=True, slots=True)
class Incoming:
    """What others may offer to us.

    Attributes
    ----------
    max_size : int
        Largest package, bytes.
    max_waiting : int
        Most bytes of accepted offers that are not yet here.
    max_per_day : int
        Most offers of one node in a day.
    """

    max_size: int = 500 * _GB
    max_waiting: int = 2000 * _GB
    max_per_day: int = 100


@dataclass(frozen=True, slots=True)
class Hub:
    """What this node carries for others while it is a hub.

    Attributes
    ----------
    max_size : int
        Most bytes of all spokes together.
    max_per_spoke : int
        Most bytes that wait for one spoke; also the largest permit.
    max_objects : int
        Most sealed windows that wait for one spoke.
    max_messages : int
        Most sealed messages that wait in the box of one spoke; a quarter of it is open to one sender.
    keep : timedelta
        How long a window or message waits at most.
    free : int
        Bytes of the disk that stay free whatever the rest allows.
    """

    max_size: int = 500 * _GB
    max_per_spoke: int = 100 * _GB
    max_objects: int = 20_000
    max_messages: int = 1000
    keep: timedelta = 14 * _DAY
    free: int = 10 * _GB


@dataclass(frozen=True, slots=True)
class Scheme:
    """A list of criteria by which a group judges data for a purpose.

    Attributes
    ----------
    purpose : str
        What the data are to be used for.
    criteria : tuple of str
        What is looked at; an assessment by this scheme names one of them.
    """

    purpose: str
    criteria: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Quality:
    """How data are judged.

    Attributes
    ----------
    schemes : mapping of str to Scheme
        By the name that an assessment gives.
    """

    schemes: Mapping[str, Scheme] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Policy(Display):
    """A group's policy; `Policy()` is the one of a node that has no `policy.toml`."""

    copies: Copies = field(default_factory=Copies)
    stores: Stores = field(default_factory=Stores)
    scrub: Scrub = field(default_factory=Scrub)
    parity: Parity = field(default_factory=Parity)
    metadata: RequiredMetadata = field(default_factory=RequiredMetadata)
    retention: Retention = field(default_factory=Retention)
    archive: Archiving = field(default_factory=Archiving)
    watch: Watching = field(default_factory=Watching)
    access: Access = field(default_factory=Access)
    transfer: Transfers = field(default_factory=Transfers)
    incoming: Incoming = field(default_factory=Incoming)
    hub: Hub = field(default_factory=Hub)
    quality: Quality = field(default_factory=Quality)

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
