"""Searching (for the time being: words)."""

from __future__ import annotations

from sqlalchemy import Connection, func, select, text

from diadem.node.catalogue import tables
from diadem.node.catalogue.reading import package_rows
from diadem.node.catalogue.results import SearchResult
from diadem.node.catalogue.words import words


def search(connection: Connection, query: str, *, limit: int | None, offset: int, order: str) -> SearchResult:
    """Packages whose texts hold all the words."""
    packages = tables.packages.c
    wanted = select(packages.seq).where(packages.tombstone.is_(None))
    if found := words(query):
        match = text("SELECT rowid FROM texts WHERE texts MATCH :match").bindparams(
            match=" ".join(f'"{word}"' for word in found)
        )
        wanted = wanted.where(packages.seq.in_(match))
    total = int(connection.scalar(select(func.count()).select_from(wanted.subquery())) or 0)
    keys = packages.seq.desc() if order == "newest" else packages.seq
    page = wanted.order_by(keys).limit(limit if limit is not None else -1).offset(offset)
    return SearchResult(query, tuple(package_rows(connection, list(connection.scalars(page)))), total)
