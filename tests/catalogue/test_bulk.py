"""Many at once are what they are one by one, whatever is known before."""

from __future__ import annotations

import datetime
import sqlite3
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from diadem.catalogue import Catalogue, CopyEntry, StatementEntry
from tests.catalogue.making import NOW, dataset, entry, package_id

NAMES = ("one", "two", "three", "four")
STORES = ("lab", "nas")
LEVELS = ("written", "read-back", "none", "")

copies = st.builds(
    CopyEntry,
    st.sampled_from(NAMES).map(package_id),
    st.sampled_from(STORES),
    st.sampled_from(("2026/a", "2026/b")),
    st.integers(0, 3).map(lambda hours: NOW + datetime.timedelta(hours=hours)),
    level=st.sampled_from(LEVELS),
    statement_id=st.sampled_from((None, "ab" * 32)),
    adopted=st.booleans(),
    place=st.sampled_from((None, "disk")),
)
packages = st.builds(
    lambda name, day, file: entry(
        name, date=datetime.date(2026, 3, day), datasets=[dataset(1, file, {"beam.acceleration_voltage": 2e5 + day})]
    ),
    st.sampled_from(NAMES[:3]),
    st.integers(1, 3),
    st.sampled_from(("a.tif", "b.tif")),
)
statements = st.builds(
    lambda index, kind, about: StatementEntry(1, index, f"{index:064x}", kind, about, NOW, b"%d" % index),
    st.integers(0, 5),
    st.sampled_from(("ingest", "fixity")),
    st.lists(st.sampled_from(NAMES).map(lambda name: package_id(name)[7:]), max_size=3),
)


@settings(max_examples=25, deadline=None)
@given(
    known=st.lists(packages, max_size=2),
    added=st.lists(packages, max_size=4),
    before=st.lists(copies, max_size=2),
    written=st.lists(copies, max_size=6),
    said=st.lists(statements, max_size=6, unique_by=lambda one: one.index),
)
def test_many_at_once(known: Any, added: Any, before: Any, written: Any, said: Any) -> None:
    with TemporaryDirectory() as folder:
        contents = []
        for together in (True, False):
            path = Path(folder) / f"{together}.sqlite"
            with Catalogue.open(path, create=True) as catalogue:
                for one in known:
                    catalogue.add_package(one)
                catalogue.add_copies(before)
                calls = (
                    (catalogue.add_packages, added),
                    (catalogue.add_copies, written),
                    (catalogue.add_statements, said),
                )
                for method, many in calls:
                    for part in [many] if together else [[one] for one in many]:
                        method(part)
                facets = catalogue.facets("").to_dict()
            contents.append(content(path) | {"facets": [facets]})
        assert contents[0] == contents[1]


def content(path: Path) -> dict[str, list[Any]]:
    """Rows of every table, those of keys and versions aside."""
    found = {}
    with closing(sqlite3.connect(path)) as database:
        codes = dict(database.execute("SELECT code, name FROM keys"))
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            if not table.startswith(("texts_", "facet_", "keys", "schema", "sqlite")):
                cursor = database.execute(f"SELECT * FROM {table}")
                names = [item[0] for item in cursor.description]
                rows = [dict(zip(names, row, strict=True)) for row in cursor]
                for row in rows if table in ("numbers", "phrases") else ():
                    row["key"] = codes[row["key"]]
                found[table] = sorted((tuple(row.items()) for row in rows), key=repr)
    return found
