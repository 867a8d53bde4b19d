"""The recovery file: what is needed, and enough, to make a lost node again from one of its stores.

It holds the root key and the identity that opens the keys mirrored in the stores. With a passphrase both stand in an
age file, which `age -d` opens too; without one they stand there as they are, and the file says so.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from diadem.errors import DocumentError, NotFound, Refused
from diadem.node.config import StoreSettings
from diadem.trust.keys import PrivateKey

_LIMIT = 1 << 20
_AGE = re.compile(r"-----BEGIN AGE ENCRYPTED FILE-----.*?-----END AGE ENCRYPTED FILE-----", re.DOTALL)
_PLAIN = re.compile(r"^secret: (\{.*\})$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class RecoverySecret:
    """What the recovery file protects."""

    #: The node's root key; its public key's SHA-256 is the node's id.
    root: PrivateKey
    #: ``AGE-SECRET-KEY-…``: opens the keys mirrored in the stores.
    identity: str

    @classmethod
    def new(cls) -> RecoverySecret:
        """A new root key and a new identity."""
        import pyrage

        return cls(PrivateKey.generate(), str(pyrage.x25519.Identity.generate()))

    @property
    def recipient(self) -> str:
        """The public half of the identity, ``age1…``: what is mirrored is sealed for it."""
        import pyrage

        return str(pyrage.x25519.Identity.from_str(self.identity).to_public())


def recovery_text(
    secret: RecoverySecret, *, name: str, created: str, stores: Sequence[StoreSettings], passphrase: str
) -> str:
    """The text of the recovery file; without a passphrase the secret is unprotected, and the text says so."""
    import pyrage

    secrets = json.dumps({"root": secret.root.to_pem(None).decode(), "identity": secret.identity})
    if passphrase:
        armored: bytes = pyrage.passphrase.encrypt(secrets.encode(), passphrase, armored=True)
        sealed = armored.decode().strip()
    else:
        sealed = f"secret: {secrets}"
    places = "\n".join(f"  {store.name}: {store.url} ({store.kind})" for store in stores)
    return f"""DIADEM RECOVERY FILE of the node {name}

Print this page, or keep it on a USB stick in a drawer: away from the machine that runs the node.
Whoever has it{" and its passphrase" if passphrase else ""} can speak in the name of the node.
{
        "It is protected by the passphrase that was given when it was made."
        if passphrase
        else "IT IS NOT PROTECTED BY A PASSPHRASE. Lock it away."
    }

node id: {secret.root.public.key_id}
created: {created}
stores:
{places}

If the machine is lost, install DIADEM on another one and run
  diadem init NEW_FOLDER --recover STORE --recovery-file THIS_FILE
with any of the stores above. The archive needs no DIADEM to be read: see README.txt in each store.

{sealed}
"""


def read_recovery(path: Path, passphrase: str = "") -> RecoverySecret:
    """Open a recovery file. Raises `DocumentError` where it is none, `Refused` for a wrong passphrase or none."""
    try:
        text = path.read_bytes()[:_LIMIT].decode("utf-8", "replace").replace("\r\n", "\n")
    except FileNotFoundError as error:
        raise NotFound("there is no recovery file", where=str(path), next="Name the file that init wrote.") from error
    text = textwrap.dedent(text)
    if plain := _PLAIN.search(text):
        opened = plain.group(1)
    elif sealed := _AGE.search(text):
        opened = _opened(sealed.group(0), passphrase, path)
    else:
        raise DocumentError("this is not a recovery file", where=str(path), next="Name the file that init wrote.")
    try:
        document: Mapping[str, str] = json.loads(opened)
        return RecoverySecret(PrivateKey.from_pem(document["root"].encode(), None), document["identity"])
    except (ValueError, KeyError, TypeError) as error:
        raise DocumentError(
            "the secret in the recovery file is damaged", where=str(path), next="Use another copy of it."
        ) from error


def _opened(sealed: str, passphrase: str, path: Path) -> str:
    import pyrage

    if not passphrase:
        raise Refused("the recovery file is protected", where=str(path), next="Give its passphrase.")
    try:
        opened: bytes = pyrage.passphrase.decrypt(sealed.encode() + b"\n", passphrase)
    except pyrage.DecryptError as error:
        raise Refused("the passphrase does not open the recovery file", where=str(path), next="Try again.") from error
    return opened.decode()


def seal_keys(files: Mapping[str, bytes], recipient: str) -> bytes:
    """Key files as one age file that only the recovery file opens."""
    import pyrage

    text = json.dumps({name: data.decode("latin-1") for name, data in files.items()})
    sealed: bytes = pyrage.encrypt(text.encode(), [pyrage.x25519.Recipient.from_str(recipient)])
    return sealed


def open_keys(sealed: bytes, identity: str) -> dict[str, bytes]:
    """The key files of such an age file. Raises `Refused` where the identity does not open it."""
    import pyrage

    try:
        text: bytes = pyrage.decrypt(sealed, [pyrage.x25519.Identity.from_str(identity)])
    except pyrage.DecryptError as error:
        raise Refused(
            "this recovery file does not open the keys in the store", next="Use the recovery file of this node."
        ) from error
    return {name: data.encode("latin-1") for name, data in json.loads(text).items()}
