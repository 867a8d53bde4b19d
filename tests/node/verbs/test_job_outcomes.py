"""What `diadem jobs` says of a run over many sessions, and what becomes of what a killed one has left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import diadem
from diadem.custody.log_entry import Entry
from diadem.model.scan import PlannedSession
from diadem.node.jobs import JobState
from tests.cli.inside import said, said_json
from tests.node.verbs.conftest import Lab

pytestmark = pytest.mark.catalogue


def run(lab: Lab, folders: list[Path]) -> JobState:
    """Archive each folder as a session; the job."""
    sessions = [PlannedSession(folder.name, True, folder.name, "", str(folder)) for folder in folders]
    list(lab.node.archive_all(sessions, now=True))
    return lab.node.jobs[0]


def empty(lab: Lab, name: str) -> Path:
    """A folder that holds nothing, and is refused."""
    (lab.root / name).mkdir()
    return lab.root / name


def test_a_run_of_which_every_session_was_refused_has_failed(lab: Lab) -> None:
    job = run(lab, [empty(lab, name) for name in "abcd"])
    assert job.state == "failed"
    assert job.message.startswith("4 of 4 failed: a: ")
    assert job.words == f"4 sessions of {lab.root}/a, {lab.root}/b, {lab.root}/c and 1 more"
    assert "failed        archive" in said("jobs", "--node", lab.node.path)


def test_a_run_of_which_some_sessions_were_refused_is_done_in_part(lab: Lab) -> None:
    job = run(lab, [empty(lab, "a"), lab.session("b")])
    assert (job.state, job.message.split(":")[0]) == ("done", "1 of 2 failed")
    assert "done, in part archive" in said("jobs", "--node", lab.node.path)
    job = run(lab, [lab.session("c")])
    assert (job.state, job.message, job.words) == ("done", "", f"1 session of {lab.root}/c")


#: Archives a folder, or a run over several, and dies when a package is in the store and not yet in the log.
_DIES = """
import os, signal, sys
import diadem
from diadem.model.scan import PlannedSession
from diadem.node.take import archive, handed_packages
archive.record_ingest = handed_packages.record_ingest = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
with diadem.open_node(sys.argv[1], sys.argv[2]) as node:
    if len(sys.argv) == 4:
        node.archive(sys.argv[3], now=True)
    list(node.archive_all([PlannedSession(one, True, one, "", one) for one in sys.argv[3:]], now=True))
"""


def killed_before_its_statement(lab: Lab, user: str, *sessions: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _DIES, str(lab.node.path), user, *map(str, sessions)], check=False)
    assert done.returncode == -signal.SIGKILL


def ingest_of(lab: Lab, session: Path) -> Entry:
    """The one statement that this session was taken in."""
    with lab.reopened() as node:
        (entry,) = node.context.ledger.of_kind("ingest")
        (row,) = node.search(session.name).rows
        assert entry.statement.subjects[0].name == row.id
        assert node.status().holds["replica.suspect"]
        assert not [one for one in node.status().findings if one.rule == "package.unlisted"]
    return entry


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
@pytest.mark.parametrize("way", ["repair", "reindex"])
def test_what_a_killed_archive_left_is_named_and_entered_in_the_name_of_who_archived(lab: Lab, way: str) -> None:
    lab.node.users.add("bob")
    lab.node.close()
    session, on = lab.session("zno"), ("--node", lab.node.path)
    killed_before_its_statement(lab, "bob", session)
    found = said_json("status", *on)
    (finding,) = [one for one in found["findings"] if one["rule"] == "package.unlisted"]
    assert str(session) in finding["message"]
    assert finding["command"] == "diadem repair"
    assert "diadem repair" in [step["command"] for step in found["steps"]]
    said(way, *on, code=1)  # a second copy is still wanted; a reindex tells what it has found
    entry = ingest_of(lab, session)
    assert entry.statement.predicate["owner"] == "bob@hu-berlin"
    assert entry.statement.predicate["source"] == str(session)
    assert entry.statement.predicate["proof"] == "read-back"
    assert len(entry.envelope.signatures) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_what_a_killed_archive_left_is_the_same_package_for_who_archives_again(lab: Lab) -> None:
    lab.node.close()
    session = lab.session("zno")
    killed_before_its_statement(lab, "alice", session)
    said("archive", session, "--now", "--node", lab.node.path)
    ingest_of(lab, session)


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_package_that_somebody_copied_in_is_not_taken_for_what_a_killed_archive_left(lab: Lab) -> None:
    lab.node.close()
    killed_before_its_statement(lab, "alice", lab.session("zno"))
    foreign = Path(diadem.pack(lab.session("from elsewhere"), lab.root / "other").url)
    shutil.copytree(foreign, lab.root / "main" / foreign.parent.name / foreign.name)
    said("repair", "--node", lab.node.path, code=1)
    with lab.reopened() as node:
        assert len(node.context.ledger.of_kind("ingest")) == 1


def entered_by(lab: Lab, way: str) -> tuple[str, int, Entry]:
    """What the one ingest names as the source, how many have signed it, and the statement."""
    said(way, "--node", lab.node.path, code=1)
    with lab.reopened() as node:
        (entry,) = node.context.ledger.of_kind("ingest")
    return entry.statement.predicate["source"], len(entry.envelope.signatures), entry


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_package_that_was_handed_over_to_a_killed_archive_is_entered_as_one(lab: Lab) -> None:
    lab.node.close()
    package = Path(diadem.pack(lab.session("from elsewhere"), lab.root / "other").url)
    killed_before_its_statement(lab, "alice", package)
    assert entered_by(lab, "repair")[:2] == (f"found as a package in {package}", 2)


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_of_what_a_killed_run_over_several_folders_left_the_node_alone_says_that_it_was_found(lab: Lab) -> None:
    lab.node.close()
    killed_before_its_statement(lab, "alice", lab.session("a"), lab.session("b"))
    assert entered_by(lab, "repair")[:2] == ("found in the store main", 1)


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_what_landed_after_an_archive_was_killed_is_not_taken_for_its_own(lab: Lab) -> None:
    lab.node.close()
    killed_before_its_statement(lab, "alice", lab.session("zno"))
    (job,) = lab.node.path.glob("jobs/*.json")
    (hint,) = lab.root.glob("main/.diadem/by-payload/*")
    os.utime(job, (long_ago := time.time() - 3600, long_ago))
    assert not [one for one in said_json("status", "--node", lab.node.path)["findings"] if "unlisted" in one["rule"]]
    assert hint.exists()
    assert entered_by(lab, "reindex")[:2] == ("found in the store main", 1)


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_what_a_killed_archive_left_out_is_counted_in_its_statement(lab: Lab) -> None:
    lab.node.close()
    session = lab.session("zno")
    (session / "link").symlink_to(lab.root)
    killed_before_its_statement(lab, "alice", session)
    assert entered_by(lab, "repair")[2].statement.predicate["omitted"] == 1


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_one_package_that_cannot_be_entered_stops_no_repair_and_is_looked_at_until_it_is(lab: Lab) -> None:
    lab.node.close()
    killed_before_its_statement(lab, "alice", lab.session("zno"))
    (manifest,) = lab.root.glob("main/*/*/manifest-sha256.txt")
    text = manifest.read_bytes()
    manifest.write_bytes(b"x")
    told = said("repair", "--node", lab.node.path)
    assert "is in no log" in told
    with lab.reopened() as node:
        assert [one.ended for one in node.jobs if one.state == "killed"] == [""]
    manifest.write_bytes(text)
    assert entered_by(lab, "repair")[1] == 2
    with lab.reopened() as node:
        (job,) = [one for one in node.jobs if one.state == "killed"]
        assert job.ended
        assert job.resumable


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_hints_that_cannot_be_read_stop_no_status(lab: Lab) -> None:
    lab.node.close()
    killed_before_its_statement(lab, "alice", lab.session("zno"))
    hints = lab.root / "main" / ".diadem" / "by-payload"
    hints.rename(hints.with_name("moved"))
    hints.write_bytes(b"no folder")
    said("status", "--node", lab.node.path)
    said("repair", "--node", lab.node.path)
