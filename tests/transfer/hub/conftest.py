"""A hub with three spokes that it knows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from diadem.node.context import utc_now
from tests.transfer.hub.harbour import HUB, NAMES, Harbour, become_hub
from tests.transfer.towns import Town, make_nodes


@pytest.fixture(scope="session")
def town_of_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """Four nodes; the hub has met the others."""
    root = tmp_path_factory.mktemp("harbour")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIADEM_CONFIG", str(root / "config"))
        make_nodes(root / "templates", NAMES)
        town = Town(root / "templates", root / "town")
        for name in NAMES:
            town.node(name)
        for name in NAMES[1:]:
            town.meet(HUB, name)
        yield town
        for node in town.nodes.values():
            node.close()


@pytest.fixture
def harbour(town_of_hub: Town) -> Iterator[Harbour]:
    """The hub, empty."""
    made = Harbour(town_of_hub)
    become_hub(made.context)
    yield made
    made.context.clock = utc_now
    made.empty()
