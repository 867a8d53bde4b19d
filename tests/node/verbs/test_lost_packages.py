"""A session in several packages of which one is gone: nobody is told that it is archived before it is, once more."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from diadem.node.node import Node
from tests.cli.inside import said, said_json
from tests.node.verbs.conftest import Lab, damage


@pytest.fixture
def lab(lab: Lab) -> Lab:
    """With one store, which is enough for the policy."""
    (lab.node.path / "policy.toml").write_text("[copies]\nminimum = 1\n", "utf-8")
    lab.node.context.refresh()
    return lab


def grown(lab: Lab, *names: str) -> tuple[Path, list[str]]:
    """A session that was archived, and again each time when a file had come; its packages."""
    session = lab.session("s")
    packages = [str(lab.node.archive(session, now=True).package.id)]
    for name in names:
        (session / name).write_bytes(name.encode() * 500)
        packages.append(str(lab.node.archive(session, now=True).package.id))
    return session, packages


def destroy(lab: Lab, package: str, store: str = "main") -> None:
    """Remove a copy from the disk; nobody knows of it."""
    folder = lab.path(package, store)
    for one in (folder, *folder.rglob("*")):
        if one.is_dir():
            one.chmod(0o755)
    shutil.rmtree(folder)


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def require_kept(lab: Lab, node: Node, package: str, session: Path) -> None:
    """The whole session can be given back, also after everything was read again."""
    node.scrub()
    assert content(Path(node.restore(package, lab.root / "back").folder)) == content(session)


# -- everything is archived: what of it is still there? ------------------------------------------------------------


def test_what_only_a_lost_package_held_is_archived_again(lab: Lab) -> None:
    session, (first, second) = grown(lab, "later.bin")
    destroy(lab, first)
    done = lab.node.archive(session, now=True)
    assert (done.what, done.predecessor, list(done.lost)) == ("continuation", second, [first])
    assert [entry.name for entry in done.package.files] == ["scan 0.bin", "scan 1.bin", "scan 2.bin"]
    assert list(done.held_by) == [second, done.package.id]
    again = lab.node.archive(session, now=True)
    assert (again.what, list(again.lost), list(again.held_by)) == ("already", [], list(done.held_by))
    require_kept(lab, lab.node, second, session)


def test_damage_in_the_middle_of_a_chain_is_found_by_reading(lab: Lab) -> None:
    session, packages = grown(lab, "b.bin", "c.bin")
    damage(lab.path(packages[1], "main") / "data/b.bin")
    done = lab.node.archive(session, now=True)
    assert [entry.name for entry in done.package.files] == ["b.bin"]
    assert list(done.lost) == [packages[1]]
    assert done.predecessor == packages[2]
    require_kept(lab, lab.node, packages[0], session)


def test_another_copy_of_the_lost_package_is_enough_and_debts_of_the_whole_chain_are_paid(lab: Lab) -> None:
    session, (first, second) = grown(lab, "later.bin")
    lab.add_second()
    (lab.node.path / "policy.toml").write_text("[copies]\nminimum = 2\n", "utf-8")
    done = lab.reopened().archive(session, now=True)
    assert {copy.path for copy in done.copies if copy.store == "second"} == {
        lab.path(one, "second").relative_to(lab.second).as_posix() for one in (first, second)
    }
    destroy(lab, first)
    again = lab.node.archive(session, now=True)
    assert (again.what, list(again.lost)) == ("already", [])


def test_what_lies_in_an_adopted_folder_alone_is_copied_before_it_counts(lab: Lab) -> None:
    session = lab.session("s")
    (lab.node.path / "policy.toml").write_text("[copies]\nminimum = 1\n", "utf-8")
    first = str(lab.node.archive(session, now=True, in_place=True).package.id)
    (session / "later.bin").write_bytes(b"later" * 500)
    lab.node.archive(session, now=True)
    done = lab.node.archive(session, now=True)
    assert (done.what, list(done.lost)) == ("already", [])
    assert lab.path(first, "main").is_dir()


def test_a_package_that_is_lost_whole_is_archived_anew_and_it_is_told(lab: Lab) -> None:
    session, (only,) = grown(lab)
    destroy(lab, only)
    command = ("archive", session, "--now", "--node", lab.node.path)
    text = said(*command, code=1)
    assert f"LOST             no copy of {only[:19]}… is left" in text
    document = said_json(*command)
    assert (document["what"], document["lost"], document["held_by"]) == ("already", [], [document["package"]["id"]])


def test_the_command_tells_what_was_lost(lab: Lab) -> None:
    session, (first, second) = grown(lab, "later.bin")
    destroy(lab, first)
    document = said_json("archive", session, "--now", "--node", lab.node.path, code=1)
    assert (document["what"], document["predecessor"], document["lost"]) == ("continuation", second, [first])
    assert document["files"] == 3
