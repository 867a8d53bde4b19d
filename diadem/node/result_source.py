"""What is looked up of a node when a table or a page is made of what a search has found."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from diadem.catalogue.results import Opener, PackageRow, StatedDataset
from diadem.catalogue.vocabulary import stated_fields
from diadem.errors import DiademError
from diadem.node.context import Context

#: Bytes of pictures in one table, and seconds that are spent on them: a table without pictures is better than none.
MOST_BYTES: Final = 2 << 20
MOST_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class ResultSource:
    """A node as the source of a result (`diadem.catalogue.results.Source`).

    Parameters
    ----------
    opener : Opener
        Has the node, or opens it.
    """

    opener: Opener

    @property
    def context(self) -> Context:
        """The node."""
        found: Context = self.opener.node.context
        return found

    def stated(self, query: str, ids: Sequence[str], fields: Sequence[str]) -> list[StatedDataset]:
        """Datasets that match in some packages, with values of fields. Raises `UsageError`."""
        return self.context.catalogue.stated(query, ids, fields)

    def units(self, fields: Sequence[str]) -> Mapping[str, str]:
        """Units of those fields that are numbers. Raises `UsageError`."""
        return {name: key.unit for name, key in stated_fields(fields).items() if key.kind == "number"}

    def thumbnails(self, rows: Sequence[PackageRow]) -> Mapping[str, str]:
        """Small pictures as data addresses, by id of the package, of those with a copy that is at hand.

        Of a package no more than its manifest and its page are read; what takes too long is left out.
        """
        from diadem.node.thumbnails import thumbnail_of

        found: dict[str, str] = {}
        left, until = MOST_BYTES, time.monotonic() + MOST_SECONDS
        for row in rows:
            if time.monotonic() > until:
                break
            if not any(self.context.stores.reachable(store) for store in row.stores if self._knows(store)):
                continue
            try:
                address = thumbnail_of(self.context, row)
            except (DiademError, OSError):  # a copy that is damaged or away has no picture; scrub tells why
                continue
            if address and len(address) <= left:
                found[row.id] = address
                left -= len(address)
        return found

    def _knows(self, store: str) -> bool:
        return store in self.context.stores.names
