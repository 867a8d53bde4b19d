"""A policy that a person edited lies in the stores after the next statement; words for what was lost and found."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import diadem
from diadem.custody.sentences import sentence
from diadem.errors import NotFound, UsageError
from tests.cli.inside import said
from tests.node.verbs.conftest import Lab

pytestmark = pytest.mark.catalogue


def test_an_edited_policy_is_in_every_store(lab: Lab) -> None:
    lab.add_second()
    policy = lab.node.path / "policy.toml"
    policy.write_text(policy.read_text("utf-8").replace("minimum = 2", "minimum = 1"), "utf-8")
    with lab.reopened() as node:
        node.archive(lab.session("session"), now=True)
        home = f".diadem/nodes/{node.context.settings.short_id}"
    for store in (lab.root / "main", lab.second):
        assert (store / home / "policy.toml").read_bytes() == policy.read_bytes()


def test_a_missing_copy_in_words(lab: Lab) -> None:
    lab.add_second()
    package = lab.archived("session")
    lab.second.rename(lab.root / "elsewhere")
    with lab.reopened() as node:
        node.stores.lose("second", reason="stolen")
        last = node.context.ledger.of_subject(package.removeprefix("diadem:"))[-1]
        words = sentence(last.statement)
    assert words.endswith(
        "looked for 1 package in the store second and did not find a copy: the store is lost: stolen."
    )


def test_a_package_that_somebody_put_there_in_words(lab: Lab) -> None:
    folder = Path(diadem.pack(lab.session("from elsewhere"), lab.root / "other").url)
    shutil.copytree(folder, lab.root / "main" / folder.parent.name / folder.name)
    lab.node.reindex()
    (state,) = lab.node.context.catalogue.package_states()
    (entry,) = lab.node.context.ledger.of_subject(state.id.removeprefix("diadem:"))
    assert "were found in the store main and entered for alice@hu-berlin" in sentence(entry.statement)


def test_nothing_is_due(lab: Lab) -> None:
    lab.archived("session")
    text = said("scrub", "--due", "--node", lab.node.path, "--quiet")
    assert text == "nothing is due   every copy was read within the interval of the policy\n"


def test_a_copy_that_is_missing_is_not_called_damaged(lab: Lab) -> None:
    lab.add_second()
    package = lab.archived("session")
    folder = lab.path(package, "second")
    folder.chmod(0o755)
    folder.rename(lab.root / "taken away")
    text = said("scrub", "--node", lab.node.path, "--quiet", code=1)
    assert f"MISSING          {package[:19]}… session in second" in text
    assert "DAMAGED" not in text
    status = said("status", "--node", lab.node.path, code=1)
    assert "(1 missing)" in status
    assert "1 damaged" not in status


def test_a_word_that_means_nothing_is_refused_with_those_that_do(lab: Lab) -> None:
    package = lab.archived("s")
    path = lab.path(package, "main")
    calls: dict[str, Callable[[], object]] = {
        "repair": lambda: lab.node.repair(store="typo"),
        "scrub of a store": lambda: lab.node.scrub("typo"),
        "scrub": lambda: lab.node.scrub(level="foo"),
        "scrub that would prove nothing": lambda: lab.node.scrub(level="quick"),
        "verify": lambda: diadem.verify(path, level="quickly"),
        "verify of an opened one": lambda: lab.node.get(package).verify(level="quickly"),
    }
    for name, call in calls.items():
        with pytest.raises((UsageError, NotFound)) as refused:
            call()
        assert refused.value.next, name
    assert "leaves" in said("scrub", "--level", "quickly", "--node", lab.node.path, code=2)
    assert "main" in said("repair", "--store", "typo", "--node", lab.node.path, code=3)


@pytest.mark.skipif(os.name == "nt", reason="a POSIX shell splits it")
def test_the_command_that_makes_a_node_anew_names_any_place(tmp_path: Path) -> None:
    place = tmp_path / "Marie's disk"
    with diadem.Node.create(tmp_path / "node", name="n", user="u", store=str(place)) as node:
        node.users.add("bob")
    shutil.copytree(tmp_path / "node", tmp_path / "old")
    with diadem.Node.recover(tmp_path / "anew", str(place), recovery_file=_recovery_file(node)):
        pass
    with diadem.open_node(tmp_path / "old") as old:
        commands = [step.command for step in old.status().steps if "--recover " in step.command]
        advice = [check["next"] for check in old.doctor()["checks"] if "--recover " in check["next"]]
    assert [shlex.split(command)[4] for command in commands] == [str(place)]
    assert advice
    assert all(shlex.quote(str(place)) in text for text in advice)


def _recovery_file(node: diadem.Node) -> Path:
    return Path(str(node.context.settings.recovery_file))


def test_parity_on_a_store_that_the_node_does_not_have_is_refused_with_its_line(lab: Lab) -> None:
    lab.add_second()
    lab.node.close()
    on, policy = ("--node", lab.node.path), lab.node.path / "policy.toml"
    text = policy.read_text("utf-8")
    policy.write_text(text.replace("\nstores = []", '\nstores = ["nirvana"]'), "utf-8")
    line = text[: text.index("\nstores = []")].count("\n") + 2
    said_no = said("status", *on, code=2)
    assert f"line {line}: parity.stores: the node has no store 'nirvana'" in said_no
    assert "main, second" in said_no
    policy.write_text(text.replace("\nstores = []", '\nstores = ["second"]'), "utf-8")
    said("status", *on)
    assert "[parity]" in said("store", "rm", "second", *on, code=4)
    policy.write_text(text, "utf-8")
    said("store", "rm", "second", *on)
