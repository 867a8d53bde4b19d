"""A session in several packages of which one is gone: nobody is told that it is archived before it is, once more."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from diadem.model.scan import PlannedSession
from diadem.node.node import Node
from tests.cli.inside import said, said_json
from tests.node.verbs.conftest import Lab, damage

pytestmark = pytest.mark.catalogue


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


def test_a_package_that_is_lost_whole_is_archived_anew_and_it_is_told_once(lab: Lab) -> None:
    session, (last,) = grown(lab)
    command = ("archive", session, "--now", "--node", lab.node.path)
    for _ in range(3):  # of packages of one payload that which is there must count each time
        destroy(lab, last)
        time.sleep(1.0 - time.time() % 1)  # made anew in the second in which it was made, it would be the same package
        assert f"LOST             no copy of {last[:19]}… is left" in said(*command, code=1)
        document = said_json(*command)
        assert (document["what"], document["lost"]) == ("already", [])
        last = document["package"]["id"]
        assert document["held_by"] == [last]


def test_the_command_tells_what_was_lost(lab: Lab) -> None:
    session, (first, second) = grown(lab, "later.bin")
    destroy(lab, first)
    document = said_json("archive", session, "--now", "--node", lab.node.path, code=1)
    assert (document["what"], document["predecessor"], document["lost"]) == ("continuation", second, [first])
    assert document["files"] == 3


# -- a session has grown: is there still what it is built on? ------------------------------------------------------


@pytest.mark.parametrize("is_known", [True, False])
def test_nothing_is_built_on_a_package_that_is_lost(lab: Lab, is_known: bool) -> None:
    session, (first,) = grown(lab)
    destroy(lab, first)
    if is_known:
        lab.node.scrub()
    (session / "later.bin").write_bytes(b"later" * 500)
    done = lab.node.archive(session, now=True)
    assert (done.what, done.predecessor, list(done.lost)) == ("new", None, [first])
    assert len(done.package.files) == 4
    assert list(done.held_by) == [done.package.id]
    require_kept(lab, lab.node, str(done.package.id), session)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_continuation_holds_what_was_lost_and_names_the_last_package_that_is_there(lab: Lab, number: int) -> None:
    session, packages = grown(lab, "b.bin", "c.bin")
    held = [["scan 0.bin", "scan 1.bin", "scan 2.bin"], ["b.bin"], ["c.bin"]][number]
    destroy(lab, packages[number])
    (session / "d.bin").write_bytes(b"d" * 500)
    planned = lab.node.plan(session)
    assert planned["archived"]["again"] == []  # nobody has seen yet that it is gone
    done = lab.node.archive(session, now=True)
    assert done.predecessor == [packages[2], packages[2], packages[1]][number]
    assert sorted(entry.name for entry in done.package.files) == sorted([*held, "d.bin"])
    assert list(done.lost) == [packages[number]]
    require_kept(lab, lab.node, packages[0], session)


def test_of_two_that_continue_one_package_the_later_stays_the_newer(lab: Lab) -> None:
    session, packages = grown(lab, "b.bin", "c.bin")
    (last,) = packages[2:]
    for name in "defg":  # ids are random: in any other order than the log's one of these would be wrong
        destroy(lab, last)
        (session / f"{name}.bin").write_bytes(name.encode() * 500)
        last = str(lab.node.archive(session, now=True).package.id)
        packages.append(last)
    lab.node.reindex()
    assert list(lab.node.context.catalogue.continuations(packages[1])) == packages[2:]
    require_kept(lab, lab.node, packages[0], session)


def test_a_plan_says_what_is_archived_again(lab: Lab) -> None:
    session, (first, second) = grown(lab, "b.bin")
    destroy(lab, first)
    lab.node.scrub()
    archived = lab.node.plan(session)["archived"]
    assert (archived["relation"], archived["predecessor"]) == ("extends", second)
    assert archived["again"] == ["scan 0.bin", "scan 1.bin", "scan 2.bin"]
    planned = PlannedSession("s", archive=True, title="s", date="", folder=str(session))
    (would,) = lab.node.archive_all([planned], dry_run=True, now=True)
    assert would.known == archived


def test_a_copy_that_was_never_proven_is_read_and_one_that_was_is_not(lab: Lab) -> None:
    session, (first,) = grown(lab)
    reading: list[str] = []
    (session / "b.bin").write_bytes(b"b" * 500)
    lab.node.archive(session, now=True, listener=lambda progress: reading.append(progress.stage))
    assert "verify" not in reading
    catalogue = lab.node.context.catalogue
    replica = catalogue.replicas(first)[0]
    for state in ("suspect", "present"):  # it has lost its proofs
        catalogue.set_replica(first, "main", replica.path, state=state)
    (session / "c.bin").write_bytes(b"c" * 500)
    done = lab.node.archive(session, now=True, listener=lambda progress: reading.append(progress.stage))
    assert "verify" in reading
    assert (done.what, list(done.lost)) == ("continuation", [])
    assert catalogue.replicas(first)[0].proven


def test_a_copy_whose_store_is_away_is_relied_on_where_it_was_proven(lab: Lab) -> None:
    session, (first,) = grown(lab)
    lab.add_second()
    (session / "b.bin").write_bytes(b"b" * 500)
    (lab.root / "main").rename(lab.root / "unplugged")
    node = lab.reopened()
    done = node.archive(session, now=True)
    assert (done.what, done.predecessor, [copy.store for copy in done.copies]) == ("continuation", first, ["second"])
    node.close()
    (lab.root / "unplugged").rename(lab.root / "main")
