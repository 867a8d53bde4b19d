"""What `diadem jobs` says of a run over many sessions: all folders counted, and what of it failed."""

from __future__ import annotations

from pathlib import Path

from diadem.model.scan import PlannedSession
from diadem.node.jobs import JobState
from tests.cli.inside import said
from tests.node.verbs.conftest import Lab


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
