"""Packages, replicas, proofs, statements: what is written is read again, and counts only while it is true."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from diadem.catalogue import Catalogue, StatementEntry, sqlite
from diadem.catalogue.packages import KEPT
from diadem.errors import DiademError, NotFound, Refused, StoreError, UsageError
from diadem.model.replicas import ReplicaState
from tests.catalogue.making import NOW, dataset, entry, package_id

ONE = package_id("one")
HOUR = datetime.timedelta(hours=1)


def test_a_package_is_read_again(catalogue: Catalogue) -> None:
    people = [{"name": "Marie Curie", "role": "operator"}, {"name": "Otto Hahn"}]
    fields = {"instrument.model": "Titan", "person.operator": "user"}
    catalogue.add_package(
        entry(
            datasets=[dataset(1, "a/b.tif", fields, issues=[{"code": "truncated"}]), dataset(2, "a/c.tif", {})],
            people=people,
            sample={"identifier": "S-12", "name": "ZnO"},
            omitted=2,
            predecessor=package_id("zero"),
        )
    )
    row = catalogue.get(ONE)
    assert row == catalogue.get(ONE[7:17]) == catalogue.get(ONE[:20]) == catalogue.get(row.payload_id[:12])
    assert (row.instrument, row.sample, row.operator, row.formats) == ("Titan", "ZnO", "Marie Curie", ("tiff",))
    assert (row.datasets, row.files, row.bytes, row.omitted, row.issues) == (2, 2, 1000, 2, {"truncated": 1})
    assert [item.path for item in row.matched] == ["a/b.tif", "a/c.tif"]
    assert (row.date, row.ingested_at, row.owner) == (datetime.date(2026, 3, 14), NOW, "alice@hu-berlin")
    assert row.continues == package_id("zero")


def test_ids_that_are_none(catalogue: Catalogue) -> None:
    for text in ("", "abc", "diadem:12", "xyz" * 10, "g" * 64):
        with pytest.raises(UsageError, match="not a package id"):
            catalogue.get(text)
    with pytest.raises(NotFound):
        catalogue.get("0123456789")


def test_a_second_catalogue_in_a_file_compiles_no_statement_anew(tmp_path: Path) -> None:
    sqlite._COMPILED.clear()
    known: list[set[object]] = []
    for name in ("first", "second"):
        with Catalogue.open(tmp_path / f"{name}.sqlite", create=True) as catalogue:
            catalogue.add_package(entry())
            assert catalogue.get(ONE).title == "one"
        known.append(set(sqlite._COMPILED))
    assert known[0]
    assert known[1] <= known[0]


def test_a_package_is_written_anew(catalogue: Catalogue) -> None:
    """Another date, other facts: nothing of before is left, and its copies stay."""
    catalogue.add_package(entry(datasets=[dataset(1, "old.tif", {"beam.acceleration_voltage": 80e3})]))
    catalogue.set_replica(ONE, "lab", "2026/one", state="present", written=NOW)
    catalogue.add_proof(ONE, "lab", level="full", at=NOW, ok=True)
    catalogue.add_package(
        entry(date=datetime.date(2020, 1, 1), datasets=[dataset(1, "new.tif", {"beam.acceleration_voltage": 200e3})])
    )
    assert [catalogue.search(text).total for text in ("old", "kV=80", "date:2026")] == [0, 0, 0]
    assert [catalogue.search(text).total for text in ("new", "kV=200", "date:2020", "store:lab")] == [1, 1, 1, 1]
    assert catalogue.replicas(ONE)[0].proven_level == "full"
    assert catalogue.count() == 1


def test_payload_files_that_no_reader_knows_are_found(catalogue: Catalogue) -> None:
    lines = [
        "#diadem-index/1\tleaf=1048576\tblake3",
        "data/notes.txt\t5\t0\t1.000000000\t",
        "data/odd_~1.txt\t5\t1\t1.000000000\todd%3Aname.txt",
        "data/diadem-record.json\t5\t2\t1.000000000\t",
    ]
    index = ("\n".join(lines) + "\n").encode()
    catalogue.add_package(entry(datasets=[dataset(1, "a.tif", {})], tag_files={"diadem/index.tsv": index}))
    for query in ("file:notes.txt", "file:odd:name", "notes a.tif"):
        assert catalogue.search(query).total == 1, query
    assert catalogue.search("file:diadem-record").total == 0
    assert catalogue.tag_files(ONE) == {"diadem/index.tsv": index}


def test_a_damaged_index_does_not_hinder(catalogue: Catalogue) -> None:
    catalogue.add_package(entry(tag_files={"diadem/index.tsv": b"\xff\x00 nonsense"}))
    assert catalogue.search("one").total == 1


def test_values_that_no_database_holds(catalogue: Catalogue) -> None:
    """They are left out; the others are found, and names that were no UTF-8 with a mark in their place."""
    numbers = (float("nan"), float("inf"), 10**400, 2**53, 2**53 + 1, 0.0, -0.0)
    moments = ("2026-03-14T09:26:53+01:00", "2026-03-14T09:26:53Z", "2016-12-31T23:59:60Z")
    fields = {"scan.frames": numbers, "time.acquired_start": moments}
    catalogue.add_package(entry(title="sch\udcf6n one", datasets=[dataset(1, "b\udcffd.tif", fields)]))
    for query in ("frames=0", "frames>=9e15", "acquired:2026-03-14T09:26", "file:tif", "one"):
        assert catalogue.search(query).total == 1, query
    assert catalogue.search("frames>1e300").total == 0
    assert catalogue.get(ONE).title == "sch\ufffdn one"
    assert catalogue.get(ONE).to_dict()["matched"][0]["path"] == "b\ufffdd.tif"


def test_tag_files_are_kept_whole_and_the_vendors_to_a_limit(catalogue: Catalogue) -> None:
    files = {"bagit.txt": b"BagIt", "diadem/leaves.blake3": bytes(range(256)) * 100, "diadem/vendor.zip": b"v" * 10}
    catalogue.add_package(entry(tag_files=files))
    assert catalogue.tag_files(ONE) == files
    catalogue.add_package(entry(tag_files={**files, "diadem/vendor.zip": bytes(KEPT["diadem/vendor.zip"] + 1)}))
    assert catalogue.tag_files(ONE).keys() == {"bagit.txt", "diadem/leaves.blake3"}


def test_replicas(catalogue: Catalogue) -> None:
    with pytest.raises(NotFound, match=r"node\.reindex"):
        catalogue.set_replica(ONE, "lab", "p", state="present")
    catalogue.add_package(entry())
    with pytest.raises(UsageError, match="not a state"):
        catalogue.set_replica(ONE, "lab", "p", state="fine")
    catalogue.set_replica(ONE, "lab", "p", state="present", written=NOW, adopted=True, parity=True, place="disk:1")
    lab = ReplicaState("lab", "p", "present", adopted=True, written_at=NOW, parity=True, place="disk:1")
    assert catalogue.replicas(ONE) == (lab,)
    catalogue.set_replica(ONE, "lab", "q", state="suspect")
    catalogue.set_replica(ONE, "attic", "r", state="missing")
    assert [(one.store, one.state, one.path) for one in catalogue.replicas(ONE)] == [
        ("attic", "missing", "r"),
        ("lab", "suspect", "q"),
    ]
    assert catalogue.replicas(ONE)[1] == dataclasses.replace(lab, state="suspect", path="q")
    assert catalogue.get(ONE).copies == 0
    catalogue.forget_replica(ONE, "lab")
    assert [one.store for one in catalogue.replicas(ONE)] == ["attic"]


@pytest.mark.parametrize("path", ["/data/S\udcfcd/a b", "2026/20260314-zno", "C:\\Daten\\Süd 100%", "/data/日本%20"])
def test_paths_come_back_as_they_were(catalogue: Catalogue, path: str) -> None:
    catalogue.add_package(entry())
    catalogue.set_replica(ONE, "adopted", path, state="present", adopted=True)
    assert catalogue.replicas(ONE)[0].path == path
    (state,) = catalogue.package_states()
    assert state.replicas[0].path == path


def proven(catalogue: Catalogue) -> tuple[datetime.datetime | None, str]:
    (replica,) = catalogue.replicas(ONE)
    return replica.proven_at, replica.proven_level


def test_the_last_proof_of_every_byte_counts(catalogue: Catalogue) -> None:
    catalogue.add_package(entry())
    catalogue.set_replica(ONE, "lab", "p", state="present", written=NOW)
    assert proven(catalogue) == (None, "")
    catalogue.add_proof(ONE, "lab", level="quick", at=NOW + HOUR, ok=True)
    catalogue.add_proof(ONE, "lab", level="full", at=NOW + HOUR, ok=False)
    catalogue.add_proof(ONE, "lab", level="earlier", at=NOW + HOUR, ok=True)
    catalogue.add_proof(ONE, "nas", level="full", at=NOW + HOUR, ok=True)
    assert proven(catalogue) == (None, ""), "no byte was read, or it was wrong, or it lies elsewhere"
    catalogue.add_proof(ONE, "lab", level="written", at=NOW, ok=True)
    catalogue.add_proof(ONE, "lab", level="leaves", at=NOW + 2 * HOUR, ok=True)
    assert proven(catalogue) == (NOW + 2 * HOUR, "leaves")
    catalogue.add_proof(ONE, "lab", level="full", at=NOW + 2 * HOUR, ok=True)
    catalogue.add_proof(ONE, "lab", level="leaves", at=NOW + 2 * HOUR, ok=True)
    assert proven(catalogue) == (NOW + 2 * HOUR, "full"), "of two at one time the stronger"
    catalogue.set_replica(ONE, "lab", "p", state="present", parity=True)
    assert proven(catalogue) == (NOW + 2 * HOUR, "full"), "nothing was written"


def test_a_clock_that_was_ahead_once_does_not_keep_later_proofs_from_counting(catalogue: Catalogue) -> None:
    catalogue.add_package(entry())
    catalogue.set_replica(ONE, "lab", "p", state="present", written=NOW + 40_000 * HOUR)
    catalogue.add_proof(ONE, "lab", level="written", at=NOW + 40_000 * HOUR, ok=True)
    catalogue.add_proof(ONE, "lab", level="leaves", at=NOW, ok=True)
    assert proven(catalogue) == (NOW, "leaves")


def test_proofs_of_what_lay_there_before_do_not_count(catalogue: Catalogue) -> None:
    catalogue.add_package(entry())
    catalogue.add_proof(ONE, "lab", level="full", at=NOW, ok=True)
    catalogue.set_replica(ONE, "lab", "p", state="present", written=NOW + HOUR)
    assert proven(catalogue) == (None, "")
    catalogue.add_proof(ONE, "lab", level="full", at=NOW + HOUR, ok=True)
    assert proven(catalogue) == (NOW + HOUR, "full")
    catalogue.set_replica(ONE, "lab", "p", state="present", written=NOW + HOUR)
    assert proven(catalogue) == (None, ""), "nor if both were in the same second"


@pytest.mark.parametrize("state", ["suspect", "missing", "dropped"])
def test_what_is_damaged_must_be_proven_again(catalogue: Catalogue, state: str) -> None:
    catalogue.add_package(entry())
    catalogue.set_replica(ONE, "lab", "p", state="present", written=NOW)
    catalogue.add_proof(ONE, "lab", level="full", at=NOW + HOUR, ok=True)
    catalogue.set_replica(ONE, "lab", "p", state=state)
    assert proven(catalogue) == (None, "")
    catalogue.set_replica(ONE, "lab", "p", state="present")
    assert proven(catalogue) == (None, "")
    catalogue.add_proof(ONE, "lab", level="leaves", at=NOW + 2 * HOUR, ok=True)
    assert proven(catalogue) == (NOW + 2 * HOUR, "leaves")


def test_proofs_of_a_slice(catalogue: Catalogue) -> None:
    for name in ("one", "two"):
        catalogue.add_package(entry(name))
        catalogue.set_replica(package_id(name), "lab", "p", state="present", written=NOW)
    ids = [ONE, package_id("unknown"), package_id("two")]
    assert catalogue.add_proofs(ids, "lab", level="full", at=NOW, ok=True, statement_id="ab") == 2
    assert all(state.replicas[0].proven for state in catalogue.package_states())
    with pytest.raises(NotFound):
        catalogue.add_proof(package_id("unknown"), "lab", level="full", at=NOW, ok=True)


def note(catalogue: Catalogue, index: int, kind: str, *subjects: str) -> str:
    statement_id = hashlib.sha256(f"{index} {kind}".encode()).hexdigest()
    catalogue.add_statements([StatementEntry(1, index, statement_id, kind, subjects, NOW, b"%d" % index)])
    return statement_id


def test_statements(catalogue: Catalogue) -> None:
    catalogue.add_package(entry())
    note(catalogue, 7, "fixity", ONE, package_id("two"))
    note(catalogue, 2, "ingest", ONE, ONE)
    note(catalogue, 2, "ingest", ONE)
    assert catalogue.statements(ONE) == catalogue.statements(ONE[7:]) == [b"2", b"7"]
    assert catalogue.statements(package_id("two")) == [b"7"]
    catalogue.forget_statements()
    assert catalogue.statements(ONE) == []


def test_states_for_the_policy(catalogue: Catalogue) -> None:
    voltage = {"beam.acceleration_voltage": 80e3}
    catalogue.add_package(entry("one", [dataset(1, "a.tif", voltage)]))
    catalogue.add_package(entry("two", date=None, ingested_at=None))
    catalogue.add_package(entry("three", people=[{"name": "Marie Curie", "role": "operator"}]))
    for store in ("nas", "lab"):
        catalogue.set_replica(ONE, store, "p", state="present", written=NOW)
    note(catalogue, 0, "ingest", ONE)
    note(catalogue, 1, "fixity", package_id("two"))
    catalogue.tombstone(package_id("three"), reason="asked for", at=NOW)
    states = {
        state.title: state for state in catalogue.package_states(["beam.acceleration_voltage", "person.operator"])
    }
    one, two, three = states["one"], states["two"], states["three"]
    assert [replica.store for replica in one.replicas] == ["lab", "nas"]
    assert (one.signed, two.signed) == (True, False)
    assert (one.date, two.date, two.ingested_at) == (datetime.date(2026, 3, 14), None, None)
    assert one.missing_fields == ("person.operator",)
    assert two.missing_fields == ("beam.acceleration_voltage", "person.operator")
    assert (one.tombstoned, three.tombstoned) == (False, True)
    assert one.payload_id == catalogue.get(ONE).payload_id
    assert catalogue.package_state(ONE).replicas == one.replicas


def test_a_tombstone(catalogue: Catalogue) -> None:
    """What the record says is gone; that there was a package, and why it is no more, stays."""
    catalogue.add_package(entry(datasets=[dataset(1, "a.tif", {})], tag_files={"bagit.txt": b"x"}))
    catalogue.add_package(entry("two"))
    catalogue.tombstone(ONE, reason="asked for", at=NOW, statement_id="ab")
    for query in ("", "one", "date:2026", "size>=0", "id:" + ONE, "not two", "one or kV=1"):
        assert ONE not in {row.id for row in catalogue.search(query)}, query
    assert (catalogue.search("").total, catalogue.search("date:2026").total, catalogue.count()) == (1, 1, 1)
    assert catalogue.get(ONE).tombstone == {"at": "2026-03-15T12:00:00Z", "reason": "asked for", "statement_id": "ab"}
    assert catalogue.tag_files(ONE) == {}
    assert catalogue.get(ONE).matched == ()


def _add_and_fail(catalogue: Catalogue) -> None:
    with catalogue.together():
        catalogue.add_package(entry("two"))
        catalogue.forget_replica(package_id("three"), "lab")


def test_calls_together_are_one_transaction(catalogue: Catalogue, tmp_path: Path) -> None:
    with Catalogue.open(catalogue.address) as other:
        with catalogue.together():
            catalogue.add_package(entry())
            catalogue.set_replica(ONE, "lab", "p", state="present")
            with pytest.raises(UsageError):
                catalogue.set_replica(ONE, "lab", "p", state="nonsense")
            assert catalogue.search("one").total == 1
            assert other.search("").total == 0
        assert other.search("one").rows[0].stores == ("lab",)
        with pytest.raises(NotFound):
            _add_and_fail(catalogue)
        assert other.count() == catalogue.count() == 1


def test_a_session_of_20_000_images(catalogue: Catalogue) -> None:
    fields = {"beam.acceleration_voltage": 200e3, "detector.name": "HAADF", "instrument.model": "Titan", "stage.x": 0.0}
    images = [
        dataset(number, f"frame_{number:05d}.tif", fields | {"stage.x": number * 1e-9}) for number in range(1, 20_001)
    ]
    begin = time.perf_counter()
    catalogue.add_package(entry(datasets=images))
    assert time.perf_counter() - begin < 20
    result = catalogue.search("kV=200 stage.x:15.0000um..15.0021um")
    assert [item.path for item in result.rows[0].matched] == ["frame_15000.tif", "frame_15001.tif", "frame_15002.tif"]
    row = catalogue.search("haadf").rows[0]
    assert (row.matching, len(row.matched)) == (20_000, 20)
    assert catalogue.search('"frame 00777" kV=80').total == 0


def test_reading_only(catalogue: Catalogue) -> None:
    catalogue.add_package(entry())
    with Catalogue.open(catalogue.address, read_only=True) as reader:
        assert reader.search("one").total == 1
        catalogue.add_package(entry("two"))
        assert reader.search("").total == 2
        with pytest.raises(Refused, match="reading only"):
            reader.add_package(entry("three"))


def test_a_catalogue_elsewhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="postgresql"):
        Catalogue.open("mysql://host/catalogue")
    with Catalogue.open(f"sqlite:///{(tmp_path / 'a.sqlite').as_posix()}", create=True) as made:
        assert Path(made.address) == tmp_path / "a.sqlite"


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"SQLite format 3\0" + b"\x01" * 4096])
def test_a_damaged_file_says_what_to_do(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "catalogue.sqlite"
    path.write_bytes(content)
    for read_only in (False, True):
        with pytest.raises(DiademError, match=r"node\.reindex") as caught:
            Catalogue.open(path, read_only=read_only)
        assert caught.value.code == "integrity"
    assert path.read_bytes() == content


def test_damage_in_the_midst_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.sqlite"
    with Catalogue.open(path, create=True) as made:
        for number in range(30):
            made.add_package(entry(str(number), [dataset(1, f"{number}.tif", {"stage.x": number * 1e-6})]))
    data = bytearray(path.read_bytes())
    data[8192:] = bytes(len(data) - 8192)
    path.write_bytes(data)
    with pytest.raises(DiademError, match=r"node\.reindex"), Catalogue.open(path) as damaged:
        damaged.search("")


def test_words_of_the_database_that_cannot_be_read(tmp_path: Path) -> None:
    """SQLite quotes the damaged file in its error, and Python cannot read that as text."""
    path = tmp_path / "catalogue.sqlite"
    Catalogue.open(path, create=True).close()
    path.write_bytes(path.read_bytes().replace(b"CREATE TABLE package", b"CREATE\xa0TABLE package"))
    with pytest.raises(DiademError, match=r"node\.reindex") as caught, Catalogue.open(path) as damaged:
        damaged.search("")
    assert caught.value.code == "integrity"


def test_who_waits_too_long_is_told(in_a_file: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program holds the file: reading goes on, writing is refused, with what to do."""
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0)
    with closing(sqlite3.connect(in_a_file.address, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with Catalogue.open(in_a_file.address) as impatient:
            assert impatient.count() == 0
            with pytest.raises(Refused, match="another process"):
                impatient.add_package(entry())
        other.execute("ROLLBACK")
    in_a_file.add_package(entry())


def test_a_full_disk_is_told(in_a_file: Catalogue) -> None:
    """Nothing of a package is left where there was no room for all of it."""
    catalogue = in_a_file
    catalogue.add_package(entry())
    with pytest.raises(StoreError, match="is full"):
        _add_to_a_full_disk(catalogue)
    assert catalogue.search("two").total == 0
    assert catalogue.count() == 1


def _add_to_a_full_disk(catalogue: Catalogue) -> None:
    with catalogue.together():
        with catalogue.writing() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 1")
        catalogue.add_package(entry("two", [dataset(1, "x" * 100_000, {})]))
