"""Files of a node that were lost, emptied or bent: each is named with the command that brings it back, which is run."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.cli.inside import said, said_json
from tests.node.verbs.conftest import Lab
from tests.node.verbs.test_doctor import needs_permissions

AGREED = '# Universität\n[copies]\nminimum = 3\n[archive]\nquiet = "1 min"\n'


def shell(command: str) -> None:
    """Run a command that was printed, as a person would who pastes it."""
    subprocess.run(command, shell=True, check=True, capture_output=True)


def agreed(lab: Lab) -> Path:
    """The node's policy, with what the group agreed on; the stores have it."""
    policy = lab.node.path / "policy.toml"
    policy.write_text(AGREED, "utf-8")
    with lab.reopened() as node:
        node.confirm_recovery()
    return policy


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_policy_is_read_as_editors_save_it(lab: Lab, encoding: str) -> None:
    bom = "\ufeff" if encoding.startswith("utf-16-") else ""
    (lab.node.path / "policy.toml").write_bytes((bom + AGREED).encode(encoding))
    with lab.reopened() as node:
        assert node.context.policy.copies.minimum == 3


def test_a_policy_in_latin_1_is_told_with_its_line_by_every_command(lab: Lab) -> None:
    package = lab.archived("s")
    policy = agreed(lab)
    policy.write_bytes(AGREED.encode("latin-1") + b"# \xe4\n")
    for command in (["status"], ["scrub"], ["drop", package, "--store", "main", "--reason", "x"]):
        error = said_json(*command, "--node", lab.node.path, code=2)["error"]
        assert error["message"].startswith("line 1: this is no UTF-8 text")
        assert (error["where"], "UTF-8" in error["next"]) == (str(policy), True)
    (check,) = [
        one for one in said_json("doctor", "--node", lab.node.path, code=1)["checks"] if one["name"] == "policy"
    ]
    assert (check["verdict"], "line 1" in check["message"], "UTF-8" in check["next"]) == ("wrong", True, True)
    assert lab.node.search().total == 1
    assert said_json("search", "--node", lab.node.path)["total"] == 1
    assert said_json("verify", package, "--node", lab.node.path)["ok"]
    with lab.reopened() as node:
        node.confirm_recovery()  # it does not take the place of the stores' copies
    policy.unlink()
    with lab.reopened() as node:
        shell(node.status().steps[0].command)
    assert policy.read_text("utf-8") == AGREED


@needs_permissions
@pytest.mark.parametrize("content", [b"", b" \r\n\t", b"\xef\xbb\xbf\n", b"\0" * 900])
def test_an_empty_policy_is_no_policy(lab: Lab, content: bytes) -> None:
    lab.add_second()
    package = lab.archived("s")
    lab.node.stores.add(str(lab.root / "third"), name="third", place="a third disk")
    lab.node.repair()
    policy = agreed(lab)
    policy.write_bytes(content)
    status = said_json("status", "--node", lab.node.path, code=1)
    (finding,) = [one for one in status["findings"] if one["rule"] == "policy.missing"]
    assert "policy.toml is empty" in finding["message"]
    for verb in (["drop", package, "--store", "third"], ["delete", package]):
        error = said_json(*verb, "--reason", "room", "--node", lab.node.path, code=4)["error"]
        assert ("policy.toml is empty" in error["message"], error["next"]) == (True, finding["command"])
    (check,) = [one for one in lab.node.doctor()["checks"] if one["name"] == "policy"]
    assert (check["verdict"], check["next"]) == ("wrong", finding["command"])
    said("archive", lab.session("another"), "--now", "--node", lab.node.path)  # mirrors what is good alone
    shell(finding["command"])
    assert policy.read_text("utf-8") == AGREED
    assert lab.reopened().context.policy.copies.minimum == 3
