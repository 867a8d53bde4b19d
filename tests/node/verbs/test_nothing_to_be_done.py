"""A repair that cannot do what the policy wants says so, and why, and ends with 1."""

from __future__ import annotations

import re
import shlex

import pytest

from tests.cli.inside import said, said_json
from tests.node.verbs.conftest import Lab

pytestmark = pytest.mark.catalogue


def test_there_is_no_other_place(lab: Lab) -> None:
    assert said("repair", "--node", lab.node.path, "--quiet").startswith("nothing to do ")
    lab.archived("s")
    text = said("repair", "--node", lab.node.path, "--quiet", code=1)
    assert text == (
        "nothing can be done now: 1 package lacks a copy; the node has no store on another disk: "
        f"diadem store add --node {lab.node.path} PLACE\n"
    )
    assert said("repair", "--dry-run", "--node", lab.node.path, "--quiet", code=1) == text


def test_a_store_on_the_same_disk_is_said_to_be_too_little_at_once(lab: Lab) -> None:
    lab.archived("s")
    at = ("--node", lab.node.path)
    added = said("store", "add", lab.second, "--name", "second", *at)
    assert "same disk as main: the two count as one copy, and the policy wants 2 on different disks" in added
    assert f"next             diadem store add --node {lab.node.path} PLACE   (" in added, (
        "a repair alone would end with 1"
    )
    (advice,) = re.findall(r"^or +diadem (store move .*?)   ", added, re.MULTILINE)
    said(*shlex.split(advice), *at)
    assert "2 proven copies" in said("repair", "--quiet", *at) + said("status", *at, code=None)
    third = said("store", "add", lab.root / "third", *at)
    assert f"next             diadem repair --node {lab.node.path}   (" in third, "there are places enough"
    said("repair", *at)


def test_the_other_place_is_away(lab: Lab) -> None:
    lab.add_second()
    lab.second.rename(lab.root / "unplugged")
    package = lab.archived("s")
    wanted = "1 package lacks a copy; no store on another disk answers (second is away)"
    text = said("repair", "--node", lab.node.path, "--quiet", code=1)
    assert text == f"nothing can be done now: {wanted}\n"
    document = said_json("repair", package, "--node", lab.node.path, code=1)
    assert (document["ok"], document["wanting"], document["away"]) == (False, [wanted], ["second"])
    assert "second does not answer" in said("repair", "--store", "second", "--node", lab.node.path, code=1)
    assert "second is away" in " ".join(said("status", "--node", lab.node.path, code=1).split())
    (lab.root / "unplugged").rename(lab.second)
    assert "copied" in said("repair", "--node", lab.node.path, "--quiet")
    lab.second.rename(lab.root / "unplugged")
    text = said("repair", "--node", lab.node.path, "--quiet")
    assert "second does not answer; its copies count as they were last proven" in text
