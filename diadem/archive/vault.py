"""Where a record's vendor blocks are: the package's `diadem/vendor.zip`, or an archive in memory."""

from __future__ import annotations

from typing import Any

from diadem.errors import IntegrityError
from diadem.model.manifest import VENDOR_PATH
from diadem.model.ports import Bundle
from diadem.package.opening import read_tag_file
from diadem.package.vendor import member
from diadem.serialization import typed_json


class Vault:
    """Blocks in an archive at hand.

    Parameters
    ----------
    archive : bytes
        A `vendor.zip`.
    """

    def __init__(self, archive: bytes) -> None:
        self._archive = archive

    def read(self, digest: str) -> bytes:
        """The block with this SHA-256. Raises `IntegrityError` where it is not there or damaged."""
        try:
            return member(self._archive, digest)
        except (KeyError, ValueError) as error:
            advice = "Verify the package."
            raise IntegrityError(f"the block {digest[:12]}… cannot be read", where=VENDOR_PATH, next=advice) from error

    def parsed(self, data: bytes) -> Any:
        """The tree that typed JSON stands for."""
        return typed_json.decode(data)


class PackageVault(Vault):
    """Blocks of a package: its archive is read, and proven against the package's id, when the first is asked for."""

    def __init__(self, bundle: Bundle, package_id: str) -> None:
        super().__init__(b"")
        self._bundle = bundle
        self._package_id = package_id

    def read(self, digest: str) -> bytes:
        """The block with this SHA-256. Raises `IntegrityError`."""
        if not self._archive:
            self._archive = read_tag_file(self._bundle, VENDOR_PATH, self._package_id)
        return super().read(digest)
