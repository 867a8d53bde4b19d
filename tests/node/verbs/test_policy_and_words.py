"""A policy that a person edited lies in the stores after the next statement; words for what was lost and found."""

from __future__ import annotations

import shutil
from pathlib import Path

import diadem
from diadem.node.custody.words import sentence
from tests.cli.inside import said
from tests.node.verbs.conftest import Lab


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
