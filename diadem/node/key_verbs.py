"""The node's own keys: `node.keys`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from diadem.errors import Refused
from diadem.model.display import Display
from diadem.model.statements import Draft, Subject
from diadem.model.times import read_time, time_text
from diadem.node.config import NodeSettings
from diadem.node.context import Context
from diadem.node.jobs import jobs_in
from diadem.node.mirroring import mirror_settings
from diadem.node.place import node_lock
from diadem.node.recovery import read_recovery
from diadem.node.rotating import rotate, rotation_lock
from diadem.node.watch.watcher import WATCH_LOCK

#: The lock that `diadem serve` holds.
SERVE_LOCK: Final = "serve"


@dataclass(frozen=True, slots=True)
class Rotated(Display):
    """A node has a new online key.

    Attributes
    ----------
    version : int
        Of its card now.
    online, before : str
        The new key and the one that it replaces, ``ed25519:…``.
    stolen_since : str
        From when on the old one is not trusted, UTC; "" where it was not stolen.
    """

    version: int
    online: str
    before: str
    stolen_since: str

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class KeyVerbs(Display):
    """The node's own keys: `node.keys`.

    Parameters
    ----------
    context : Context
        The node.
    """

    context: Context
    _display_name = "keys"

    def _display_document(self) -> dict[str, Any]:
        return {"node": self.context.settings.id, "users": [user.name for user in self.context.settings.users]}

    def _display_title(self) -> str:
        return "the keys of this node and its users: rotate"

    def rotate(
        self,
        recovery_file: str | Path,
        *,
        passphrase: str = "",
        stolen_since: str | None = None,
        reason: str = "",
    ) -> Rotated:
        """Give the node a new online key; peers follow it, for the root key in the recovery file vouches for it.

        Parameters
        ----------
        recovery_file : path
            Written when the node was made; with its `passphrase`.
        stolen_since : str, optional
            Where the old key was stolen: ``2026-03-14`` or ``2026-03-14T09:00:00Z``. The log and every peer learn it.
        reason : str
            What happened; kept in the log with `stolen_since`.

        Raises
        ------
        Refused
            The recovery file is another node's or its passphrase wrong, or something else works on this node.
        """
        context = self.context
        context.require_writable()
        since = _moment(stolen_since) if stolen_since else ""
        secret = read_recovery(Path(recovery_file), passphrase)
        settings: NodeSettings = context.settings
        if secret.root.public.key_id != settings.id:
            raise Refused("this recovery file is another node's", where=str(recovery_file), next="Name this node's.")
        with alone(context.folder):
            version, before = rotate(context.keys, context.ledger, secret.root, settings.name)
            context.follower.catch_up()
            if since:
                context.say([_stolen(settings, before, version, since, reason.strip())])
        mirror_settings(context)
        return Rotated(version, context.keys.open("online").public.to_text(), before, since)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """While nothing else that signs is at work on the node in a folder, as far as can be seen."""
    busy = [job.kind for job in jobs_in(folder) if job.state == "running"]
    locks = rotation_lock(folder), *(node_lock(folder, name) for name in (WATCH_LOCK, SERVE_LOCK))
    try:
        if busy or not all(lock.acquire() for lock in locks):
            what = ", ".join(busy) or "a watcher or a server"
            raise Refused(
                f"something is at work on this node, which signs with its keys: {what}",
                next="Stop it; then run the same command again.",
            )
        yield
    finally:
        for lock in locks:
            lock.release()


def _moment(text: str) -> str:
    moment = read_time(text if "T" in text else f"{text}T00:00:00Z")
    return time_text(moment)


def _stolen(settings: NodeSettings, key: str, version: int, since: str, reason: str) -> Draft:
    said: dict[str, Any] = {"event": "compromised", "peer": settings.id, "name": settings.name, "online": key}
    said |= {"version": version - 1, "since": since, **({"reason": reason} if reason else {})}
    return Draft("peer", (Subject.key(settings.id),), said)
