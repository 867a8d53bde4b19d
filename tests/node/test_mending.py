"""Mending a copy: every fault that a disk can make, put right from parity, from another replica, from the catalogue."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from diadem.errors import IntegrityError, Refused, Unreachable
from diadem.model import report as findings
from diadem.model.manifest import INDEX_PATH, LEAVES_PATH, MANIFEST, RECORD_PATH, TAGMANIFEST, PackageId
from diadem.model.ports import Bundle, RangeReader
from diadem.model.report import Level, Report
from diadem.node.follow.catalogue_rows import tag_files
from diadem.node.keep.mend import Mended, Repair, mend, prove_files
from diadem.node.keep.parity import check_parity, drop_parity, make_parity, parity_of
from diadem.package.examine import TagFiles, open_tag_files
from diadem.package.verify import verify
from diadem.store import open_store
from diadem.store.bags import LocalBundle
from diadem.store.contract import Store
from diadem.testing import faults
from tests.package.sample_bags import write_package
from tests.store.mending_samples import unprivileged_folder

PATH = "2026/20260314-zno-s12-1f0c9a77d2e4"
LEAF = 1 << 20
SIZES = {
    "big.dat": 3 * LEAF + 777,
    "sub/half.dat": LEAF // 2,
    "sub/deep/small.txt": 900,
    "empty": 0,
    "z.dat": LEAF + 99,
}
TAGS = ("bagit.txt", "bag-info.txt", MANIFEST, INDEX_PATH, LEAVES_PATH, "diadem/vendor.zip", TAGMANIFEST)
FASTER = settings(
    deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


class Copy:
    """A copy of the package in a store of its own."""

    def __init__(self, root: Path) -> None:
        self.store: Store = open_store(root)
        self.root = root
        self.bag = root / PATH

    @property
    def bundle(self) -> LocalBundle:
        return LocalBundle(self.bag)

    def verify(self, level: Level = Level.FULL, expected: str | None = None) -> Report:
        return verify(self.bundle, level=level, expected_id=expected)

    def content(self) -> dict[str, bytes]:
        return {
            path.relative_to(self.bag).as_posix(): path.read_bytes() for path in self.bag.rglob("*") if path.is_file()
        }

    def states(self) -> dict[str, tuple[int, int]]:
        found = {path.relative_to(self.bag).as_posix(): path.lstat() for path in self.bag.rglob("*")}
        return {path: (status.st_ino, status.st_mtime_ns) for path, status in found.items()}


class Group:
    """Two copies of one package, the first with parity; and what the catalogue keeps."""

    def __init__(self, folder: Path, original: Path) -> None:
        self.one, self.two = (Copy(folder / name) for name in ("one", "two"))
        for copy in (self.one, self.two):
            copy.bag.parent.mkdir(parents=True)
            shutil.copytree(original, copy.bag)
            for path in (copy.bag, *copy.bag.rglob("*")):
                path.chmod(0o555 if path.is_dir() else 0o444)
        self.opened: TagFiles = open_tag_files(self.one.bundle)
        self.id: PackageId = self.opened.id
        self.good = self.one.content()
        self.tags = tag_files(self.one.bundle)

    def make_parity(self) -> None:
        make_parity(self.one.store, PATH, self.opened)

    def mend(
        self,
        *,
        level: Level = Level.LEAVES,
        parity: bool = False,
        replicas: bool = False,
        catalogue: bool = False,
        quarantine: bool = False,
        repaired: Callable[[Repair], None] = lambda _: None,
    ) -> Mended:
        """Verify the first copy, and mend what that finds."""
        report = self.one.verify(level, self.id)
        with parity_of(self.one.store, self.id) as file:
            return mend(
                self.id,
                self.one.store,
                PATH,
                report,
                parity=file if parity else None,
                replicas={"two": self.two.bundle} if replicas else {},
                tag_files=self.tags if catalogue else {},
                quarantine=quarantine,
                repaired=repaired,
            )

    def check(self, mended: Mended) -> None:
        """The first copy is whole again, byte for byte, and sealed."""
        assert mended.complete, mended
        assert self.one.content() == self.good
        assert self.one.verify(expected=self.id).ok
        proof = prove_files(self.one.bundle, self.id, mended.touched)
        assert proof.ok, proof.findings
        assert proof.checked["files"] == sum(path.startswith("data/") for path in mended.touched)
        assert not any(path.lstat().st_mode & 0o222 for path in (self.one.bag, *self.one.bag.rglob("*")))
        desk = self.one.root / ".diadem" / "mending"
        assert not desk.is_dir() or not list(desk.iterdir())


@pytest.fixture(scope="session")
def original() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    source = random.Random(3)
    write_package(folder / "bag", {path: source.randbytes(size) for path, size in SIZES.items()})
    yield folder / "bag"
    faults.remove(folder)


@pytest.fixture
def group(original: Path) -> Iterator[Group]:
    with unprivileged_folder() as folder:
        yield Group(folder, original)


# -- leaves ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parity", [True, False])
def test_a_flipped_byte_is_mended_in_its_leaf_alone(group: Group, parity: bool) -> None:
    if parity:
        group.make_parity()
    before = group.one.states()
    faults.flip_byte(group.one.bag / "data/big.dat", 2 * LEAF + 5)
    damaged = group.one.verify(Level.LEAVES).findings
    assert [(one.path, one.leaf) for one in damaged] == [("data/big.dat", 2)]
    told: list[Repair] = []
    mended = group.mend(parity=parity, replicas=True, repaired=told.append)
    group.check(mended)
    assert mended.repairs == told
    assert [(one.path, one.leaf, one.source) for one in mended.repairs] == [
        ("data/big.dat", 2, "parity" if parity else "replica:two")
    ]
    assert mended.repairs[0].after == group.opened.leaves[first(group) + 2].hex()
    assert mended.repairs[0].before not in (None, mended.repairs[0].after)
    assert mended.touched == ["data/big.dat"]
    assert group.one.states() == before


def first(group: Group) -> int:
    return group.opened.manifest["data/big.dat"].first_leaf


def test_both_copies_are_damaged_in_different_places_and_each_mends_the_other(group: Group) -> None:
    faults.zero_block(group.one.bag / "data/big.dat", 0, 100)
    faults.flip_byte(group.two.bag / "data/big.dat", LEAF + 1)
    group.check(group.mend(replicas=True))
    report = verify(group.two.bundle, level=Level.LEAVES, expected_id=group.id)
    mended = mend(group.id, group.two.store, PATH, report, replicas={"one": group.one.bundle})
    assert mended.complete
    assert group.two.content() == group.good


def test_the_last_copy_stays_as_it_is_where_nothing_good_is_found(group: Group) -> None:
    for copy, place in ((group.one, 5), (group.two, 9)):
        faults.flip_byte(copy.bag / "data/big.dat", place)
    faults.flip_byte(group.one.bag / "data/z.dat", 5)
    content = group.one.content()
    mended = group.mend(replicas=True)
    assert [(one.path, one.leaf) for one in mended.left] == [("data/big.dat", 0)]
    assert "its leaf 0 is damaged too" in mended.left[0].reason
    assert [one.path for one in mended.repairs] == ["data/z.dat"]
    assert not mended.complete
    assert group.one.content() == content | {"data/z.dat": group.good["data/z.dat"]}
    alone = group.mend()
    assert "no parity and no other copy" in alone.left[0].reason


def test_a_leaf_that_is_good_by_now_is_not_touched(group: Group) -> None:
    file = group.one.bag / "data/big.dat"
    faults.flip_byte(file, 5)
    report = group.one.verify(Level.LEAVES)
    faults.flip_byte(file, 5)
    changed = file.lstat().st_ctime_ns
    mended = mend(group.id, group.one.store, PATH, report, replicas={"two": group.two.bundle})
    assert mended.complete
    assert mended.repairs == []
    assert file.lstat().st_ctime_ns == changed


class AwayBundle:
    """A replica whose store has stopped to answer after it was listed."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self.url = bundle.url
        self.exists, self.read, self.listing = bundle.exists, bundle.read, bundle.listing
        self.asked = 0

    def open(self, path: str) -> RangeReader:
        self.asked += 1
        raise Unreachable("the store does not answer", where=path)


def test_a_store_that_does_not_answer_is_asked_once_and_the_next_one_helps(group: Group) -> None:
    for leaf in range(4):
        faults.flip_byte(group.one.bag / "data/big.dat", leaf * LEAF)
    away = AwayBundle(group.two.bundle)
    replicas: dict[str, Bundle] = {"away": away, "two": group.two.bundle}
    mended = mend(group.id, group.one.store, PATH, group.one.verify(Level.LEAVES), replicas=replicas)
    group.check(mended)
    assert away.asked == 1


# -- whole files -------------------------------------------------------------------------------------------------------


def missing(file: Path) -> None:
    faults.remove(file)


def cut(file: Path) -> None:
    faults.truncate(file, file.stat().st_size // 2)


def longer(file: Path) -> None:
    faults.append(file, b"more than there was")


def link(file: Path) -> None:
    faults.remove(file)
    file.parent.chmod(0o755)
    file.symlink_to("/etc/hostname")
    file.parent.chmod(0o555)


def unreadable(file: Path) -> None:
    file.chmod(0)


def folder_lost(file: Path) -> None:
    faults.remove(file.parent)


FAULTS = [missing, cut, longer] + ([unreadable, link] if os.name == "posix" else [])


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("path", ["sub/half.dat", "sub/deep/small.txt", "big.dat"])
def test_a_file_is_exchanged_whole(group: Group, path: str, fault: Callable[[Path], None]) -> None:
    fault(group.one.bag / "data" / path)
    mended = group.mend(replicas=True)
    group.check(mended)
    assert [(one.path, one.leaf) for one in mended.repairs] == [(f"data/{path}", None)]
    entry = group.opened.manifest[f"data/{path}"]
    assert mended.repairs[0].after == entry.sha256
    assert mended.repairs[0].source == ("itself" if fault is longer else "replica:two")
    assert (group.one.bag / entry.path).lstat().st_mtime_ns == entry.mtime_ns


@pytest.mark.parametrize("fault", [missing, cut, longer, folder_lost])
def test_small_files_come_back_from_parity_alone(group: Group, fault: Callable[[Path], None]) -> None:
    group.make_parity()
    fault(group.one.bag / "data/sub/deep/small.txt")
    group.check(group.mend(parity=True))


def test_an_empty_file_needs_no_source(group: Group) -> None:
    faults.remove(group.one.bag / "data/empty")
    mended = group.mend()
    group.check(mended)
    assert [(one.path, one.source) for one in mended.repairs] == [("data/empty", "manifest")]


def test_a_file_is_put_together_from_parity_and_a_replica(group: Group) -> None:
    group.make_parity()
    with parity_of(group.one.store, group.id) as parity:
        assert parity is not None
        region, block = parity.header.stripe(0).region, parity.header.block
    file = group.one.bag / "data/big.dat"
    within = 2 * LEAF + 2 * block  # blocks that leaf 1 has no part in
    for place in (within, within + region, within + 2 * region):  # three of a column: too many for parity
        faults.flip_byte(file, place)
    faults.flip_byte(file, 2 * LEAF - 3 * region)  # one of another column
    faults.append(file, b"x")
    faults.flip_byte(group.two.bag / "data/big.dat", 2 * LEAF - 3 * region)
    mended = group.mend(parity=True, replicas=True)
    group.check(mended)
    assert [(one.path, one.leaf, one.source) for one in mended.repairs] == [
        ("data/big.dat", None, "parity, replica:two")
    ]


def test_a_link_in_place_of_a_folder_is_left_or_set_aside(group: Group) -> None:
    if os.name == "nt":
        pytest.skip("links as on POSIX")
    folder = group.one.bag / "data/sub"
    outside = group.one.root.parent / "outside"
    shutil.copytree(folder, outside)
    faults.remove(folder)
    folder.parent.chmod(0o755)
    folder.symlink_to(outside)
    folder.parent.chmod(0o555)
    before = sorted(path.lstat().st_ctime_ns for path in outside.rglob("*"))
    mended = group.mend(replicas=True)
    assert mended.extras == ["data/sub"]
    assert {one.path for one in mended.left} == {"data/sub/half.dat", "data/sub/deep/small.txt"}
    group.check(group.mend(replicas=True, quarantine=True))
    assert before == sorted(path.lstat().st_ctime_ns for path in outside.rglob("*"))


def test_strangers_are_told_and_moved_only_when_asked(group: Group) -> None:
    faults.plant(group.one.bag / "data/sub/Thumbs.db", b"thumbs")
    faults.plant(group.one.bag / "notes.txt", b"notes")
    mended = group.mend(replicas=True)
    assert mended.extras == ["data/sub/Thumbs.db", "notes.txt"]
    assert not mended.complete
    assert (group.one.bag / "notes.txt").read_bytes() == b"notes"
    mended = group.mend(quarantine=True)
    group.check(mended)
    places = {path: (group.one.root / place).read_bytes() for path, place in mended.set_aside.items()}
    assert places == {"data/sub/Thumbs.db": b"thumbs", "notes.txt": b"notes"}


def test_more_damage_than_a_report_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "MAX_LISTED", 10)
    with unprivileged_folder() as folder:
        write_package(folder / "bag", {f"{number:02d}.dat": b"%d" % number for number in range(40)})
        group = Group(folder, folder / "bag")
        for number in range(1, 39):
            faults.overwrite(group.one.bag / f"data/{number:02d}.dat", 0, b"x")
        assert len(group.one.verify(Level.LEAVES).findings) == 11
        mended = group.mend(replicas=True)
        assert len(mended.repairs) == 38
        group.check(mended)


# -- tag files ---------------------------------------------------------------------------------------------------------

SOURCES = {"parity": "parity", "replicas": "replica:two", "catalogue": "catalogue"}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("fault", [missing, cut, lambda file: faults.flip_byte(file, 3)], ids=["lost", "cut", "flip"])
@pytest.mark.parametrize("path", TAGS)
@pytest.mark.sweep(12)
def test_a_tag_file_comes_back(group: Group, path: str, fault: Callable[[Path], None], source: str) -> None:
    if source == "parity":
        group.make_parity()
    fault(group.one.bag / path)
    mended = group.mend(**{source: True})  # type: ignore[arg-type]
    group.check(mended)
    assert [(one.path, one.leaf, one.source) for one in mended.repairs] == [(path, None, SOURCES[source])]


@pytest.mark.parametrize("source", SOURCES)
def test_all_tag_files_and_some_payload_are_lost(group: Group, source: str) -> None:
    group.make_parity()
    for path in TAGS:
        faults.remove(group.one.bag / path)
    faults.flip_byte(group.one.bag / "data/big.dat", LEAF)
    faults.remove(group.one.bag / RECORD_PATH)
    asked = {source: True, "parity": True}
    group.check(group.mend(**asked))  # type: ignore[arg-type]


def test_the_payload_is_looked_at_again_where_damaged_tag_files_hid_its_damage(group: Group) -> None:
    for path in (LEAVES_PATH, MANIFEST, INDEX_PATH):
        faults.flip_byte(group.one.bag / path, 40)
    faults.flip_byte(group.one.bag / "data/z.dat", LEAF + 40)
    assert "data/z.dat" not in {one.path for one in group.one.verify().findings}
    mended = group.mend(replicas=True)
    group.check(mended)
    assert mended.repairs[-1].path == "data/z.dat"
    assert mended.repairs[-1].leaf == 1


@pytest.mark.parametrize("lost", [LEAVES_PATH, INDEX_PATH, MANIFEST])
def test_damage_is_found_to_the_leaf_although_one_list_of_digests_is_lost(group: Group, lost: str) -> None:
    faults.remove(group.one.bag / lost)
    faults.flip_byte(group.one.bag / "data/z.dat", LEAF + 40)
    faults.truncate(group.one.bag / "data/sub/half.dat", 10)
    mended = group.mend(replicas=True)
    group.check(mended)
    assert {(one.path, one.leaf) for one in mended.repairs} == {
        (lost, None),
        ("data/sub/half.dat", None),
        ("data/z.dat", 1),
    }


def test_tag_files_damaged_in_every_place_but_nowhere_the_same(group: Group) -> None:
    group.make_parity()
    faults.flip_byte(group.one.bag / MANIFEST, 3)
    faults.flip_byte(group.one.bag / LEAVES_PATH, 3)
    faults.flip_byte(group.two.bag / MANIFEST, 3)
    group.tags[LEAVES_PATH] = b""
    group.check(group.mend(replicas=True, catalogue=True))


def test_without_any_sound_tag_manifest_nothing_is_touched(group: Group) -> None:
    for copy in (group.one, group.two):
        faults.flip_byte(copy.bag / TAGMANIFEST, 3)
    faults.flip_byte(group.one.bag / "data/z.dat", 3)
    content = group.one.content()
    with pytest.raises(IntegrityError, match="no sound copy of the tag manifest"):
        group.mend(replicas=True)
    assert group.one.content() == content


def test_another_package_at_the_place_is_not_overwritten(group: Group) -> None:
    faults.remove(group.one.bag)
    write_package(group.one.bag, {"other.dat": b"another session"})
    content = group.one.content()
    with pytest.raises(Refused, match="another package"):
        group.mend(replicas=True, catalogue=True)
    assert group.one.content() == content


def test_only_the_named_files_are_proven(group: Group) -> None:
    paths = ["data/big.dat", "diadem/vendor.zip", "data/z.dat"]
    assert prove_files(group.one.bundle, group.id, paths).checked["files"] == 2
    faults.flip_byte(group.one.bag / "data/sub/half.dat", 3)
    assert prove_files(group.one.bundle, group.id, paths).ok
    faults.flip_byte(group.one.bag / "data/big.dat", LEAF)
    faults.truncate(group.one.bag / "data/z.dat", 7)
    faults.flip_byte(group.one.bag / "diadem/vendor.zip", 7)
    report = prove_files(group.one.bundle, group.id, paths)
    assert {(one.code, one.path, one.leaf) for one in report.findings} == {
        ("leaf-mismatch", "data/big.dat", 1),
        ("size-mismatch", "data/z.dat", None),
        ("tag-file-mismatch", "diadem/vendor.zip", None),
    }
    faults.remove(group.one.bag / "data/big.dat")
    assert ("file-unreadable", "data/big.dat") in {
        (one.code, one.path) for one in prove_files(group.one.bundle, group.id, paths).findings
    }
    faults.flip_byte(group.one.bag / LEAVES_PATH, 7)
    assert [one.code for one in prove_files(group.one.bundle, group.id, []).findings] == ["tag-file-mismatch"]


# -- anything ----------------------------------------------------------------------------------------------------------

damage = st.lists(
    st.tuples(
        st.sampled_from([*(f"data/{path}" for path in SIZES if path != "empty"), *TAGS, RECORD_PATH]),
        st.sampled_from(["flip", "zero", "cut", "append", "remove", "overwrite"]),
        st.floats(0, 1, exclude_max=True),
    ),
    max_size=6,
)


def do(copy: Copy, path: str, fault: str, where: float) -> None:
    file = copy.bag / path
    if not file.is_file() or not file.stat().st_size:
        return
    place = int(where * file.stat().st_size)
    if fault == "flip":
        faults.flip_byte(file, place)
    elif fault == "zero":
        faults.zero_block(file, place, min(3000, file.stat().st_size - place))
    elif fault == "cut":
        faults.truncate(file, place)
    elif fault == "append":
        faults.append(file, b"x" * 7)
    elif fault == "overwrite":
        faults.overwrite(file, place, os.urandom(50_000))
    else:
        faults.remove(file)


@FASTER
@given(damage=damage)
def test_whatever_happens_to_one_copy_the_other_and_the_catalogue_mend_it(
    original: Path, damage: list[tuple[str, str, float]]
) -> None:
    with unprivileged_folder() as folder:
        group = Group(folder, original)
        for path, fault, where in damage:
            do(group.one, path, fault, where)
        group.check(group.mend(replicas=True))
        assert group.two.content() == group.good


@FASTER
@given(damage=damage, other=damage)
def test_two_damaged_copies_with_parity_never_make_anything_worse(
    original: Path, damage: list[tuple[str, str, float]], other: list[tuple[str, str, float]]
) -> None:
    with unprivileged_folder() as folder:
        _never_worse(Group(folder, original), damage, other)


def _never_worse(group: Group, damage: list[tuple[str, str, float]], other: list[tuple[str, str, float]]) -> None:
    group.make_parity()
    for copy, faults_ in ((group.one, damage), (group.two, other)):
        for path, fault, where in faults_:
            do(copy, path, fault, where)
    before, beside = group.one.content(), group.two.content()
    mended = group.mend(parity=True, replicas=True, catalogue=True)
    after = group.one.content()
    for path, good in group.good.items():
        found, was = after.get(path), before.get(path)
        if found != good:  # whatever is not right is named, and every leaf that was right still is
            assert path in {one.path for one in mended.left}
            assert all(now in (old, right) for old, now, right in zip(*map(leaves, (was, found, good)), strict=False))
    assert group.two.content() == beside
    assert mended.complete == group.one.verify(expected=group.id).ok


def leaves(data: bytes | None) -> list[bytes]:
    data = data or b""
    return [data[start : start + LEAF] for start in range(0, len(data), LEAF)]


# -- parity beside the copy, and other stores --------------------------------------------------------------------------


def test_parity_is_checked_and_written_anew(group: Group) -> None:
    assert check_parity(group.one.store, group.id) is None
    with parity_of(group.one.store, group.id) as parity:
        assert parity is None
    group.make_parity()
    report = check_parity(group.one.store, group.id)
    assert report is not None
    assert report.ok
    file = group.one.root / ".diadem/parity" / f"{group.id.hex}.pq"
    size = file.stat().st_size
    for place in (20, size // 2, size - 20):
        faults.flip_byte(file, place)
    report = check_parity(group.one.store, group.id)
    assert report is not None
    assert {one.code for one in report.findings} == {"parity-unusable"}
    with parity_of(group.one.store, group.id) as parity:
        assert parity is None
    group.make_parity()
    report = check_parity(group.one.store, group.id)
    assert report is not None
    assert report.ok
    assert drop_parity(group.one.store, group.id)
    assert not drop_parity(group.one.store, group.id)


def test_there_is_no_parity_of_a_damaged_copy(group: Group) -> None:
    group.make_parity()
    faults.flip_byte(group.one.bag / "data/z.dat", 3)
    with pytest.raises(IntegrityError, match="damaged package"):
        group.make_parity()
    report = check_parity(group.one.store, group.id)
    assert report is not None
    assert report.ok
    group.check(group.mend(parity=True))


def test_a_copy_in_an_object_store(tmp_path: Path, original: Path) -> None:
    group = Group(tmp_path, original)
    store = open_store(f"memory://mending-{group.id.hex[:8]}-{os.getpid()}")
    added = store.add(group.one.bundle, group.opened, PATH)
    with pytest.raises(Refused, match="folder"):
        make_parity(store, added.path, group.opened)
    bad = bytearray(group.good["data/big.dat"])
    bad[LEAF + 3] ^= 1
    store.replace_file(added.path, "data/big.dat", [bytes(bad)], len(bad), None)
    store.replace_file(added.path, "diadem/leaves.blake3", [b"short"], 5, None)
    report = verify(store.bundle(added.path), level=Level.LEAVES, expected_id=group.id)
    assert not report.ok
    mended = mend(group.id, store, added.path, report, replicas={"one": group.one.bundle})
    assert mended.complete
    assert [(one.path, one.leaf) for one in mended.repairs] == [("diadem/leaves.blake3", None), ("data/big.dat", None)]
    assert verify(store.bundle(added.path), level=Level.FULL, expected_id=group.id).ok
    for copy in (group.one, group.two):
        faults.remove(copy.root)
