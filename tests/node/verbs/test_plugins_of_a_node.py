"""Which plugins a node works with: those of the moment in which it was opened, whoever asks for them first and when."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

import diadem
from diadem.api import trying
from diadem.node.context import Context
from tests.hooks.distributions import IMPORTS

MINE = """
@hookimpl
def diadem_formats():
    yield ReaderOffer(name="mine", suffixes=(".mine",), load="mine_alone:read")
"""


def has_mine(context: Context) -> bool:
    return "mine" in {reader.name for reader in context.tools.readers}


def test_a_node_has_the_plugins_of_when_it_was_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine_alone.py").write_text(IMPORTS + MINE)
    monkeypatch.syspath_prepend(str(tmp_path))
    diadem.Node.create(tmp_path / "node", name="n", user="a", store=str(tmp_path / "store")).close()
    before = diadem.open_node(tmp_path / "node")
    with trying("mine_alone"):
        inside, early = diadem.open_node(tmp_path / "node"), diadem.open_node(tmp_path / "node")
        assert has_mine(early.context)
        assert not has_mine(before.context)
    assert has_mine(inside.context)
    assert replace(early.context).tools is early.context.tools, "a copy has the same"
    found: list[bool] = []
    thread = threading.Thread(target=lambda: found.append(has_mine(replace(inside.context))))
    thread.start()
    thread.join()
    assert found == [True], "in another thread too"
    assert not has_mine(before.context)
    for node in (before, inside, early):
        node.close()
