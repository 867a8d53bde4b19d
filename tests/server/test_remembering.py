"""What `diadem serve` is told once holds at the next start, and in `node.toml`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import diadem
from diadem.cli.main import command_line
from diadem.errors import DocumentError, Refused
from diadem.network.http.address import choose_address
from diadem.node.config import read_settings

URL = "https://hub.example.org:8642"


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[diadem.Node]:
    monkeypatch.setenv("DIADEM_CONFIG", str(tmp_path / "config"))
    with diadem.Node.create(tmp_path / "node", name="hub", user="alice", store=str(tmp_path / "store")) as made:
        yield made


def test_a_hub_is_one_until_somebody_ends_it(node: diadem.Node) -> None:
    choose_address(node.context, listen="127.0.0.1:9001", urls=[URL], hub=True)
    assert read_settings(node.path).server.to_dict() == {"listen": "127.0.0.1:9001", "urls": [URL], "hub": True}
    choose_address(node.context, listen="127.0.0.1:9002")
    assert read_settings(node.path).server.hub
    choose_address(node.context, hub=False)
    assert not read_settings(node.path).server.hub


def test_a_hub_that_nobody_can_reach_is_refused(node: diadem.Node) -> None:
    with pytest.raises(Refused, match="needs an address") as caught:
        choose_address(node.context, hub=True)
    assert "diadem serve --hub --url" in (caught.value.next or "")
    with pytest.raises(Refused, match="needs an address"):
        command_line()(["serve", "--hub", "--node", str(node.path)], standalone_mode=False)
    assert not read_settings(node.path).server.hub


def test_a_setting_that_is_neither_true_nor_false(node: diadem.Node) -> None:
    choose_address(node.context, urls=[URL], hub=True)
    path = node.path / "node.toml"
    path.write_text(path.read_text("utf-8").replace("hub = true", 'hub = "yes"'), "utf-8")
    with pytest.raises(DocumentError, match="neither true nor false"):
        read_settings(node.path)
