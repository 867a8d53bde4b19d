"""Package ids: SHA-256 of `tagmanifest-sha256.txt`, written ``diadem:<64 hex>``."""

from __future__ import annotations

import re
from typing import Self

from diadem.errors import UsageError

PREFIX = "diadem:"
_FULL = re.compile(r"(?:diadem:)?([0-9a-f]{64})\Z")


class PackageId(str):
    """The id of a package; a string ``diadem:<64 hex>``."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Accept the id with or without its prefix."""
        match = _FULL.match(text)
        if match is None:
            raise UsageError(f"'{text}' is not a package id", next="Write diadem: and 64 lower-case hex digits.")
        return super().__new__(cls, PREFIX + match.group(1))

    @property
    def hex(self) -> str:
        """The 64 hex digits."""
        return self[len(PREFIX) :]
