"""Commands that a page prints, pasted into a terminal where another node is the default."""

from __future__ import annotations

import html
import re
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import diadem
from diadem.node.open import remember_node
from diadem.testing.samples import write_session
from tests import zygote
from tests.page.conftest import enter, serve
from tests.page.hand import Hand

pytest.importorskip("starlette", reason="the extra 'page' is not installed")


@pytest.mark.program("commands of the page are typed in new terminals")
def test_what_is_pasted_acts_on_the_node_that_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIADEM_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("DIADEM_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("DIADEM_NODE", raising=False)
    for name in ("it is shown", "default"):
        place = tmp_path / name
        diadem.Node.create(place / "node", name=name[:2], user="anna", store=str(place / "store")).close()
    remember_node(tmp_path / "default" / "node")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "notes.txt").write_text("notes")
    write_session(tmp_path / "instrument" / "session")  # a file of it is cut short
    shown = tmp_path / "it is shown" / "node"
    policy = shown / "policy.toml"
    policy.write_text(re.sub(r"quiet = .*", 'quiet = "1 s"', policy.read_text("utf-8")), "utf-8")
    with diadem.open_node(shown) as node:
        node.watched.add(tmp_path / "instrument")
        node.samples.add("S-1")
    for served in serve(shown):
        hand = Hand(served, enter(served), start="/people")
        said = re.search(r"<code>(diadem archive[^<]*)</code>", hand.get("/")[1].decode())
        assert said is not None
        words = shlex.split(html.unescape(said[1]).replace("FOLDER", shlex.quote(str(tmp_path / "notes"))))[1:]
        zygote.run([sys.executable, "-m", "diadem", *words, "--now"], check=True)
        health = hand.read("/health")
        assert re.search(r"diadem [a-z ]+ --node \S+it is shown/node", health), health
        for _ in range(10):  # seen twice without a change, and still not whole
            if "broken for good" in (looked := hand.done("/take-in/watch-once")):
                break
            time.sleep(1.1)
        assert re.search(r"broken for good: diadem archive --node \S+it is shown/node. \S+session", looked), looked
    with diadem.open_node(shown) as node, diadem.open_node(tmp_path / "default" / "node") as other:
        assert (len(node.search().rows), len(other.search().rows)) == (1, 0)
    for served in serve(tmp_path / "default" / "node"):
        assert "--node" not in Hand(served, enter(served)).read("/"), "there it is the one that is meant anyway"
    store = tmp_path / "it is shown" / "store"
    for served in serve(store):
        sheet = html.unescape(Hand(served, enter(served)).get("/samples")[1].decode())
        assert f"diadem sample import --node {shlex.quote(str(store))} FILE" in sheet, sheet


def test_every_command_on_a_node_is_known() -> None:
    from diadem.cli.main import command_line
    from diadem.node.terminal import NODE_COMMANDS

    def names(group: Any, before: str = "") -> Iterator[str]:
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from names(command, f"{before}{name} ")
            elif any("--node" in option.opts for option in command.params):
                yield f"{before}{name}"

    known = {" ".join(one.split()) for one in NODE_COMMANDS.split(",")}
    assert known - {"grant", "watch", "init --confirm-recovery"} == set(names(command_line())) - {"init", "page"}
