"""Cards of what archiving and deriving gave, and of a package: they say what a person asks next."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import diadem
from diadem.testing.samples import write_image_session


@pytest.fixture
def node(tmp_path: Path) -> diadem.Node:
    return diadem.Node.create(tmp_path / "node", name="lab", user="alice", store=str(tmp_path / "store"))


def test_cards_of_an_archived_session_and_of_a_result(node: diadem.Node, tmp_path: Path) -> None:
    write_image_session(tmp_path / "session", sample="S-12", date="2026-03-21")
    with node:
        archived = node.archive(tmp_path / "session", now=True)
        assert archived._repr_html_().count("<img") == 3
        assert ">HAADF boundary, 256 × 256</bdi>" in archived.package._repr_html_(), "sizes without steps"
        np.save(tmp_path / "mean.npy", np.ones(3))
        derived = node.derive(
            tmp_path / "mean.npy",
            from_=[archived.package["S-12 HAADF boundary.hspy"]],
            name="Mean",
            comment="of counts",
        )
        shown = str(derived)
        for said in ("Derived  Mean", "main", "alice@lab", "of counts", "diadem-em", "S-12 HAADF boundary.hspy"):
            assert said in shown
        assert archived.package.id.removeprefix("diadem:")[:12] in shown
        totals = node.status()._repr_html_().partition(">totals<")[2].partition("</tr>")[0]
        assert "packages 2" in totals
        assert " 0" not in totals, "what is empty is left out"
