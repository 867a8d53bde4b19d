"""Control messages between nodes: one canonical JSON form, strict, small; what it claims is proven by its chain alone.

::

    {"message":"diadem-message/1","id","kind","transfer","from","to","sent","chain","about"}

The same bytes go over HTTPS, or sealed over a hub. `chain` is the ``chain.json`` of ``transfer:<id>`` in the log of the
node that sends; `about` is not signed and only shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal

from msgspec import UNSET, Meta, UnsetType, field

from diadem.model import canonical
from diadem.model.carriers import LAST_GENERATION
from diadem.model.documents import Count, Document, Id, Moment, NodeId
from diadem.model.statements import parse_time
from diadem.network.limits import MAX_CHECKPOINT, MAX_MESSAGE
from diadem.trust.base64_text import from_base64

FORMAT: Final = "diadem-message/1"
MAX_PREVIEWS: Final = 8
MAX_PREVIEW_BYTES: Final = 64 << 10
#: Bytes of a record's summary.
MAX_RECORD_BYTES: Final = 64 << 10
#: Bytes of a sheet of corrections: some 500 of them.
MAX_CORRECTIONS: Final = 1 << 20
#: Bytes, as they stand in a message, of all chains of custody that it brings; and how many these are.
MAX_CUSTODY: Final = 512 << 10
MAX_CHAINS: Final = 100
#: Letters of what went wrong.
MAX_ERROR: Final = 1000

OFFER: Final = "offer"
ACCEPTANCE: Final = "acceptance"
DECLINE: Final = "decline"
REVOCATION: Final = "revocation"
RECEIPT: Final = "receipt"
CLOSURE: Final = "closure"
PROGRESS: Final = "progress"
WANTED: Final = "wanted"
KINDS: Final = (OFFER, ACCEPTANCE, DECLINE, REVOCATION, RECEIPT, CLOSURE, PROGRESS, WANTED)
#: Kinds by which nothing is stated: they have no chain.
UNSIGNED: Final = frozenset({PROGRESS, WANTED})

PNG: Final = b"\x89PNG\r\n\x1a\n"


class Message(Document, frozen=True, tag_field="message", tag=FORMAT):
    """One control message. Nothing of it is proven by being read.

    Attributes
    ----------
    id : str
        32 random hex digits: the same message again changes nothing.
    kind : str
        One of `KINDS`.
    transfer : str
        32 hex digits.
    sender, recipient : str
        Node ids.
    sent : str
        When, UTC; a claim.
    chain : str
        Text of a ``chain.json``; "" where nothing is stated (`UNSIGNED`).
    about : mapping
        Not signed: what the form of its kind says (`Offered`, `Closed`, `Progress`, `Wanted`), at least `seen`.
    """

    WHAT: ClassVar[str] = "message"
    LIMIT: ClassVar[int] = MAX_MESSAGE

    id: Id
    kind: str
    transfer: Id
    sender: NodeId = field(name="from")
    recipient: NodeId = field(name="to")
    sent: Moment
    chain: str
    about: dict[str, Any]

    def __post_init__(self) -> None:
        """Refuse what its kind does not say."""
        if self.kind not in KINDS:
            raise self.fault(f"it should be {', '.join(KINDS[:-1])} or {KINDS[-1]}", "kind")
        if self.sender == self.recipient:
            raise self.fault("it is from the node that it is for", "to")
        if bool(self.chain) == (self.kind in UNSIGNED):
            raise self.fault(f"{' and '.join(sorted(UNSIGNED))} have no chain, all others have one", "chain")
        parse_time(self.sent)
        _ABOUT.get(self.kind, About).of(self.about)

    def to_bytes(self) -> bytes:
        """The one form in which it is written. Raises `DocumentError` for what would not be read."""
        data = super().to_bytes()
        self.from_bytes(data)
        return data


class About(Document, frozen=True):
    """What of a message is not signed. `seen`: the newest checkpoint of the recipient's log that the sender holds."""

    WHAT: ClassVar[str] = "message.about"

    seen: Annotated[str, Meta(min_length=1, max_length=MAX_CHECKPOINT)] = ""


class Preview(Document, frozen=True):
    """A small picture."""

    name: Annotated[str, Meta(max_length=300)]
    png: Annotated[str, Meta(max_length=2 * MAX_PREVIEW_BYTES)]

    def __post_init__(self) -> None:
        """Refuse what is no picture."""
        data = from_base64(self.png)
        if len(data) > MAX_PREVIEW_BYTES or not data.startswith(PNG):
            raise ValueError(f"a picture is a PNG of at most {MAX_PREVIEW_BYTES:,} bytes")


#: Corrections of a package: a sheet that proves itself.
_Corrections = Annotated[str, Meta(min_length=1, max_length=MAX_CORRECTIONS)]


class Offered(About, frozen=True):
    """What an offer tells of its package: a summary of its record, some pictures, its name in a store."""

    record: dict[str, Any] = field(default_factory=dict)
    previews: Annotated[tuple[Preview, ...], Meta(max_length=MAX_PREVIEWS)] = ()
    path: Annotated[str, Meta(min_length=1, max_length=200)] = ""
    corrections: _Corrections = ""

    def __post_init__(self) -> None:
        """Refuse a long summary."""
        if len(canonical.encode(self.record, where="message.about: record")) > MAX_RECORD_BYTES:
            raise ValueError(f"a record's summary has at most {MAX_RECORD_BYTES:,} bytes")


class Closed(About, frozen=True):
    """What a closure brings with it; the custody of the package, chains that prove themselves, to who asked for it."""

    corrections: _Corrections = ""
    custody: Annotated[tuple[str, ...], Meta(max_length=MAX_CHAINS)] = ()


class Progress(About, frozen=True):
    """How far a transfer is, and what went wrong."""

    state: Literal["transferring", "verifying", "paused", "failed"] | UnsetType = UNSET
    done: Count | UnsetType = UNSET
    total: Count | UnsetType = UNSET
    rate: Count | UnsetType = UNSET
    error: Annotated[str, Meta(max_length=MAX_ERROR)] = ""


class Wanted(About, frozen=True, kw_only=True):
    """What is wanted of a package, and by which way: bits of its windows in base64, "" for all of them.

    `hub` is the node id of the one by which it is to go.
    """

    route: Annotated[
        str, Meta(pattern=r"\A(direct|hub|via:[a-z0-9-]{1,40})\Z", description="direct, hub, or via: and a name")
    ]
    generation: Annotated[int, Meta(ge=1, le=LAST_GENERATION)]
    parts: list[Literal[0, 1]]
    windows: str
    hub: NodeId = ""

    def __post_init__(self) -> None:
        """Refuse what names no windows."""
        if self.parts != sorted(set(self.parts)):
            raise ValueError("its parts are 0, 1 or both")
        try:
            from_base64(self.windows)
        except ValueError:
            raise ValueError("its windows are bits in base64") from None


#: What `about` says, by kind; of all others `seen` alone.
_ABOUT: Final[Mapping[str, type[About]]] = {OFFER: Offered, CLOSURE: Closed, PROGRESS: Progress, WANTED: Wanted}
