"""The tutorial with a hub, command by command: two labs that are never connected at the same time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import namespaces
from tests.network.labs import Labs, differences, places

PAGE = Path(__file__).resolve().parents[2] / "docs" / "two-labs-and-a-hub.md"


@pytest.mark.program("every command of the documentation is run, at three sites")
@pytest.mark.skipif(bool(namespaces.missing()), reason=namespaces.missing())
def test_the_page_about_two_labs_and_a_hub_is_true(tmp_path: Path) -> None:
    with namespaces.star() as around, Labs(places(tmp_path, around.one, around.two, around.hub), around) as labs:
        found = list(differences(PAGE.read_text("utf-8"), labs))
    assert not found, "\n".join(found)
