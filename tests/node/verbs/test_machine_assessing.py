"""Programs judge data where a user asks for it, in the user's name and under their own."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from tests.node.verbs.conftest import Lab

pytestmark = pytest.mark.catalogue


def test_what_the_checks_find_is_limited_and_named(lab: Lab) -> None:
    folder = lab.session("session", files=1)
    frame = np.random.default_rng(0).integers(0, 30_000, (128, 128)).astype("<u2")
    frame[:40] = 65535
    tifffile.imwrite(folder / "frame.tif", frame)
    archived = lab.node.archive(folder, now=True)
    package = str(archived.package.id)
    assert not [code for code in archived.outcome.issues if code.startswith(("saturation", "calibration"))]
    done = lab.node.assess_by_machine(package)
    assert (done.datasets, done.checks, done.failures) == (2, 3, ())
    found = {one.criterion: one for one in done.stated}
    assert found.keys() == {"saturation", "calibration"}
    said = found["saturation"]
    assert (said.verdict, said.purpose, said.by, said.plugin) == ("limited", "any use", "alice@hu-berlin", "saturation")
    assert "65535" in said.comment
    (row,) = lab.node.search("quality:limited criterion:saturation")
    assert [one.path for one in row.matched] == ["frame.tif"]
    assert lab.node.assess_by_machine(package).stated == (), "nothing is said twice"
    lab.node.assess(package, "accept", purpose="any use", criterion="saturation", dataset="frame.tif")
    assert lab.node.assessments(package).disputes, "a person and a program may disagree"
    assert "by the program saturation" in " ".join(step.sentence for step in lab.node.custody(package).steps)
