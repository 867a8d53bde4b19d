"""A person works with a node from a laptop: finds, reads and judges what was granted, and believes only what is proven."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

import diadem
from diadem.errors import NotFound
from diadem.node.config import NodeSettings, ServerSettings
from diadem.transfer.profiles import login
from diadem.transfer.remote.node import RemoteNode
from tests.server.conftest import Served


def _with_url(settings: NodeSettings, url: str) -> NodeSettings:
    return replace(settings, server=ServerSettings("", (url,)))


@dataclass
class Laptop:
    """A node that is served, opened beside its server, and people who are its users from laptops."""

    served: Served
    node: diadem.Node
    root: Path
    packages: dict[str, str]

    def connect(self, user: str) -> RemoteNode:
        return diadem.connect(self.served.url, user)


@pytest.fixture(scope="module")
def laptop(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laptop]:
    root = tmp_path_factory.mktemp("laptop")
    patch = pytest.MonkeyPatch()
    patch.setenv("DIADEM_CONFIG", str(root / "config"))
    patch.setenv("DIADEM_CACHE", str(root / "cache"))
    patch.delenv("DIADEM_NODE", raising=False)
    with diadem.open_node(served.folder) as node:
        node.context.change_settings(partial(_with_url, url=served.url))
        for name, guest in (("bob", False), ("gwen", True)):
            login(node.users.invite(name, guest=guest).to_text())
        made = {name: _archived(node, root, name) for name in ("zno", "tio")}
        node.grant(made["zno"], "bob", ["read", "assess"])
        yield Laptop(served, node, root, made)
    patch.undo()


def _archived(node: diadem.Node, root: Path, name: str) -> str:
    folder = root / name
    folder.mkdir()
    source = random.Random(name)
    (folder / "large.bin").write_bytes(source.randbytes(3_500_000))
    (folder / "empty.bin").touch()
    (folder / "notes.txt").write_text(f"all about {name}")
    return str(node.archive(folder, now=True, metadata={"sample": {"identifier": name}}).package.id)


def test_what_is_granted_is_found_read_and_given_back(laptop: Laptop, tmp_path: Path) -> None:
    zno, tio = laptop.packages["zno"], laptop.packages["tio"]
    with laptop.connect("bob") as node:
        assert (node.user, node.name, node.id) == ("bob@hu-berlin", "hu-berlin", laptop.node.id)
        found = node.search("sample:zno")
        assert [row.id for row in found] == [zno]
        assert [row.id for row in node.search()] == [zno]
        package = node.get(zno[7:19])
        assert package.id == zno
        assert package.record.sample["identifier"] == "zno"
        data = (laptop.root / "zno" / "large.bin").read_bytes()
        with package.open("large.bin") as file:
            assert file.read_at(1_500_000, 100) == data[1_500_000:1_500_100]
            assert file.read() == data
        assert package.verify().ok
        assert node.restore(zno, tmp_path / "back").files == 3
        assert (tmp_path / "back" / "large.bin").read_bytes() == data
        with pytest.raises(NotFound):
            node.get(tio)
