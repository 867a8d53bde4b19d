"""A session comes back as one, in its newest version, from whichever copies are whole."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

import diadem
from diadem.errors import IntegrityError, NotFound, Refused
from diadem.model.replicas import PRESENT, SUSPECT
from diadem.network.handlers.packages import shelf_of
from diadem.node.give.read_copies import PackageReader
from diadem.package.tags import seal
from tests.catalogue.making import NOW, entry
from tests.node.verbs.conftest import Lab, damage
from tests.package.sample_bags import EMPTY_ZIP, hashed, write

#: 14 March 2026, 09:26:53 UTC, and half a second.
MOMENT = 1_773_480_413_500_000_000


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def chain(lab: Lab) -> tuple[Path, list[str]]:
    """A session archived in three steps: a file was changed, one was added, one was changed again."""
    session = lab.session("s")
    (session / "sub").mkdir()
    (session / "sub" / "map.bin").write_bytes(b"map 1")
    (session / "nothing in it").mkdir()
    ids = [str(lab.node.archive(session, now=True).package.id)]
    (session / "scan 1.bin").write_bytes(b"changed")
    (session / "later.bin").write_bytes(b"later")
    os.utime(session / "later.bin", ns=(MOMENT, MOMENT))
    ids.append(str(lab.node.archive(session, now=True).package.id))
    (session / "sub" / "map.bin").write_bytes(b"map 2")
    ids.append(str(lab.node.archive(session, now=True).package.id))
    return session, ids


def test_the_whole_session_comes_back_whichever_package_is_named(lab: Lab, chain: tuple[Path, list[str]]) -> None:
    session, ids = chain
    for number, one in enumerate(ids):
        back = lab.root / f"back {number}"
        restored = lab.node.restore(one, back)
        assert contents(back) == contents(session)
        assert (restored.ok, restored.others, restored.files) == (True, 0, 5)
        assert [str(package) for package in restored.packages] == ids
        assert (back / "nothing in it").is_dir()
        assert (back / "later.bin").stat().st_mtime_ns == MOMENT
        assert os.access(back / "later.bin", os.W_OK)


def test_one_package_alone(lab: Lab, chain: tuple[Path, list[str]]) -> None:
    _, ids = chain
    restored = lab.node.restore(ids[1], lab.root / "back", chain=False)
    assert contents(lab.root / "back") == {"scan 1.bin": b"changed", "later.bin": b"later"}
    assert restored.others == 2


def test_a_damaged_leaf_comes_from_the_other_copy(lab: Lab) -> None:
    lab.add_second()
    package = lab.archived("s", size=3 << 20)
    damage(lab.path(package, "main") / "data/scan 1.bin", at=(2 << 20) + 5)
    damage(lab.path(package, "second") / "data/scan 1.bin", at=17)
    restored = lab.node.restore(package, lab.root / "back")
    assert contents(lab.root / "back") == contents(lab.root / "s")
    assert restored.damaged == ["main"]  # of the other one only the leaf that was needed was read
    states = {one.store: one.state for one in lab.node.context.catalogue.replicas(package)}
    assert states == {"main": SUSPECT, "second": PRESENT}
    lab.node.reindex()  # it was stated: a catalogue that is made anew knows it too
    states = {one.store: one.state for one in lab.node.context.catalogue.replicas(package)}
    assert states == {"main": SUSPECT, "second": PRESENT}


def test_where_no_copy_is_whole_nothing_is_left_behind(lab: Lab) -> None:
    package = lab.archived("s")
    damage(lab.path(package, "main") / "data/scan 1.bin")
    before = set(lab.root.iterdir())
    with pytest.raises(IntegrityError, match="not what was archived") as caught:
        lab.node.restore(package, lab.root / "back")
    assert "repair" in str(caught.value.next)
    assert set(lab.root.iterdir()) == before


def test_a_folder_with_content_is_not_touched(lab: Lab) -> None:
    package = lab.archived("s")
    with pytest.raises(Refused):
        lab.node.restore(package, lab.root / "s")


def test_a_store_read_from_another_place_gives_the_session_too(lab: Lab, chain: tuple[Path, list[str]]) -> None:
    session, ids = chain
    lab.node.close()
    with diadem.open_node(lab.root / "main") as attached:
        attached.restore(ids[0], lab.root / "back")
    assert contents(lab.root / "back") == contents(session)


def test_a_package_that_was_deleted_is_named(lab: Lab, chain: tuple[Path, list[str]]) -> None:
    _, ids = chain
    policy = lab.node.path / "policy.toml"
    policy.write_text(policy.read_text("utf-8").replace("years = 10", "years = 0"), "utf-8")
    with lab.reopened() as node:
        node.delete(ids[0], reason="not worth keeping")
        restored = node.restore(ids[2], lab.root / "back")
        assert [(str(one.id), one.reason) for one in restored.lacking] == [(ids[0], "deleted: not worth keeping")]
        assert not restored.ok
        assert contents(lab.root / "back") == {
            "scan 1.bin": b"changed",
            "later.bin": b"later",
            str(Path("sub", "map.bin")): b"map 2",
        }
        with pytest.raises(NotFound, match="not worth keeping"):
            node.restore(ids[0], lab.root / "back 2")


def test_a_package_without_a_record_gives_its_files_and_says_what_it_has_not(lab: Lab) -> None:
    """DIADEM makes none: others may have sealed one so, and a log of before may name it."""
    content, path, node = b"some bytes\n", "2026/20260314-one", lab.node
    sealed = seal([hashed("data/a.txt", content)], vendor=EMPTY_ZIP, date="2026-03-14", software="others")
    write(lab.root / "main" / path, {"data/a.txt": content, **sealed.tag_files})
    package = diadem.open(lab.root / "main" / path)
    node.context.catalogue.add_package(entry(id=package.id, payload_id=package.payload_id))
    node.context.catalogue.set_replica(package.id, "main", path, state=PRESENT, written=NOW)
    with pytest.raises(NotFound, match="the package has no record"):
        PackageReader(node.context, package.id).record()
    with pytest.raises(NotFound, match="the package has no record"):
        shelf_of(node.context).record(package.id)
    assert node.restore(package.id, lab.root / "back").ok
    assert contents(lab.root / "back") == {"a.txt": content}
    node.export(package.id, lab.root / "one.zip", for_="Marie Curie <m@x.org>", only="raw")
    with zipfile.ZipFile(lab.root / "one.zip") as exported:
        assert content in [exported.read(name) for name in exported.namelist()]


def test_a_package_without_a_record_is_not_taken_in(lab: Lab) -> None:
    """A search could not find it: it is refused before a byte of it is written."""
    content = b"some bytes\n"
    sealed = seal([hashed("data/a.txt", content)], vendor=EMPTY_ZIP, date="2026-03-14", software="others")
    write(lab.root / "given", {"data/a.txt": content, **sealed.tag_files})
    before = sorted(lab.root.glob("main/**/*"))
    with diadem.open_node(lab.node.path) as node:
        for take in (node.import_, node.archive):
            with pytest.raises(diadem.PackageError, match="the package has no record"):
                take(lab.root / "given")
    assert sorted(lab.root.glob("main/**/*")) == before
    diadem.open(lab.root / "given").restore(lab.root / "out")  # as the error says
    assert contents(lab.root / "out") == {"a.txt": content}
