"""Derivations: results linked to their data, and doubts about the data shown on what was made from them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import hyperspy.api as hs
import numpy as np
import pytest

import diadem
from diadem.errors import NotFound, QualityWarning, UsageError
from diadem.node.node import Node
from tests.node.verbs.agreeing import rebuilt
from tests.node.verbs.conftest import Lab

pytestmark = pytest.mark.catalogue


def result(folder: Path, name: str) -> Path:
    """A file that an analysis has written."""
    path = folder / f"{name}.csv"
    path.write_text(f"{name}\n1,2,3\n")
    return path


def made(lab: Lab, name: str, *sources: str, **more: Any) -> str:
    return lab.node.derive(result(lab.root, name), sources, software={"own script": "7"}, **more).package


def sentences(node: Node, package: str) -> list[str]:
    return [one.sentence for one in node.warnings(package)]


def test_a_reject_on_raw_data_is_shown_on_what_derives_from_it(lab: Lab) -> None:
    raw = lab.archived("raw")
    thickness = made(lab, "thickness", raw[7:19] + ":scan 0.bin", comment="log-ratio", parameters={"cut": 0.5})
    figure = made(lab, "figure", thickness)
    assert lab.node.warnings(figure) == []
    lab.node.assess(raw, "reject", purpose="EELS", criterion="drift", dataset="scan 0.bin", comment="30 nm")
    for package, way in ((thickness, (raw,)), (figure, (thickness, raw))):
        (caution,) = lab.node.warnings(package)
        assert (caution.package, caution.path, caution.way) == (raw, "scan 0.bin", way)
        assert (caution.assessment.purpose, caution.assessment.by) == ("EELS", "alice@hu-berlin")
        (row,) = lab.node.search(f"id:{package[7:19]}")
        assert row.warnings == tuple(sentences(lab.node, package))
        assert "alice@hu-berlin: scan 0.bin" in row.warnings[0]
        assert "is rejected for EELS – drift (30 nm)" in row.warnings[0]
        assert lab.node.custody(package).warnings == row.warnings
    assert lab.node.search(f"id:{raw[7:19]}").rows[0].quality == ("reject",)
    lab.node.assess(raw, "reject", purpose="imaging", dataset="scan 1.bin")
    assert len(lab.node.warnings(figure)) == 1, "another dataset of it was not used"
    lab.node.assess(raw, "accept", purpose="EELS", criterion="drift", dataset="scan 0.bin")
    assert lab.node.warnings(figure) == []


def test_a_diamond_is_told_once_and_a_ring_ends(lab: Lab) -> None:
    raw = lab.archived("raw")
    left, right = made(lab, "left", raw), made(lab, "right", raw)
    both = made(lab, "both", left, right)
    lab.node.assess(raw, "limited", purpose="imaging")
    (caution,) = lab.node.warnings(both)
    assert len(caution.way) == 2
    lab.node.derive(raw, [both], comment="so somebody says")
    assert len(lab.node.warnings(both)) == len(lab.node.warnings(raw)) == 1
    assert lab.node.search(f"derived-from:{raw[7:19]}").total == 4
    assert lab.node.search(f"source-of:{raw[7:19]}").total == 4


def test_both_chains_show_it_and_the_search_goes_up_and_down(lab: Lab) -> None:
    first, second, other = lab.archived("one"), lab.archived("two", seed=1), lab.archived("three", seed=2)
    middle = made(lab, "middle", first, second)
    last = made(lab, "last", middle)
    assert {row.id for row in lab.node.search(f"derived-from:{first}")} == {middle, last}
    assert {row.id for row in lab.node.search(f"source-of:{last}")} == {middle, first, second}
    assert {row.id for row in lab.node.search(f"not derived-from:{first} not source-of:{last}")} == {other}
    for package in (first, second, middle):
        told = [step.sentence for step in lab.node.custody(package).steps if step.kind == "derivation"]
        assert f"{middle[:19]}… was made from" in told[0]
        assert "own script 7" in told[0]
    (said,) = lab.node.derivations(first)
    assert {source.package for source in said.sources} == {first, second}


def test_a_signal_is_archived_and_loaded_with_its_doubts(lab: Lab) -> None:
    raw = lab.archived("raw")
    signal = hs.signals.Signal2D(np.arange(12.0).reshape(3, 4))
    signal.metadata.General.title = "thickness: t/λ"
    done = lab.node.derive(signal, raw, parameters={"window": np.float64(2.5), "edges": np.array([1, 2])})
    said = done.derivations[0]
    assert said.parameters == {"window": 2.5, "edges": [1, 2]}
    names = dict(said.software)
    assert names["hyperspy"] == hs.__version__ if hasattr(hs, "__version__") else "hyperspy" in names
    assert {"diadem-em", "python", "numpy", "rosettasciio"} <= names.keys()
    package = lab.node.get(done.package)
    (file,) = package.files
    assert file.name.endswith(".hspy")
    assert package.record.session["title"] == "thickness: t/λ"
    with warnings.catch_warnings():
        warnings.simplefilter("error", QualityWarning)
        assert np.array_equal(package.load(file.name, lazy=False).data, signal.data)
    lab.node.assess(raw, "reject", purpose="EELS")
    with pytest.warns(QualityWarning, match="is rejected"):
        loaded = package.load(file.name)
    assert loaded.metadata.General.diadem.warnings == sentences(lab.node, done.package)
    again = lab.node.derive(loaded, from_=[loaded], name="smoothed")
    assert [(one.package, one.path) for one in again.derivations[0].sources] == [(done.package, file.name)]
    assert lab.node.warnings(again.package)


def test_a_figure_is_archived_as_a_picture(lab: Lab) -> None:
    from matplotlib.figure import Figure

    raw = lab.archived("raw")
    figure = Figure()
    figure.subplots().plot([1, 2])
    done = lab.node.derive(figure, lab.node.get(raw), name="Figure 3", software={})
    package = lab.node.get(done.package)
    assert package.files[0].name == "Figure 3.png"
    assert done.derivations[0].software == ()
    assert any("the analysis 'Figure 3'" in step.sentence for step in package.custody.steps)


def test_the_sample_of_all_sources_is_the_sample_of_the_result(lab: Lab) -> None:
    raw = lab.archived("raw")
    lab.node.amend(raw, {"sample.identifier": "S-12"})
    assert lab.node.get(made(lab, "map", raw)).record.sample == {"identifier": "S-12"}
    other = lab.archived("other", seed=5)
    assert lab.node.get(made(lab, "sum", raw, other)).record.sample == {}


def test_what_cannot_be_linked_is_refused_and_nothing_is_said(lab: Lab) -> None:
    raw = lab.archived("raw")
    before = lab.node.context.ledger.size
    for given, from_, more, said in (
        (result(lab.root, "a"), [], {}, "no source"),
        (result(lab.root, "a"), ["scan"], {}, "not a package"),
        (result(lab.root, "a"), [f"{raw}:scan 9.bin"], {}, "no dataset"),
        (result(lab.root, "a"), [raw], {"parameters": {"x": float("nan")}}, "not a JSON object"),
        (result(lab.root, "a"), [raw], {"parameters": {"x": "y" * 70_000}}, "too many"),
        (lab.root / "nothing.csv", [raw], {}, "no such file"),
        (np.zeros(3), [raw], {}, "type ndarray"),
        (raw, [raw], {}, "made from itself"),
    ):
        with pytest.raises((UsageError, NotFound), match=said):
            lab.node.derive(given, from_, **more)
    assert lab.node.context.ledger.size == before


def test_the_log_alone_gives_the_same_links(lab: Lab) -> None:
    raw = lab.archived("raw")
    lab.node.assess(raw, "reject", purpose="EELS")
    last = made(lab, "last", made(lab, "map", raw))
    query = f"source-of:{last}"
    before = [row.to_dict() for row in lab.node.search(query)], sentences(lab.node, last)
    lab.node.close()
    with rebuilt(lab.node.path) as node:
        assert ([row.to_dict() for row in node.search(query)], sentences(node, last)) == before
        assert diadem.Node is type(node)


def test_a_link_that_a_chain_does_not_show_does_not_count(lab: Lab) -> None:
    from diadem.model.statements import Draft, Subject

    raw, other = lab.archived("raw"), lab.archived("other", seed=4)
    lab.node.assess(raw, "reject", purpose="EELS")
    said = {"result": other, "sources": [{"package": raw}], "by": "alice@hu-berlin"}
    lab.node.context.say([Draft("derivation", (Subject.package(other),), said)], as_user=True)
    assert lab.node.warnings(other) == []
    assert lab.node.search(f"derived-from:{raw}").total == 0
