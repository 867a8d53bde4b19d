"""The catalogue is a cache: gone, damaged, behind the log or beside the stores, it is made again from what matters."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import diadem
from diadem.catalogue import Catalogue
from diadem.errors import IntegrityError, Interrupted, NotFound
from diadem.model.ports import Progress
from diadem.model.replicas import MISSING, PRESENT, SUSPECT
from diadem.node.jobs import working
from diadem.testing.samples import write_small_images
from tests import catalogues
from tests.cli.inside import said, said_json
from tests.node.verbs.agreeing import copies, memory, require_agreement
from tests.node.verbs.conftest import Lab, damage, remove

pytestmark = pytest.mark.catalogue


def forget_catalogue(lab: Lab) -> None:
    """Remove the catalogue's file and those beside it."""
    catalogues.forget(lab.node.path)


def look_at_everything(lab: Lab) -> None:
    """Open the node and read all of its catalogue."""
    with lab.reopened() as node:
        memory(node)
        list(node.context.catalogue.package_states())
        node.search("nothing")


def test_a_catalogue_that_is_gone_is_made_again(lab: Lab) -> None:
    """Archived, continued, damaged, mended, dropped, deleted, archived again: afterwards the same is known."""
    lab.add_second()
    write_small_images(lab.root / "instrument", 2)
    (lab.root / "instrument" / "more").mkdir()
    lab.node.archive(lab.root / "instrument", now=True, as_one=True, metadata={"sample": {"name": "S-12"}})
    kept = lab.archived("kept")
    (lab.root / "kept" / "later.bin").write_bytes(b"later")
    lab.node.archive(lab.root / "kept", now=True)
    damage(lab.path(kept, "second") / "data/scan 1.bin")
    assert not lab.node.scrub().ok
    assert lab.node.repair().ok
    policy = lab.node.path / "policy.toml"
    policy.write_text("[retention]\nyears = 0\n[copies]\nminimum = 1\n", "utf-8")
    node = lab.reopened()
    dropped, deleted, again = lab.archived("dropped"), lab.archived("deleted"), lab.archived("again")
    node.drop(dropped, "second", reason="space")
    node.delete(deleted, reason="no use")
    node.delete(again, reason="by mistake")
    assert node.archive(lab.root / "again", now=True).what == "new"
    known = memory(node)
    found = said_json("search", "image.pixel_size_x<1nm", "sample:S-12", "--node", node.path)
    assert (found["total"], node.search().total) == (1, 5)
    node.close()
    lab.node.close()
    forget_catalogue(lab)
    assert "reindex" in said("search", "--node", lab.node.path, code=3)
    assert said_json("reindex", "--node", lab.node.path)["packages"] == 5
    assert said_json("search", "image.pixel_size_x<1nm", "sample:S-12", "--node", lab.node.path) == found
    node = lab.reopened()
    assert memory(node) == known
    assert copies(node)[dropped] == ["main"]
    require_agreement(node)
    node.close()


def test_other_processes_read_the_packages(lab: Lab) -> None:
    """The same catalogue, whoever read them; one that is damaged is told."""
    lab.add_second()
    packages = [lab.archived(f"s{number}") for number in range(5)]
    remove(lab.path(packages[0], "second") / "diadem/index.tsv")
    alone = lab.node.reindex()
    known = memory(lab.node)
    with diadem.WorkerPool(2) as executor:
        assert lab.node.reindex(executor=executor).to_dict() == alone.to_dict() | {"notes": [alone.notes[0]]}
    assert memory(lab.node) == known


@catalogues.in_a_file
@pytest.mark.parametrize("where", ["head", "tail"])
def test_a_damaged_catalogue_is_made_again(lab: Lab, where: str) -> None:
    packages = {lab.archived(f"s{number}") for number in range(3)}
    before = memory(lab.node)
    lab.node.close()
    path = lab.node.path / "catalogue.sqlite"
    data = bytearray(path.read_bytes())
    begin = 0 if where == "head" else 8192
    data[begin : begin + 40960] = b"\0" * len(data[begin : begin + 40960])
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match="the catalogue is damaged"):
        look_at_everything(lab)
    with diadem.open_node(lab.node.path, rebuild=True) as node:
        assert node.reindex().packages == 3
    with lab.reopened() as node:
        assert memory(node) == before
        assert {row.id for row in node.search().rows} == packages
        require_agreement(node)


@catalogues.in_a_file
def test_a_crash_between_log_and_catalogue_is_caught_up_when_the_node_is_opened(lab: Lab) -> None:
    lab.add_second()
    package = lab.archived("s")
    snapshot = lab.root / "earlier.sqlite"
    lab.node.context.catalogue.snapshot(snapshot)
    damage(lab.path(package, "main") / "data/scan 1.bin")
    assert not lab.node.scrub().ok
    later = lab.archived("later")
    lab.node.users.add("bob")  # a statement about no package
    expected = memory(lab.node)
    lab.node.close()
    forget_catalogue(lab)
    shutil.copy(snapshot, lab.node.path / "catalogue.sqlite")  # as if none of these had reached the catalogue
    with lab.reopened() as node:
        assert node.context.follower.behind() == 0
        assert memory(node) == expected
        assert {state.id: len(state.replicas) for state in node.context.catalogue.package_states()} == {
            package: 2,
            later: 2,
        }
        states = {replica.store: replica.state for replica in node.context.catalogue.replicas(package)}
        assert states == {"main": SUSPECT, "second": PRESENT}


def test_statements_reach_the_catalogue_in_the_order_of_the_log(lab: Lab) -> None:
    """A process that is slow between log and catalogue does not undo what a quicker one has entered meanwhile."""
    package = lab.archived("s")
    slow, quick = lab.node, lab.reopened()
    path = lab.path(package, "main") / "data/scan 1.bin"
    good = path.read_bytes()
    damage(path)
    appended = slow.context.ledger.append

    def append_late(*arguments: object, **options: object) -> object:
        entries = appended(*arguments, **options)  # type: ignore[arg-type]
        path.chmod(0o644)
        path.write_bytes(good)
        assert quick.scrub(level="full").ok
        return entries

    slow.context.ledger.append = append_late  # type: ignore[assignment, method-assign]
    assert not slow.scrub().ok
    slow.context.ledger.append = appended  # type: ignore[method-assign]
    (replica,) = slow.context.catalogue.replicas(package)
    assert (replica.state, replica.proven_level) == (PRESENT, "full")
    quick.close()
    require_agreement(slow)


def test_packages_that_somebody_copied_into_a_store_are_entered_stated_and_due(lab: Lab, tmp_path: Path) -> None:
    other = diadem.pack(lab.session("elsewhere"), tmp_path / "other-store")
    folder = Path(other.url)
    place = lab.root / "main" / folder.parent.name / folder.name
    shutil.copytree(folder, place)
    assert lab.node.search().total == 0
    (note,) = lab.node.reindex().notes
    assert "somebody copied it there" in note
    (state,) = lab.node.context.catalogue.package_states()
    assert (state.id, state.signed, state.replicas[0].proven_at) == (other.id, True, None)
    assert lab.node.reindex().notes == ()
    ingest = lab.node.context.ledger.of_subject(state.id.removeprefix("diadem:"))[0].statement.predicate
    assert (ingest["source"], ingest["proof"]) == ("found in the store main", "none")
    assert lab.node.search("owner:alice").total == 1
    lab.add_second()
    assert lab.node.scrub(due=True).proven == 1
    assert [copy.store for _, copy in lab.node.repair().copies] == ["second"]
    require_agreement(lab.node)


def test_a_package_that_was_copied_into_the_other_store_is_a_copy(lab: Lab) -> None:
    package = lab.archived("s")
    lab.add_second()
    folder = lab.path(package, "main")
    shutil.copytree(folder, lab.second / folder.parent.name / "by hand")
    (note,) = lab.node.reindex().notes
    assert "by hand in second was not in the log" in note
    replicas = {replica.store: replica for replica in lab.node.context.catalogue.replicas(package)}
    assert replicas["second"].path == f"{folder.parent.name}/by hand"
    assert (replicas["second"].state, replicas["second"].proven_at) == (PRESENT, None)
    assert "found a copy of the package in the store second" in str(lab.node.custody(package).to_dict())
    known = memory(lab.node)
    assert lab.node.reindex().notes == ()
    assert memory(lab.node) == known
    assert lab.node.scrub("second").ok
    require_agreement(lab.node)


def test_a_copy_that_a_killed_run_has_left_is_entered_and_one_that_was_dropped_and_put_back(lab: Lab) -> None:
    left, back = lab.archived("left"), lab.archived("back")
    lab.add_second()
    folder = lab.path(left, "main")
    shutil.copytree(folder, lab.second / folder.parent.name / folder.name)  # the copy, and then no word of it
    (lab.node.path / "policy.toml").write_text("[copies]\nminimum = 1\n", "utf-8")
    with lab.reopened() as node:
        shutil.copytree(lab.path(back, "main"), lab.root / "kept")
        place = lab.path(back, "main")
        second = place.relative_to(lab.root / "main")
        shutil.copytree(lab.root / "kept", lab.second / second)
        assert len(node.reindex().notes) == 2
        assert node.scrub().ok
        node.drop(back, "main", reason="space")
        shutil.copytree(lab.root / "kept", place)
        (note,) = node.reindex().notes
        assert "in main was not in the log" in note
        assert copies(node) == {left: ["main", "second"], back: ["main", "second"]}
        require_agreement(node)


def test_what_a_reindex_finds_wrong_is_stated_and_stays_known(lab: Lab) -> None:
    lab.add_second()
    gone, hurt = lab.archived("gone"), lab.archived("hurt")
    folder = lab.path(gone, "second")
    for one in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        one.chmod(0o755)
    shutil.rmtree(folder)
    remove(lab.path(hurt, "main") / "manifest-sha256.txt")
    notes = lab.node.reindex().notes
    assert len([note for note in notes if "diadem repair" in note]) == 2
    lab.node.reindex()
    for package, store, state in ((gone, "second", MISSING), (hurt, "main", SUSPECT)):
        found = {replica.store: replica.state for replica in lab.node.context.catalogue.replicas(package)}
        assert found == {"main": PRESENT, "second": PRESENT, store: state}
        said = [entry.statement for entry in lab.node.context.ledger.of_subject(package.removeprefix("diadem:"))]
        assert [one.kind for one in said] == ["ingest", "replicate", "fixity"]
    assert lab.node.repair().ok
    require_agreement(lab.node)


def test_a_store_that_is_away_is_taken_from_the_log(lab: Lab) -> None:
    lab.add_second()
    both = lab.archived("both")
    lab.node.close()
    lab.second.rename(lab.root / "unplugged")
    node = lab.reopened()
    (note,) = node.reindex().notes
    assert "second does not answer" in note
    assert copies(node) == {both: ["main", "second"]}
    node.close()
    (lab.root / "unplugged").rename(lab.second)
    with lab.reopened() as node:
        require_agreement(node)


def test_a_package_that_could_not_be_read_is_read_when_its_store_is_back(lab: Lab) -> None:
    package = lab.archived("s")
    known = memory(lab.node)
    lab.node.close()
    (lab.root / "main").rename(lab.root / "unplugged")
    forget_catalogue(lab)
    with diadem.open_node(lab.node.path, rebuild=True) as node:
        node.reindex()
        assert node.context.catalogue.unread() == [package]
        (row,) = node.search().rows
        assert (row.id, row.datasets, row.files) == (package, 0, 3)
    (lab.root / "unplugged").rename(lab.root / "main")
    with lab.reopened() as node:
        assert any("could be read before" in note for note in node.repair().notes)
        assert memory(node)["rows"] == known["rows"]
        assert node.context.catalogue.unread() == []
        require_agreement(node)


def test_what_a_killed_reindex_left_is_removed(lab: Lab) -> None:
    lab.archived("s")
    draft = lab.node.context.catalogue.draft()
    draft.close()
    assert catalogues.drafts(lab.node.path)
    lab.node.reindex()
    assert not catalogues.drafts(lab.node.path)


def test_catching_up_needs_nothing_where_nothing_is_missing(lab: Lab) -> None:
    lab.archived("s")
    assert lab.node.context.follower.catch_up() == 0
    with pytest.raises(NotFound, match="no catalogue"):
        Catalogue.open(lab.root / "none.sqlite")
    assert json.loads(json.dumps(lab.node.reindex().to_dict()))["statements"] == lab.node.context.ledger.total


def test_a_reindex_that_is_stopped_leaves_the_catalogue_as_it_was(lab: Lab) -> None:
    lab.archived("s")
    before = memory(lab.node)

    def stop(_: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        lab.node.reindex(listener=stop)
    assert not catalogues.drafts(lab.node.path)
    assert memory(lab.node) == before
    assert [job.state for job in lab.node.jobs if job.kind == "reindex"] == ["stopped"]


def test_a_package_that_a_killed_archive_has_left_is_taken_in_by_the_same_command(lab: Lab) -> None:
    session = lab.session("s")
    left = diadem.pack(session, lab.root / "main")  # published, and then the process was killed
    assert lab.node.search().total == 0
    archived = lab.node.archive(session, now=True)
    assert (archived.what, archived.package.id) == ("new", left.id)
    assert lab.node.archive(session, now=True).what == "already"
    require_agreement(lab.node)


def test_what_a_killed_archive_has_left_and_a_reindex_has_entered_is_stated_by_the_same_command(lab: Lab) -> None:
    session = lab.session("s")
    left = diadem.pack(session, lab.root / "main")  # published, and then the process was killed
    with working(lab.node.context, "archive", "another", source="another"):  # it may be its package
        assert "an archive is at work" in " ".join(lab.node.reindex().notes)
    assert [row.id for row in lab.node.search().rows] == [left.id]
    archived = lab.node.archive(session, now=True)
    assert archived.package.id == left.id
    assert lab.node.archive(session, now=True).what == "already"
    require_agreement(lab.node)
    (ingest,) = (one for one in lab.node.context.ledger.all_entries() if one.statement.kind == "ingest")
    assert ingest.statement.predicate["source"] == str(session)
