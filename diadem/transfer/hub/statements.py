"""What is stated of a relay: the recipient's permit, and what the hub says became of what it carried."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime

from diadem.model.statements import Draft, Subject
from diadem.model.times import time_text


def relay_subject(relay: str) -> Subject:
    """A relay as the subject of statements: the only one, so that they name no transfer."""
    return Subject.named(f"relay:{relay}")


def permit(relay: str, *, hub: str, sender: str, recipient: str, ceiling: int, expires: datetime) -> Draft:
    """That a hub may keep sealed windows for this node.

    Parameters
    ----------
    relay : str
        32 random hex digits.
    hub, sender, recipient : str
        Node ids; the recipient's node says it.
    ceiling : int
        Sealed bytes that may be put there, all taken together.
    expires : datetime
        From when on nothing is kept.
    """
    said = {"relay": relay, "hub": hub, "sender": sender, "recipient": recipient, "ceiling": ceiling}
    return Draft("permit", (relay_subject(relay),), {**said, "expires": time_text(expires)})


def digest_of(rows: Iterable[tuple[str, str, int]]) -> str:
    """SHA-256 of what was carried.

    Parameters
    ----------
    rows : iterable of (str, str, int)
        Name, SHA-256 and bytes of each sealed object.
    """
    lines = sorted(f"{name} {sha256} {size}\n" for name, sha256, size in rows)
    return hashlib.sha256("".join(lines).encode("ascii")).hexdigest()
