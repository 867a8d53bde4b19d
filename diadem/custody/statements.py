"""Drafts that custody itself needs: whose key is whose, that a log begins anew, and where an export ends."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from diadem.model.statements import Draft, Subject
from diadem.model.times import time_text
from diadem.trust.keys import PublicKey

#: Roles of keys: the root signs cards, the online key what the node says, the log key checkpoints, a user's key what
#: the user says.
ROOT: Final = "root"
ONLINE: Final = "online"
LOG: Final = "log"
USER: Final = "user"


def node_card(
    *,
    name: str,
    root: PublicKey,
    online: PublicKey,
    log: PublicKey,
    version: int = 1,
    expires: datetime | None = None,
) -> tuple[Draft, ...]:
    """The card of a node: three `key` statements, for root, online and log key, to be signed by the root key.

    Parameters
    ----------
    name : str
        The node's name, for people: ``hu-berlin``.
    root, online, log : PublicKey
        The node's id is the root key's id.
    version : int
        From 1; a later card replaces the earlier one, as after a recovery.
    expires : datetime, optional
        When the card ends; None: when it is replaced.
    """
    keys = ((ROOT, root), (ONLINE, online), (LOG, log))
    return tuple(_card(name, role, key, version, expires) for role, key in keys)


def user_card(
    *,
    name: str,
    key: PublicKey,
    custody: str = "node-held",
    version: int = 1,
    expires: datetime | None = None,
    age: str | None = None,
    successor: str | None = None,
    reason: str = "",
) -> Draft:
    """The card of a user: one `key` statement, to be signed by the node's online key.

    Parameters
    ----------
    name : str
        ``alice@hu-berlin``.
    key : PublicKey
        The user's key.
    custody : str
        ``node-held``: the node can use the key too, as for the account of a shared microscope; ``user-held``: nobody
        else can.
    version : int
        From 1; a later card of the same name replaces the earlier one.
    expires : datetime, optional
        When the card ends.
    age : str, optional
        Recipient for what is sealed for the user, ``age1…``.
    successor : str, optional
        Who follows: the user retires, and the key signs nothing any more.
    reason : str
        Why.
    """
    more = {"custody": custody, "age": age, "successor": successor, "reason": reason}
    more = {name: text for name, text in more.items() if text}
    return _card(name, USER, key, version, expires, more)


def _card(
    name: str, role: str, key: PublicKey, version: int, expires: datetime | None, more: Mapping[str, Any] | None = None
) -> Draft:
    predicate = {
        "name": name,
        "public": key.to_text(),
        "role": role,
        "version": version,
        "expires": None if expires is None else time_text(expires),
    }
    return Draft("key", (Subject.key(key.key_id),), {**predicate, **(more or {})})


def recovery(*, node: str, epoch: int, previous: str | None, reason: str) -> Draft:
    """That the log begins anew, to be signed by the root key: the first entry of the new epoch.

    Parameters
    ----------
    node : str
        Node id: the subject is the node's root key.
    epoch : int
        The epoch that begins.
    previous : str or None
        The last checkpoint of the epoch before, as it was found.
    reason : str
        What happened, in a person's words.
    """
    return Draft("recovery", (Subject.key(node),), {"epoch": epoch, "previous": previous, "reason": reason})


def head(subject: Subject, *, last: str, length: int, epoch: int, size: int) -> Draft:
    """Where an export ends, to be signed by the node; it is not itself in the log.

    Parameters
    ----------
    subject : Subject
        Whose chain is exported.
    last : str
        Id of its last statement.
    length : int
        How many statements it has.
    epoch, size : int
        The checkpoint up to which this is said.
    """
    return Draft("head", (subject,), {"last": last, "length": length, "epoch": epoch, "size": size})
