"""What was said of data is not lost with a package, a catalogue, a check or a store; nor is it obeyed by a terminal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tifffile

from diadem.errors import DocumentError
from tests.cli.inside import said
from tests.node.verbs.conftest import Lab
from tests.node.verbs.test_deriving import result
from tests.node.verbs.test_reindexing import forget_catalogue

pytestmark = pytest.mark.catalogue


def test_the_doubt_about_a_source_outlives_the_source(lab: Lab) -> None:
    (lab.node.path / "policy.toml").write_text("[retention]\nyears = 0\n[copies]\nminimum = 1\n", "utf-8")
    with lab.reopened() as node:
        source = lab.archived("raw")
        made = node.derive(result(lab.root, "thickness"), source, software={"a": "1"}).package
        node.assess(source, "reject", purpose="EELS", comment="beam damage")
        node.delete(source, reason="no room")
        for _ in range(2):
            assert "beam damage" in node.warnings(made)[0].sentence
            assert "beam damage" in node.search("fig or thickness").rows[0].warnings[0]
            node.reindex()


def test_the_doubt_about_one_dataset_outlives_catalogue_and_store(lab: Lab) -> None:
    source = lab.archived("raw")
    (lab.root / "second").mkdir()
    lab.node.stores.add(str(lab.root / "second"), name="second", place="another disk")
    lab.node.assess(source, "reject", purpose="EELS", dataset="scan 0.bin", comment="30 nm")
    made = lab.node.derive(result(lab.root, "thickness"), [f"{source[7:19]}:scan 0.bin"], software={"a": "1"}).package
    lab.node.repair(made)
    lab.node.close()
    forget_catalogue(lab)
    (lab.root / "main").rename(lab.root / "unplugged")
    said("reindex", "--node", lab.node.path, code=1)
    with lab.reopened() as node:
        assert "30 nm" in node.warnings(made)[0].sentence


def test_a_continuation_inherits_what_holds_and_not_what_was_sealed(lab: Lab) -> None:
    session = lab.session("s")
    first = lab.node.archive(session, now=True, metadata={"sample": {"identifier": "S-21"}}).package.id
    lab.node.amend(first, {"sample.identifier": "S-12"})
    (session / "later.bin").write_bytes(b"later")
    assert lab.node.archive(session, now=True).what == "continuation"
    assert lab.node.search("sample:S-12").total == 2
    assert lab.node.search("sample:S-21").total == 0


def test_what_cannot_be_stated_of_a_result_is_refused_before_it_is_archived(lab: Lab) -> None:
    source = lab.archived("raw")
    with pytest.raises(DocumentError):
        lab.node.derive(result(lab.root, "thickness"), source, software={"program": "v" * 5000})
    assert lab.node.search().total == 1


def test_words_of_others_do_nothing_to_a_terminal(lab: Lab) -> None:
    package = lab.archived("s")
    evil = "fine\x1b[2J\x1b]0;owned\x07\u202e"
    lab.node.assess(package, "reject", purpose="EELS", comment=evil)
    lab.node.amend(package, {"sample.name": evil}, reason=evil)
    made = lab.node.derive(result(lab.root, "thickness"), package, software={"a": "1"}).package
    for command in (
        ("assess", package),
        ("amend", package),
        ("search",),
        ("custody", package),
        ("custody", made),
        ("get", made, lab.root / "back"),
    ):
        text = said(*command, "--node", lab.node.path)
        assert not [letter for letter in text if not letter.isprintable() and letter != "\n"], command
    assert "no dataset" in said(
        "assess", package, "accept", "--for", "x", "--dataset", "\udcff.bin", "--node", lab.node.path, code=3
    )


def test_a_check_that_did_not_look_has_found_nothing_out(lab: Lab) -> None:
    folder = lab.session("session", files=1)
    frame = np.random.default_rng(0).integers(0, 30_000, (128, 128)).astype("<u2")
    frame[:40] = 65535
    tifffile.imwrite(folder / "frame.tif", frame)
    package = str(lab.node.archive(folder, now=True).package.id)
    assert "saturation" in {one.criterion for one in lab.node.assess_by_machine(package).stated}
    tools = lab.node.context.tools
    fewer = replace(tools, checks=[one for one in tools.checks if one.name != "saturation"])
    lab.node.context.gather = lambda: fewer
    assert not [one for one in lab.node.assess_by_machine(package).stated if one.criterion == "saturation"]
    assert lab.node.search("quality:limited criterion:saturation").total == 1
