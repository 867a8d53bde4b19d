"""THREATS.md names tests and modules: each exists, and no threat is without an answer."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "THREATS.md").read_text("utf-8")
THREATS = dict(re.findall(r"^### (.+)\n((?:- .+\n)+)", PAGE, re.MULTILINE))
#: Against these nothing is done, and the page says so.
OPEN = {"The operator of the machine", "Traffic analysis"}


@cache
def functions(path: str) -> set[str]:
    """Names of the tests in a file."""
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_every_threat_is_read() -> None:
    assert len(THREATS) == PAGE.count("\n### ") > 25


@pytest.mark.parametrize("threat", THREATS)
def test_each_threat_names_what_is_done_its_test_and_what_is_not_done(threat: str) -> None:
    lines = THREATS[threat].splitlines()
    assert [line.partition(":")[0] for line in lines] == ["- does", "- test", "- does not"]
    modules = re.findall(r"`(diadem/[a-z_/]+\.py)`", lines[0])
    tests = re.findall(r"`(tests/[a-z_/]+\.py)::(test_[a-z_0-9]+)`", lines[1])
    assert (not tests and not modules) == (threat in OPEN)
    assert lines[1].count("`") == 2 * len(tests)
    assert [one for one in modules if not (ROOT / one).is_file()] == []
    assert [f"{path}::{name}" for path, name in tests if name not in functions(path)] == []
