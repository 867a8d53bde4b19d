"""Folders that were archived before: the same, more, or something else; and the chain as one session."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import diadem
from diadem.api.tools import tools
from diadem.archive.package import Package
from diadem.extract.pool import Extractor
from diadem.model.manifest import FileEntry, PackageId
from diadem.model.ports import Listener, Progress, silent
from diadem.node.digests import FileDigests
from diadem.node.take.continuation import Extends, Relation, Same, Unrelated, inheriting, relate, without
from diadem.node.take.package_chain import ArchivedPackage, chain_of, in_order, merge_chain
from diadem.pack.compose import Options
from diadem.pack.plan import PackPlan, make_plan
from diadem.package.examine import open_tag_files
from diadem.store import open_store
from diadem.store.copy import Copier
from tests.archive.packing import packed_into
from tests.archive.test_packing import state
from tests.oracles import bagit_validate, validate_crate


class Archive:
    """A store, and what it knows of the packages in it."""

    def __init__(self, root: Path, extractor: Extractor) -> None:
        self.store = open_store(root)
        self._extractor = extractor
        self._packages: dict[PackageId, ArchivedPackage] = {}

    def get(self, package: PackageId) -> ArchivedPackage | None:
        return self._packages.get(package)

    def continuations(self, package: PackageId) -> Iterable[PackageId]:
        return [one.id for one in self._packages.values() if one.continues == package]

    def chains(self, plan: PackPlan, source: str) -> Iterable[list[ArchivedPackage]]:
        """Every chain that may hold a part of a folder, once."""
        sizes = {file.name: file.size for file in plan.files.values()}
        seen: set[PackageId] = set()
        for one in self._packages.values():
            alike = any(sizes.get(entry.original_name) == entry.size for entry in one.files)
            if one.id not in seen and (source in one.sources or alike):
                chain = chain_of(one.id, self.get, self.continuations)
                seen.update(package.id for package in chain)
                yield chain

    def add(
        self, source: Path, plan: PackPlan | None = None, continues: PackageId | None = None, **said: object
    ) -> Package:
        """Pack a folder, and know it."""
        plan = plan or plan_of(source, **said)
        options = Options(continues=continues, software="diadem-em 0.1.0")
        package = packed_into(self.store, plan, self._extractor, options)
        known = ArchivedPackage.of(open_tag_files(package.bundle), [str(source)])
        self._packages[known.id] = known
        return package

    def relate(self, source: Path, *, name: str | None = None, listener: Listener = silent) -> Relation:
        """How a folder relates to what is here."""
        with Copier() as copier:
            return relate(
                plan := plan_of(source),
                self.chains(plan, name or str(source)),
                source=name or str(source),
                readers=tools().readers,
                digests=FileDigests("compare", copier, listener),
            )


def plan_of(source: Path, **metadata: object) -> PackPlan:
    """The whole folder."""
    return make_plan([source], store=None, metadata=metadata, readers=tools().readers)


@pytest.fixture
def archive(tmp_path: Path, lent_extractor: Extractor) -> Archive:
    """An empty store."""
    return Archive(tmp_path / "store", lent_extractor)


@pytest.fixture
def session(tmp_path: Path) -> Path:
    """Three files."""
    folder = tmp_path / "2026-03-14 ZnO"
    (folder / "raw").mkdir(parents=True)
    (folder / "raw" / "a.dat").write_bytes(b"a" * 2_000_000)
    (folder / "raw" / "b.dat").write_bytes(b"b" * 1000)
    (folder / "notes.txt").write_text("first day")
    return folder


def extends(relation: Relation) -> Extends:
    """The relation, which must be this one."""
    assert isinstance(relation, Extends), relation
    return relation


def test_a_folder_that_nobody_knows_is_unrelated(archive: Archive, session: Path) -> None:
    assert archive.relate(session) == Unrelated()


def test_the_same_folder_is_recognised_here_and_elsewhere(archive: Archive, session: Path, tmp_path: Path) -> None:
    package = archive.add(session)
    everything = Same((PackageId(package.id),), {PackageId(package.id): ["notes.txt", "raw/a.dat", "raw/b.dat"]})
    assert archive.relate(session) == everything
    moved = session.rename(tmp_path / "moved")
    assert archive.relate(moved) == everything


def test_only_new_files_go_into_a_continuation_that_names_its_predecessor(
    archive: Archive, session: Path, tmp_path: Path
) -> None:
    first = archive.add(session, session={"title": "ZnO", "date": "2026-03-14"})
    (session / "raw" / "c.dat").write_bytes(b"c" * 3_000_000)
    before = state(session)
    found = extends(archive.relate(session))
    assert (found.new, found.changed, found.unchanged) == (("raw/c.dat",), (), 3)
    assert found.plan.tree.size == 3_000_000
    second = archive.add(session, inheriting(found.plan, first.record), found.predecessor)
    assert [entry.name for entry in second.files] == ["raw/c.dat"]
    assert second.record.continues == first.id
    assert second.record.session == first.record.session
    assert open_tag_files(second.bundle).continues == first.id
    data = Path(second.url) / "data"
    assert f"<code>{first.id}</code>" in (data / "ro-crate-preview.html").read_text()
    assert first.id in (data / "ro-crate-metadata.json").read_text()
    assert second.verify(level="full").ok
    assert bagit_validate(Path(second.url)) == []
    assert validate_crate(Path(second.url)) == []
    assert state(session) == before
    same = archive.relate(session)
    assert isinstance(same, Same)
    assert (same.package, same.chain) == (second.id, (first.id, second.id))
    assert same.holders == {first.id: ["notes.txt", "raw/a.dat", "raw/b.dat"], second.id: ["raw/c.dat"]}


def test_a_third_package_continues_the_second(archive: Archive, session: Path) -> None:
    first = archive.add(session)
    ids = [first.id]
    for number in range(2):
        (session / f"more{number}.dat").write_bytes(bytes([number]) * 5000)
        found = extends(archive.relate(session))
        assert found.predecessor == ids[-1]
        ids.append(archive.add(session, found.plan, found.predecessor).id)
    same = archive.relate(session)
    assert isinstance(same, Same)
    assert (same.package, same.chain, list(same.holders)) == (ids[-1], tuple(ids), ids)
    assert [package.id for package in chain_of(ids[1], archive.get, archive.continuations)] == ids


def test_a_changed_file_of_the_folder_that_was_archived_is_in_the_continuation(archive: Archive, session: Path) -> None:
    (session / "raw" / "c.dat").write_bytes(b"c")
    first = archive.add(session)
    (session / "notes.txt").write_text("secnd day")  # the same size
    (session / "raw" / "b.dat").unlink()
    found = extends(archive.relate(session))
    assert (found.new, found.changed, found.gone, found.unchanged) == ((), ("notes.txt",), ("raw/b.dat",), 2)
    second = archive.add(session, found.plan, found.predecessor)
    merged = {
        file.entry.name: file for file in merge_chain(chain_of(PackageId(first.id), archive.get, archive.continuations))
    }
    assert merged["notes.txt"].package == second.id
    assert merged["raw/b.dat"].package == first.id  # what is gone from the folder stays in the archive
    same = archive.relate(session)
    assert isinstance(same, Same)
    assert (same.chain, same.gone) == ((first.id, second.id), ("raw/b.dat",))
    assert same.holders == {first.id: ["raw/a.dat", "raw/c.dat"], second.id: ["notes.txt"]}


def test_elsewhere_everything_archived_must_be_there_unchanged(archive: Archive, session: Path, tmp_path: Path) -> None:
    archive.add(session)
    moved = session.rename(tmp_path / "moved")
    (moved / "new.dat").write_bytes(b"n")
    assert extends(archive.relate(moved)).new == ("new.dat",)
    (moved / "notes.txt").write_text("secnd day")
    relation = archive.relate(moved)
    assert isinstance(relation, Unrelated)
    assert "other content" in relation.why[0]
    (moved / "notes.txt").unlink()
    relation = archive.relate(moved)
    assert isinstance(relation, Unrelated)
    assert "not there" in relation.why[0]


def test_a_reference_image_in_every_session_does_not_chain_them(archive: Archive, tmp_path: Path) -> None:
    gain = tmp_path / "gain"
    gain.mkdir()
    (gain / "gain.mrc").write_bytes(b"g" * 100_000)
    archive.add(gain)
    other = tmp_path / "other"
    other.mkdir()
    (other / "gain.mrc").write_bytes(b"g" * 100_000)
    (other / "movie.dat").write_bytes(b"m" * 1_000_000)
    relation = archive.relate(other)
    assert isinstance(relation, Unrelated)
    assert "too small a part" in relation.why[0]


def test_a_folder_that_is_used_again_for_another_session_is_unrelated(archive: Archive, session: Path) -> None:
    archive.add(session)
    for path in (session / "raw").iterdir():
        path.unlink()
    for number in range(5):
        (session / "raw" / f"{number}.dat").write_bytes(b"other")
    relation = archive.relate(session)
    assert isinstance(relation, Unrelated)
    assert "only 1 of its 3 files" in relation.why[0]


def test_a_header_goes_along_with_the_data_that_grew(archive: Archive, tmp_path: Path) -> None:
    folder = tmp_path / "merlin"
    folder.mkdir()
    (folder / "scan.hdr").write_text("HDR,\n")
    (folder / "scan.mib").write_bytes(b"MQ1," + bytes(5000))
    for name in ("a.txt", "b.txt"):
        (folder / name).write_text(name)
    archive.add(folder)
    (folder / "scan.mib").write_bytes(b"MQ1," + bytes(9000))
    found = extends(archive.relate(folder))
    assert (found.changed, found.repeated) == (("scan.mib",), ("scan.hdr",))
    assert sorted(found.plan.files) == ["scan.hdr", "scan.mib"]
    assert len(found.plan.datasets) == 1
    second = archive.add(folder, found.plan, found.predecessor)
    same = archive.relate(folder)
    assert isinstance(same, Same)
    assert (same.package, same.chain) == (second.id, (*found.chain, second.id))
    assert same.holders[second.id] == ["scan.hdr", "scan.mib"]


def test_what_no_name_or_size_fits_is_not_read(archive: Archive, session: Path) -> None:
    archive.add(session)
    for path in session.rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes() + b"+")
    told: list[Progress] = []
    assert isinstance(archive.relate(session, listener=told.append), Unrelated)
    assert told == []


def test_reading_is_told_byte_by_byte_and_once_for_all_chains(archive: Archive, session: Path, tmp_path: Path) -> None:
    archive.add(session)
    other = tmp_path / "other"
    other.mkdir()
    (other / "raw").mkdir()
    (other / "raw" / "a.dat").write_bytes(b"x" * 2_000_000)
    archive.add(other)
    told: list[Progress] = []
    assert isinstance(archive.relate(session, name="elsewhere", listener=told.append), Same)
    assert max(step.done for step in told) == told[-1].total == 2_001_009
    assert {step.stage for step in told} == {"compare"}


def entry(name: str, version: int) -> FileEntry:
    """A file of some version."""
    return FileEntry(f"data/{name}", version, f"{version:064x}", 0)


def number(value: int) -> PackageId:
    """An id."""
    return PackageId(f"{value:064x}")


@settings(max_examples=100)
@given(
    st.lists(st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 99), max_size=4), max_size=8),
    st.randoms(use_true_random=False),
)
def test_of_a_line_of_packages_the_newest_version_counts_in_whatever_order_they_come(
    steps: list[dict[str, int]], chance: Random
) -> None:
    packages = [
        ArchivedPackage(
            number(place), "", [entry(*item) for item in files.items()], number(place - 1) if place else None
        )
        for place, files in enumerate(steps)
    ]
    shuffled = list(packages)
    chance.shuffle(shuffled)
    assert in_order(shuffled) == packages
    expected: dict[str, tuple[int, PackageId]] = {}
    for package in packages:
        expected.update({item.name: (item.size, package.id) for item in package.files})
    merged = {file.entry.name: (file.entry.size, file.package) for file in merge_chain(shuffled)}
    assert merged == expected
    assert [file.entry.name for file in merge_chain(shuffled)] == sorted(expected)


def test_branches_and_lost_predecessors_lose_no_package() -> None:
    lone = ArchivedPackage(number(9), "", [entry("z", 9)], number(8))
    first = ArchivedPackage(number(1), "", [entry("a", 1)])
    left = ArchivedPackage(number(2), "", [entry("a", 2)], first.id)
    right = ArchivedPackage(number(3), "", [entry("a", 3)], first.id)
    for given_order in itertools.permutations([lone, first, left, right]):
        assert {package.id for package in in_order(given_order)} == {lone.id, first.id, left.id, right.id}
    assert merge_chain([first, left, right])[0].package == right.id
    assert merge_chain([right, first, left])[0].package == left.id
    loop = [replace(first, continues=left.id), left]
    assert in_order(loop) == []  # no package can name one that was made later: its id would depend on itself


def test_whatever_is_lost_a_folder_is_held_by_what_is_left_and_what_is_archived_again(
    archive: Archive, session: Path
) -> None:
    ids = [archive.add(session).id]
    for number in range(2):
        (session / f"more{number}.dat").write_bytes(bytes([number]) * 5000)
        found = extends(archive.relate(session))
        ids.append(archive.add(session, found.plan, found.predecessor).id)
    relations = [archive.relate(session)]
    (session / "new.dat").write_bytes(b"new")
    relations.append(archive.relate(session))
    for relation, count in itertools.product(relations, range(4)):
        assert isinstance(relation, Same | Extends)
        plan = plan_of(session) if isinstance(relation, Extends) else without_new(session)
        for lost in itertools.combinations(ids, count):
            left = without(relation, lost, plan, tools().readers)
            kept = [one for one in ids if one not in lost]
            if isinstance(left, Unrelated):
                assert not kept
                continue
            assert list(left.holders) == kept
            assert list(left.chain) == kept
            held = {name for names in left.holders.values() for name in names}
            assert isinstance(left, Extends) == (isinstance(relation, Extends) or bool(lost))
            if isinstance(left, Extends):
                assert left.predecessor == kept[-1]
                assert set(left.again) == {name for one in lost for name in relation.holders[one]}
                assert held.isdisjoint(left.again)
                held |= set(left.plan.files)
            assert held == set(plan.files)


def without_new(session: Path) -> PackPlan:
    """The folder as it was before the last file came."""
    (session / "new.dat").rename(session.parent / "new.dat")
    try:
        return plan_of(session)
    finally:
        (session.parent / "new.dat").rename(session / "new.dat")


def test_relations_are_plain_json(archive: Archive, session: Path) -> None:
    first = archive.add(session)
    assert archive.relate(session).to_dict() == {
        "relation": "same",
        "package": first.id,
        "chain": [first.id],
        "gone": [],
    }
    (session / "new.txt").write_text("n")
    document = archive.relate(session).to_dict()
    assert document["new"] == ["new.txt"]
    assert document["unchanged"] == 3
    assert diadem.open(first.url).id == first.id
