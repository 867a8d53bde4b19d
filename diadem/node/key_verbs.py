"""The node's own keys, `node.keys`: a new one takes the place of another; and the listener's, with its certificate."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from diadem.custody import statements
from diadem.errors import Refused
from diadem.model.display import Display
from diadem.model.times import read_time, time_text
from diadem.node.context import Context
from diadem.node.jobs import jobs
from diadem.node.keys import rotate, rotation_lock
from diadem.node.locks import SERVE_LOCK, WATCH_LOCK, node_lock
from diadem.node.mirrors import mirror_settings
from diadem.node.recovery_file import read_recovery
from diadem.store.whole import write_whole
from diadem.trust.tls_key import is_due, new_certificate, new_tls_key, pin_of_key


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
    """The node's own keys: `node.keys`."""

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
        since = stolen_since or ""
        if since:
            since = time_text(read_time(since if "T" in since else f"{since}T00:00:00Z"))
        secret = read_recovery(Path(recovery_file), passphrase)
        settings = context.settings
        if secret.root.public.key_id != settings.id:
            raise Refused("this recovery file is another node's", where=str(recovery_file), next="Name this node's.")
        with alone(context.folder):
            version, before = rotate(context.keys, context.ledger, secret.root, settings.name)
            context.follower.catch_up()
            if since:
                stolen = statements.peer(
                    settings.id,
                    "compromised",
                    name=settings.name,
                    online=before,
                    version=version - 1,
                    since=since,
                    reason=reason.strip(),
                )
                context.say([stolen])
        mirror_settings(context)
        return Rotated(version, context.keys.open("online").public.to_text(), before, since)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """While nothing else that signs is at work on the node in a folder, as far as can be seen."""
    busy = [job.kind for job in jobs(folder) if job.state == "running"]
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


KEY_FILE: Final = "tls.pem"
CERTIFICATE_FILE: Final = "tls.crt"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """What the listener shows."""

    #: PEM files, for their owner only.
    key: Path
    certificate: Path
    #: 64 hex digits: SHA-256 of the public key. Others know the listener by it.
    pin: str


def tls_files(context: Context) -> TlsFiles:
    """The listener's files; made where they are missing. A certificate that ends soon is made anew for the same key."""
    folder = context.keys.folder
    found = TlsFiles(folder / KEY_FILE, folder / CERTIFICATE_FILE, "")
    now = context.clock()
    with context.locked("tls"):
        is_new = not found.key.exists()
        if is_new:
            write_whole(found.key, new_tls_key(), mode=0o600)
        key = found.key.read_bytes()
        certificate = found.certificate.read_bytes() if found.certificate.exists() else b""
        if not certificate or is_due(certificate, key, now=now):
            written = new_certificate(key, name=context.settings.name, now=now)
            write_whole(found.certificate, written, mode=0o600)
    if is_new:  # so that the node that is made again from a store is known to its peers
        mirror_settings(context)
    return TlsFiles(found.key, found.certificate, pin_of_key(key))
