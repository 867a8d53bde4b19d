"""The listener's key and certificate, in the node's cabinet: ``keys/tls.pem`` and ``keys/tls.crt``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from diadem.node.context import Context
from diadem.node.mirroring import mirror_settings
from diadem.store.whole import write_whole
from diadem.trust.tls_key import is_due, new_certificate, new_tls_key, pin_of_key

KEY_FILE: Final = "tls.pem"
CERTIFICATE_FILE: Final = "tls.crt"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """What the listener shows.

    Attributes
    ----------
    key, certificate : Path
        PEM files, for their owner only.
    pin : str
        64 hex digits: SHA-256 of the public key. Others know the listener by it.
    """

    key: Path
    certificate: Path
    pin: str


def tls_files(context: Context) -> TlsFiles:
    """The listener's files; made where they are missing. A certificate that ends soon is made anew for the same key.

    Raises
    ------
    DocumentError
        The key file holds something else.
    """
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
