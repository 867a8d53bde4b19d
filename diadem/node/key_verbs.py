"""The node's own keys, `node.keys`: a new one takes the place of another; and the listener's, with its certificate."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from diadem.custody import statements
from diadem.custody.keyring import KeyRing
from diadem.custody.log import Ledger
from diadem.custody.statements import LOG, ONLINE, ROOT, node_card
from diadem.errors import Refused
from diadem.model.display import Display
from diadem.model.times import read_time, time_text
from diadem.node.context import Context
from diadem.node.jobs import jobs
from diadem.node.keys import TLS_CERTIFICATE, TLS_KEY, KeyCabinet
from diadem.node.locks import SERVE_LOCK, WATCH_LOCK, node_lock
from diadem.node.mirrors import mirror_settings
from diadem.node.recovery_file import read_recovery
from diadem.store.whole import write_whole
from diadem.trust.tls_key import is_due, new_certificate, new_tls_key, pin_of_key

if TYPE_CHECKING:
    from diadem.trust.keys import PrivateKey


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
            version, before = _rotate(context.keys, context.ledger, secret.root, settings.name)
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
        return Rotated(version, context.keys.open(ONLINE).public.to_text(), before, since)


# -- a new online key --------------------------------------------------------------------------------------------------

#: The new key, from before the log knows it until it has taken the old one's place; and the lock for that time.
_NEXT: Final = "online-next"
_ROTATION: Final = "rotation"


def _rotate(keys: KeyCabinet, ledger: Ledger, root: PrivateKey, name: str) -> tuple[int, str]:
    """Make a new online key, let the root key sign a card of the next version, and put the key in its place.

    Nobody else may write in the log meanwhile. Returns the version, and the public key that was replaced.
    """
    from diadem.trust.keys import PrivateKey

    ring = KeyRing(ledger.node, ledger.keys())
    cards = [card for role in (ROOT, ONLINE, LOG) if (card := ring.newest(role)) is not None]
    version = max(card.version for card in cards) + 1
    before, new = keys.open(ONLINE).public.to_text(), PrivateKey.generate()
    keys.keep(_NEXT, new)
    drafts = node_card(name=name, root=root.public, online=new.public, log=ledger.log_key(), version=version)
    try:
        ledger.append(drafts, [root])
    finally:
        if ledger.of_subject(new.public.key_id):  # it is in the log, also where the catalogue could not follow
            keys.replace(ONLINE, _NEXT)
    return version, before


def finish_rotation(folder: Path, keys: KeyCabinet, ledger: Ledger) -> None:
    """End a rotation that was interrupted after the log had learned the new key; of another, nobody uses the key."""
    if not keys.has(_NEXT):
        return
    lock = node_lock(folder, _ROTATION)
    if not lock.acquire():  # it is under way
        return
    try:
        if keys.has(_NEXT) and ledger.of_subject(keys.open(_NEXT).public.key_id):
            keys.replace(ONLINE, _NEXT)
    finally:
        lock.release()


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """While nothing else that signs is at work on the node in a folder, as far as can be seen."""
    busy = [job.kind for job in jobs(folder) if job.state == "running"]
    locks = [node_lock(folder, name) for name in (_ROTATION, WATCH_LOCK, SERVE_LOCK)]
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


# -- the keys of the listener ------------------------------------------------------------------------------------------


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
    found = TlsFiles(folder / TLS_KEY, folder / TLS_CERTIFICATE, "")
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
