"""Control messages between nodes: one canonical JSON form, strict, small; what it claims is proven by its chain alone.

::

    {"message":"diadem-message/1","id","kind","transfer","from","to","sent","chain","about"}

The same bytes go over HTTPS, or sealed over a hub. `chain` is the ``chain.json`` of ``transfer:<id>`` in the log of the
node that sends; `about` is not signed and only shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NoReturn, Self

from diadem.errors import DocumentError
from diadem.model import canonical
from diadem.model.carriers import LAST_GENERATION
from diadem.model.statements import parse_time
from diadem.model.times import time_text
from diadem.network.limits import MAX_CHECKPOINT, MAX_MESSAGE
from diadem.trust.base64_text import from_base64

FORMAT: Final = "diadem-message/1"
MAX_PREVIEWS: Final = 8
MAX_PREVIEW_BYTES: Final = 64 << 10
#: Bytes of a record's summary.
MAX_RECORD_BYTES: Final = 64 << 10
#: Bytes of a sheet of corrections: some 500 of them.
MAX_CORRECTIONS: Final = 1 << 20
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

_MEMBERS: Final = frozenset({"message", "id", "kind", "transfer", "from", "to", "sent", "chain", "about"})
_ID: Final = re.compile(r"[0-9a-f]{32}")
_NODE: Final = re.compile(r"[0-9a-f]{64}")
_ROUTE: Final = re.compile(r"direct|hub|via:[a-z0-9-]{1,40}")
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_NEXT: Final = "Its sender must send it again; both sides should run the same version of DIADEM."


@dataclass(frozen=True, slots=True)
class Message:
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
    sent : datetime
        A claim.
    chain : str
        Text of a ``chain.json``; "" where nothing is stated (`UNSIGNED`).
    about : mapping
        Not signed. `seen`: the newest checkpoint of the recipient's log that the sender holds. Of an offer: `record`,
        `previews` and `path`; of an offer and a closure: `corrections`, a sheet of them that proves itself; of
        progress: `state`, `done`, `total`, `rate`, `error`; of what is wanted: `route`, `generation`, `parts`,
        `windows`, and `hub`, the node id of the one by which it is to go.
    """

    id: str
    kind: str
    transfer: str
    sender: str
    recipient: str
    sent: datetime
    chain: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {
            "message": FORMAT,
            "id": self.id,
            "kind": self.kind,
            "transfer": self.transfer,
            "from": self.sender,
            "to": self.recipient,
            "sent": time_text(self.sent),
            "chain": self.chain,
            "about": dict(self.about),
        }

    def to_bytes(self) -> bytes:
        """The one form in which it is written.

        Raises
        ------
        DocumentError
            What would not be read.
        """
        data = canonical.encode(self.to_dict(), where="message")
        self.from_bytes(data)
        return data

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The message of exactly what `to_bytes` writes.

        Raises
        ------
        DocumentError
            Anything else; says which member.
        """
        return cls.from_dict(canonical.decode(data, where="message", limit=MAX_MESSAGE))

    @classmethod
    def from_dict(cls, document: Any) -> Self:
        """The message of what `to_dict` gives; its canonical form is the caller's to check."""
        if not isinstance(document, dict) or document.keys() != _MEMBERS or document["message"] != FORMAT:
            _refuse(f"an object with {', '.join(sorted(_MEMBERS))} is expected, of the form {FORMAT}", "message")
        kind = document["kind"]
        if kind not in KINDS:
            _refuse(f"'{str(kind)[:40]}' is not a kind of message", "message.kind")
        if document["from"] == document["to"]:
            _refuse("it is from the node that it is for", "message.to")
        chain = document["chain"]
        if not isinstance(chain, str) or bool(chain) == (kind in UNSIGNED):
            _refuse(f"a chain is a text, and {' and '.join(sorted(UNSIGNED))} alone have none", "message.chain")
        about = document["about"]
        _check_about(kind, about)
        return cls(
            _matching(_ID, document["id"], "message.id"),
            kind,
            _matching(_ID, document["transfer"], "message.transfer"),
            _matching(_NODE, document["from"], "message.from"),
            _matching(_NODE, document["to"], "message.to"),
            parse_time(document["sent"]),
            chain,
            about,
        )


# -- what is not signed ----------------------------------------------------------------------------------------------


def _check_about(kind: str, about: Any) -> None:
    if not isinstance(about, dict):
        _refuse("an object is expected", "message.about")
    checks = {"seen": _check_seen, **_ABOUT.get(kind, {})}
    for name, value in about.items():
        if name not in checks:
            _refuse(f"'{name[:40]}' is not a member of a message", "message.about")
        checks[name](value)
    if kind == WANTED and not about.keys() >= _WISH:
        _refuse("what is wanted says route, generation, parts and windows", "message.about")


def _check_seen(value: Any) -> None:
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_CHECKPOINT:
        _refuse("a checkpoint is a short text", "message.about.seen")


def _check_record(value: Any) -> None:
    if not isinstance(value, dict) or len(canonical.encode(value, where="message.about.record")) > MAX_RECORD_BYTES:
        _refuse(f"a record's summary is an object of at most {MAX_RECORD_BYTES:,} bytes", "message.about.record")


def _check_corrections(value: Any) -> None:
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_CORRECTIONS:
        _refuse(f"corrections are a text of at most {MAX_CORRECTIONS:,} letters", "message.about.corrections")


def _check_path(value: Any) -> None:
    if not isinstance(value, str) or not 1 <= len(value) <= 200:
        _refuse("the package's name is a short text", "message.about.path")


def _check_previews(value: Any) -> None:
    where = "message.about.previews"
    if not isinstance(value, list) or len(value) > MAX_PREVIEWS:
        _refuse(f"a list of at most {MAX_PREVIEWS} previews is expected", where)
    for item in value:
        if not isinstance(item, dict) or item.keys() != {"name", "png"}:
            _refuse("a preview has name and png", where)
        if not isinstance(item["name"], str) or len(item["name"]) > 300 or not isinstance(item["png"], str):
            _refuse("a preview's name and picture are texts, the name short", where)
        if len(item["png"]) > 2 * MAX_PREVIEW_BYTES:
            _refuse(f"a picture has at most {MAX_PREVIEW_BYTES:,} bytes", where)
        if not _is_picture(item["png"]):
            _refuse(f"a picture is a PNG of at most {MAX_PREVIEW_BYTES:,} bytes", where)


def _is_picture(text: str) -> bool:
    try:
        data = from_base64(text)
    except ValueError:
        return False
    return len(data) <= MAX_PREVIEW_BYTES and data.startswith(_PNG)


def _check_count(value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 53:
        _refuse("bytes are a count", "message.about")


def _check_state(value: Any) -> None:
    if value not in ("transferring", "verifying", "paused", "failed"):
        _refuse("a transfer under way is transferring, verifying, paused or failed", "message.about.state")


def _check_error(value: Any) -> None:
    if not isinstance(value, str) or len(value) > MAX_ERROR:
        _refuse("a fault is a short text", "message.about.error")


def _check_route(value: Any) -> None:
    if not isinstance(value, str) or not _ROUTE.fullmatch(value):
        _refuse("a route is direct, hub, or via: and a name", "message.about.route")


def _check_hub(value: Any) -> None:
    _matching(_NODE, value, "message.about.hub")


def _check_generation(value: Any) -> None:
    if type(value) is not int or not 1 <= value <= LAST_GENERATION:
        _refuse(f"a generation is 1 to {LAST_GENERATION}", "message.about.generation")


def _check_parts(value: Any) -> None:
    if not isinstance(value, list) or value not in ([], [0], [1], [0, 1]):
        _refuse("parts are 0, 1 or both", "message.about.parts")


def _check_windows(value: Any) -> None:
    try:
        from_base64(value if isinstance(value, str) else "-")
    except ValueError:
        _refuse("windows are bits in base64", "message.about.windows")


#: What may stand in `about`, by kind, beside `seen`.
_ABOUT: Final[Mapping[str, Mapping[str, Callable[[Any], None]]]] = {
    OFFER: {
        "record": _check_record,
        "previews": _check_previews,
        "path": _check_path,
        "corrections": _check_corrections,
    },
    CLOSURE: {"corrections": _check_corrections},
    PROGRESS: {
        "state": _check_state,
        "done": _check_count,
        "total": _check_count,
        "rate": _check_count,
        "error": _check_error,
    },
    WANTED: {
        "route": _check_route,
        "generation": _check_generation,
        "parts": _check_parts,
        "windows": _check_windows,
        "hub": _check_hub,
    },
}
#: What a wish says at least.
_WISH: Final = frozenset({"route", "generation", "parts", "windows"})


def _matching(pattern: re.Pattern[str], value: Any, where: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        _refuse("lower-case hex digits are expected", where)
    return value


def _refuse(message: str, where: str) -> NoReturn:
    raise DocumentError(message, where=where, next=_NEXT)
