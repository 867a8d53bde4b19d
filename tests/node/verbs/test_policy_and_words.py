"""A policy that a person edited lies in the stores after the next statement; words for what was lost and found."""

from __future__ import annotations

import shutil
from pathlib import Path

import diadem
from diadem.node.custody.words import sentence
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
        said = sentence(last.statement)
    assert said.endswith("looked for 1 package in the store second and did not find a copy: the store is lost: stolen.")


def test_a_package_that_somebody_put_there_in_words(lab: Lab) -> None:
    folder = Path(diadem.pack(lab.session("from elsewhere"), lab.root / "other").url)
    shutil.copytree(folder, lab.root / "main" / folder.parent.name / folder.name)
    lab.node.reindex()
    (state,) = lab.node.context.catalogue.package_states()
    (said,) = lab.node.context.ledger.of_subject(state.id.removeprefix("diadem:"))
    assert "were found in the store main and entered for alice@hu-berlin" in sentence(said.statement)
