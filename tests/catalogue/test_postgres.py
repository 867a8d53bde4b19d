"""What is a server's own: addresses, errors, other sessions, and that questions use their indices."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from diadem.catalogue import Catalogue, database
from diadem.catalogue.candidates import candidates_of
from diadem.catalogue.conditions import FactReader
from diadem.catalogue.database import ServerAddress
from diadem.catalogue.package_key import EVERYTHING, days_between
from diadem.catalogue.query import parse
from diadem.catalogue.words import Words
from diadem.errors import NotFound, Refused, StoreError, Unreachable, UsageError
from tests.catalogue.making import dataset, entry
from tests.postgres_server import PostgresServer


@pytest.fixture
def on_server(postgres_server: PostgresServer) -> Iterator[Catalogue]:
    with Catalogue.open(postgres_server.url(), create=True) as made:
        yield made


@pytest.mark.parametrize(
    ("address", "server", "schema"),
    [
        ("postgresql://host/db", "postgresql://host/db", "diadem"),
        ("postgres://a@host:5433/db?schema=x_1", "postgresql://a@host:5433/db", "x_1"),
        ("postgresql://host/db?sslmode=require&schema=x", "postgresql://host/db?sslmode=require", "x"),
        ("postgresql:///db?host=/run/postgresql", "postgresql:///db?host=%2Frun%2Fpostgresql", "diadem"),
    ],
)
def test_addresses(address: str, server: str, schema: str) -> None:
    read = ServerAddress.parse(address)
    assert (read.server, read.schema) == (server, schema)
    assert ServerAddress.parse(str(read)) == read


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://a:secret@host/db",
        "postgresql://host/db?password=secret",
        "postgresql://host",
        "postgresql://host/db?schema=A b",
        "postgresql://[host/db",
    ],
)
def test_addresses_that_are_refused(address: str) -> None:
    with pytest.raises(UsageError) as caught:
        ServerAddress.parse(address)
    assert "secret" not in str(caught.value)


def test_who_is_not_let_in_and_what_is_not_there(postgres_server: PostgresServer) -> None:
    for create in (False, True):
        with pytest.raises(Refused, match=r"(?s)refuses the login.*pgpass"):
            Catalogue.open(postgres_server.url().replace("diadem@", "nobody@"), create=create)
        with pytest.raises(NotFound, match="no such database"):
            Catalogue.open(postgres_server.url().replace("/postgres?", "/nowhere?"), create=create)
    with pytest.raises(NotFound, match=r"node\.reindex"):
        Catalogue.open(postgres_server.url())


def test_a_role_that_may_only_read(on_server: Catalogue) -> None:
    name = on_server.address.rpartition("=")[2]
    with on_server.writing() as connection:
        connection.exec_driver_sql(f"CREATE ROLE reader_{name} LOGIN")
        connection.exec_driver_sql(f"GRANT USAGE ON SCHEMA {name} TO reader_{name}")
        connection.exec_driver_sql(f"GRANT SELECT ON ALL TABLES IN SCHEMA {name} TO reader_{name}")
    with Catalogue.open(on_server.address.replace("diadem@", f"reader_{name}@")) as reader:
        assert reader.count() == 0
        with pytest.raises(StoreError, match=r"(?s)cannot be written.*GRANT"):
            reader.add_package(entry())


def test_a_server_that_goes_away_and_comes_back(own_server: PostgresServer) -> None:
    with Catalogue.open(own_server.url(), create=True) as catalogue:
        catalogue.add_package(entry("one"))
        own_server.stop("fast")
        for _ in range(2):
            with pytest.raises(Unreachable, match=r"(?s)does not answer.*Packages and log are not affected"):
                catalogue.search("one")
        with pytest.raises(Unreachable):
            Catalogue.open(own_server.url(), create=True)
        own_server.start()
        assert catalogue.search("one").total == 1, "the same catalogue, without opening it anew"
        catalogue.add_package(entry("two"))
        assert catalogue.count() == 2


def test_who_waits_too_long_is_told(on_server: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    from diadem.catalogue import postgres as server

    monkeypatch.setitem(server._SETTINGS, "lock_timeout", "100ms")
    with Catalogue.open(on_server.address) as impatient, on_server.together():
        assert impatient.count() == 0
        with pytest.raises(Refused, match="another process"):
            impatient.add_package(entry())
    on_server.add_package(entry())


def test_a_later_version_is_refused(on_server: Catalogue) -> None:
    with on_server.writing() as connection:
        connection.exec_driver_sql("INSERT INTO schema_version VALUES (1000, 'later')")
    with pytest.raises(Refused, match="version 1000"):
        Catalogue.open(on_server.address)


def test_what_is_damaged_is_set_aside(on_server: Catalogue) -> None:
    on_server.add_package(entry())
    with on_server.writing() as connection:
        connection.exec_driver_sql("DROP TABLE phrases CASCADE")
    with pytest.raises(NotFound, match=r"node\.reindex"):
        on_server.search("one")
    for _ in range(2):
        Catalogue.set_aside(on_server.address)
        with Catalogue.open(on_server.address, create=True) as fresh:
            assert fresh.search("one").total == 0


def test_readers_see_the_old_catalogue_or_the_new_one(on_server: Catalogue) -> None:
    """Whoever is in the midst of reading is waited for; whoever comes then waits, and sees the new one."""
    on_server.add_package(entry("old"))
    draft = on_server.draft()
    draft.add_package(entry("new"))
    draft.complete()  # all that is left is to wait, also on a machine that has much to do
    states = on_server.package_states()
    assert next(states).title == "old"
    begun = threading.Event()

    def put_in_place() -> None:
        begun.set()
        on_server.take_over(draft)

    with ThreadPoolExecutor(2) as pool:
        taking = pool.submit(put_in_place)
        begun.wait(10)
        with pytest.raises(TimeoutError):
            taking.result(0.5)
        late = pool.submit(lambda: [row.title for row in on_server.search("")])
        assert list(states) == []
        taking.result(30)
        assert late.result(30) == ["new"]
    assert [row.title for row in on_server.search("new")] == ["new"]


def test_a_text_with_nul_is_kept_and_found(on_server: Catalogue) -> None:
    on_server.add_package(entry("one", [dataset(1, "a\0b.tif", {"detector.name": "HA\0ADF"})], title="zero\0 point"))
    assert on_server.search("zero point").rows[0].title == "zero\ufffd point"
    assert on_server.search("file:a").rows[0].matched[0].path == "a\ufffdb.tif"


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("ZnO", "texts_words"),
        ("ZnO HAADF", "texts_words"),
        ("nano*", "texts_words"),
        ('title:"ZnO nanorods"', "texts_words"),
        ("kV=200", "numbers_by_key"),
        ("quality:accept", "assessments_by_verdict"),
    ],
)
def test_questions_use_their_index(on_server: Catalogue, query: str, index: str) -> None:
    """Also where a planner that knows nothing of vectors would go through everything."""
    on_server.add_package(entry("ZnO nanorods", [dataset(1, "a.tif", {"beam.acceleration_voltage": 200e3})]))
    condition = parse(query).condition
    with on_server.reading() as connection:
        source: Any = candidates_of(FactReader(connection), condition)
        asked = source.chunk(None, 50, rising=False) if source.ordered else source.source
        if source.part is not None:
            asked = source.part(EVERYTHING).source.params(source.part(EVERYTHING).values)
        text = str(asked.compile(connection, compile_kwargs={"literal_binds": True}))
        plan = "\n".join(row[0] for row in connection.exec_driver_sql("EXPLAIN " + text.replace("%", "%%")))
    assert index in plan, plan


def test_indices_of_judgements_hold_what_else_is_asked_of_the_same_one(on_server: Catalogue) -> None:
    with on_server.reading() as connection:
        rows = connection.exec_driver_sql("SELECT indexname, indexdef FROM pg_indexes")
        made = {row.indexname: row.indexdef for row in rows}
    assert made["assessments_by_both"].endswith("(purpose, verdict, package) INCLUDE (criterion, assessor)")
    assert sum("INCLUDE" in made[index] for index in made if index.startswith("assessments_by_")) == 5


def test_of_a_common_word_the_hits_of_some_days_are_found_without_the_others(on_server: Catalogue) -> None:
    """The index has the places of packages."""
    days = [datetime.date(2024, 1, 1) + datetime.timedelta(days=number) for number in range(60)]
    with on_server.together():
        for number, day in enumerate(days):
            on_server.add_package(entry(f"ZnO {number}", date=day))
    stretch = days_between(days[10], days[20])
    with on_server.reading() as connection:
        hits = database.of(connection).text_search(Words(("zno",)), stretch)
        asked = hits.source.compile(connection)
        values = asked.construct_params(hits.values)
        plan = connection.exec_driver_sql("EXPLAIN (ANALYZE) " + str(asked), values).scalars().all()
    read = next(line for line in plan if "Bitmap Index Scan on texts_words" in line)
    assert "rows=10 " in read.partition("actual")[2], "\n".join(plan)
