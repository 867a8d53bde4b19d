"""The private keys that a node keeps on this machine, and how each is protected.

::

    <node>/keys/online.pem          signs what the node says
    <node>/keys/log.pem             signs the checkpoints of the log
    <node>/keys/age.txt             opens what is sealed for the node
    <node>/keys/users/alice.pem     signs what Alice says
    <node>/keys/tls.pem             what the listener is known by, and its certificate, `tls.crt`

The root key is not here: it is in the recovery file. PEM files are PKCS #8; one that is protected by a passphrase is
encrypted with it, and the passphrase comes from a person, from DIADEM_PASSPHRASE, or from the system's keyring.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diadem.custody.remedies import recover_here
from diadem.errors import DocumentError, IntegrityError, NotFound, Refused, UsageError
from diadem.store.system import flush_folder, patiently, translated
from diadem.store.whole import write_whole
from diadem.trust.tls_key import pin_of_key

if TYPE_CHECKING:
    from diadem.trust.keys import PrivateKey

#: Asks a person for the passphrase of the key that is named.
AskPassphrase = Callable[[str], str]
PROTECTIONS = ("file", "passphrase", "keyring")
_IDENTITY = "age.txt"
TLS_KEY, TLS_CERTIFICATE = "tls.pem", "tls.crt"
PASSPHRASE_VARIABLE = "DIADEM_PASSPHRASE"  # noqa: S105  the name of a variable


@dataclass(frozen=True, slots=True)
class KeyCabinet:
    """The keys of the node in a folder, `home`; the system's keyring keeps passphrases under the id of the `node`.

    Without `ask`, who asks a person for a passphrase, only DIADEM_PASSPHRASE and the keyring count.
    """

    home: Path
    node: str
    ask: AskPassphrase | None = None

    @property
    def folder(self) -> Path:
        """Where the key files lie."""
        return self.home / "keys"

    def make(self) -> None:
        """Make the folder, for its owner only."""
        (self.folder / "users").mkdir(parents=True, exist_ok=True)
        if os.name != "nt":
            self.folder.chmod(0o700)

    def keep(self, name: str, key: PrivateKey, *, protection: str = "file", passphrase: str | None = None) -> None:
        """Keep a key: ``online``, ``log`` or ``users/alice``.

        What protects it is ``file``, the permissions of the file alone; ``passphrase``, by which it is encrypted and
        which is asked for if it is not given; or ``keyring``: a random passphrase that the system's keyring keeps.
        """
        if protection not in PROTECTIONS:
            raise UsageError(f"'{protection}' is not a protection of a key", next=f"Use {', '.join(PROTECTIONS)}.")
        secret = None
        if protection == "keyring":
            secret = secrets.token_urlsafe(24)
            _keyring().set_password(self._service, name, secret)
        elif protection == "passphrase":
            secret = passphrase or self._asked(name)
        write_whole(self._path(name), key.to_pem(secret), mode=0o600)

    def open(self, name: str, *, protection: str = "file") -> PrivateKey:
        """Open a key. Raises `NotFound` where it is not kept here, `Refused` for a wrong passphrase or none."""
        from diadem.trust.keys import PrivateKey

        with self._named(name):
            return PrivateKey.from_pem(self._path(name).read_bytes(), self._secret(name, protection))

    def check(self, name: str, public: str | None) -> bool:
        """Look whether a key is here, whole, and the one that the log knows; whether it is encrypted.

        No passphrase is asked for. An error names the file, and the command that brings it back.
        """
        with self._named(name):
            data = self._path(name).read_bytes()
            if public is not None and _public_key(data) != public:
                raise IntegrityError("it is not the key that the log knows")
            return b"ENCRYPTED" in data

    @contextmanager
    def _named(self, name: str) -> Iterator[None]:
        """What is wrong with a key is told with its file and what brings it back."""
        path = self.folder / name if name == _IDENTITY else self._path(name)
        try:
            yield
        except FileNotFoundError as error:
            raise NotFound(f"the key {path.name} is gone", where=str(path), next=recover_here(self.home)) from error
        except PermissionError as error:
            raise Refused(
                f"the key '{name}' may not be read by this account",
                where=str(path),
                next="Work as the account that made the node, or hand files in through a store's incoming/ folder.",
            ) from error
        except Refused as error:
            error.where = error.where or str(path)
            raise
        except (DocumentError, IntegrityError) as error:
            raise type(error)(
                f"the key {path.name} is damaged: {error.message}", where=str(path), next=recover_here(self.home)
            ) from error

    def replace(self, name: str, successor: str) -> None:
        """Let one key take the place of another; both without a passphrase."""
        with translated(str(self._path(name)), "nothing was changed"):
            patiently(lambda: self._path(successor).replace(self._path(name)))
            flush_folder(str(self.folder))

    def has(self, name: str) -> bool:
        """Whether a key is kept on this machine."""
        return self._path(name).exists()

    def at_hand(self, protection: str) -> bool:
        """Whether a key that is protected so can be opened without asking anybody."""
        return protection in ("file", "keyring") or (protection == "passphrase" and PASSPHRASE_VARIABLE in os.environ)

    def _secret(self, name: str, protection: str) -> str | None:
        if protection == "file":
            return None
        if protection == "keyring":
            found = _keyring().get_password(self._service, name)
            if found is None:
                raise Refused(
                    f"the system's keyring has no passphrase for '{name}'",
                    next="Unlock the keyring, or recover the key with the recovery file.",
                )
            return str(found)
        return self._asked(name)

    def _asked(self, name: str) -> str:
        if given := os.environ.get(PASSPHRASE_VARIABLE):
            return given
        if self.ask is None:
            raise Refused(f"the key '{name}' needs its passphrase", next=f"Set {PASSPHRASE_VARIABLE}.")
        return self.ask(name)

    @property
    def _service(self) -> str:
        return f"diadem:{self.node[:16]}"

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.pem"

    # -- the age identity ------------------------------------------------------------------------------------------

    def keep_identity(self, identity: str) -> None:
        """Keep the node's age identity."""
        write_whole(self.folder / _IDENTITY, (identity + "\n").encode(), mode=0o600)

    def age_identity(self) -> str:
        """What opens what is sealed for the node: ``AGE-SECRET-KEY-1…``."""
        with self._named(_IDENTITY):
            return _identity((self.folder / _IDENTITY).read_bytes())

    # -- for the recovery ------------------------------------------------------------------------------------------

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Every key file as it lies here, with its path below the folder."""
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and not path.name.startswith("."):
                yield path.relative_to(self.folder).as_posix(), path.read_bytes()

    def is_whole(self, name: str, known: Collection[str]) -> bool:
        """Whether a file that `files` told of holds what it should; `known` are the public keys that the log knows.

        The listener's key is not in the log, and its certificate is made anew where it does not fit.
        """
        path = self.folder / name
        if not path.is_file():
            return False
        try:
            if name == _IDENTITY:
                return bool(_identity(path.read_bytes()))
            if name == TLS_KEY:
                return bool(pin_of_key(path.read_bytes()))
            return not name.endswith(".pem") or _public_key(path.read_bytes()) in known
        except (DocumentError, IntegrityError):
            return False

    def put_back(self, name: str, data: bytes) -> None:
        """Put a key file back as it was, under the name that `files` gave it, which must not lead out of the folder."""
        parts = name.split("/")
        if any(part in ("", ".", "..") or ":" in part or "\\" in part for part in parts) or len(parts) > 2:
            raise Refused(f"'{name}' is not the name of a key", next="Do not trust this store.")
        write_whole(self.folder.joinpath(*parts), data, mode=0o600)

    def exposed(self) -> list[Path]:
        """Key files that other accounts of this machine may read."""
        if os.name == "nt":
            return []
        files = (path for path in self.folder.rglob("*") if path.is_file())
        return [path for path in (self.folder, *files) if path.stat().st_mode & 0o077]


def _public_key(data: bytes) -> str:
    """The public half of the key in a file, ``ed25519:…``; of one that stays shut by its passphrase, what it states."""
    from diadem.trust.keys import PrivateKey

    try:
        return PrivateKey.from_pem(data, None).public.to_text()
    except Refused:
        stated = re.search(rb"^Public-Key: (.+?)\r?$", data, re.MULTILINE)
        return stated.group(1).decode("ascii", "replace") if stated else ""


def _identity(data: bytes) -> str:
    """The age identity in a file. Raises `DocumentError` where it holds none."""
    import pyrage

    try:
        text = data.decode("ascii").strip()
        pyrage.x25519.Identity.from_str(text)
    except (ValueError, pyrage.IdentityError):
        raise DocumentError("it holds no age identity") from None
    return text


def _keyring() -> Any:
    """The system's keyring."""
    try:
        import keyring
        from keyring.errors import NoKeyringError
    except ImportError as error:
        raise UsageError(
            "the system's keyring needs a package that is missing", next="Install it: pip install 'diadem-em[keyring]'."
        ) from error
    try:
        keyring.get_password("diadem", "probe")
    except NoKeyringError as error:
        raise Refused(
            "this system has no keyring", next="Protect the key by a passphrase: --protect passphrase."
        ) from error
    return keyring
