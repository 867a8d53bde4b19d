"""The tutorial, command by command: two labs, each in its own network namespace, and a reader without a network."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import namespaces
from tests.network.labs import Labs, differences, places

PAGE = Path(__file__).resolve().parents[2] / "docs" / "two-labs.md"


@pytest.mark.program("every command of the documentation is run, at two sites")
@pytest.mark.skipif(bool(namespaces.missing()), reason=namespaces.missing())
def test_the_page_about_two_labs_is_true(tmp_path: Path) -> None:
    with namespaces.wire() as line, Labs(places(tmp_path, line.one, line.two)) as labs:
        found = list(differences(PAGE.read_text("utf-8"), labs))
    assert not found, "\n".join(found)
