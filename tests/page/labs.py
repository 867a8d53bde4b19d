"""Two nodes: `emlab` of anna, which only calls, and `boblab` of bob, behind `diadem serve`; each with a page."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import diadem
from diadem.testing.samples import write_session
from tests import zygote
from tests.page.conftest import Served, enter, serve
from tests.page.window import Seen, for_everybody, let_in
from tests.server.conftest import free_ports

page_of = contextmanager(serve)


@dataclass
class Labs:
    """Both nodes.

    Attributes
    ----------
    root : Path
        Where all of it lies.
    anna, bob : Path
        Folders of the nodes.
    url : str
        Where boblab is called.
    """

    root: Path
    anna: Path
    bob: Path
    url: str
    servers: list[zygote.Process] = field(default_factory=list)

    def serve_bob(self, *more: str) -> None:
        """Let boblab listen."""
        words = ["serve", *more, "--listen", self.url.removeprefix("https://"), "--url", self.url, "--json", "--quiet"]
        command = [sys.executable, "-m", "diadem", *words, "--node", str(self.bob)]
        process = zygote.start(command, stdout=subprocess.PIPE)
        self.servers.append(process)
        assert process.stdout is not None
        assert process.stdout.readline(), "it did not begin"

    def end_bob(self) -> None:
        """Let it listen no more."""
        process = self.servers.pop()
        process.terminate()
        process.wait(20)
        assert process.stdout is not None
        process.stdout.close()

    def meet(self) -> None:
        """Let the two know each other, each by a ticket for the other alone."""
        with diadem.open_node(self.anna) as anna, diadem.open_node(self.bob) as bob:
            anna.peers.join(bob.peers.invite(for_=anna.id).to_text())

    def archived(self, name: str, title: str, **metadata: Any) -> str:
        """Archive a small folder at emlab; its package id."""
        folder = self.root / name
        folder.mkdir()
        (folder / "notes.txt").write_text(name)
        with diadem.open_node(self.anna) as node:
            said = {"session": {"title": title}, **metadata}
            return str(node.archive(folder, metadata=said, now=True).package.id)


@contextmanager
def labs(root: Path, *, session: bool = True) -> Iterator[Labs]:
    """Both nodes, boblab served; emlab has a session with a HAADF image of S-12 at 300 kV, where one is wanted."""
    (port,) = free_ports(1)
    with pytest.MonkeyPatch.context() as patch, ExitStack() as ending:
        patch.setenv("DIADEM_CONFIG", str(root / "config"))
        patch.setenv("DIADEM_CACHE", str(root / "cache"))
        for name, user in (("emlab", "anna"), ("boblab", "bob")):
            place = root / name
            diadem.Node.create(place / "node", name=name, user=user, store=str(place / "store")).close()
        made = Labs(root, root / "emlab" / "node", root / "boblab" / "node", f"https://127.0.0.1:{port}")
        if session:
            write_session(root / "session")
            with diadem.open_node(made.anna) as node:
                said = {"session": {"title": "ZnO boundary"}, "sample": {"name": "S-12"}}
                package = node.archive(root / "session", metadata=said, now=True).package.id
                node.amend(package, {"voltage": "300 kV"}, reason="the operator's notes say so")
        made.serve_bob()
        ending.callback(lambda: made.end_bob() if made.servers else None)
        yield made


#: Of pages by their addresses: each lets one browser in, once.
_COOKIES: dict[str, str] = {}


class Reader(Seen):
    """A browser of one person in front of the page of one node, who reads and clicks."""

    @property
    def text(self) -> str:
        """What the page says."""
        return str(self.window.locator("main").inner_text())

    def click(self, what: str) -> None:
        """Click, and wait for what comes."""
        self.window.click(what)
        self.window.wait_for_load_state("load")

    def fits(self, *paths: str) -> None:
        """That screens are for everybody, with all that is folded."""
        for path in paths:
            self.load(path)
            self.unfold()
            for_everybody(self.window, path)
            self.window.wait_for_load_state("networkidle")  # by now it is: pictures and what is asked for later came

    def unfold(self) -> None:
        """Open everything that is folded."""
        self.window.evaluate("document.querySelectorAll('main details').forEach((one) => { one.open = true; })")

    def finished(self) -> None:
        """Wait for a job to end, as its page tells."""
        self.window.wait_for_selector("main .notice, main .problem", timeout=40_000)

    def until(self, text: str, *, path: str = "", seconds: int = 40) -> None:
        """Load a page until it says something that another node has to bring; the page itself asks for it."""
        for _ in range(2 * seconds):
            if path:
                self.go(path)
            if text in self.text:
                return
            self.window.wait_for_timeout(500)
        raise AssertionError(f"'{text}' does not come:\n{self.text}")


def cookie_of(served: Served) -> str:
    """The cookie of whoever was let in first."""
    if served.origin not in _COOKIES:
        _COOKIES[served.origin] = enter(served)
    return _COOKIES[served.origin]


@contextmanager
def reading(chromium: Any, served: Served, **settings: Any) -> Iterator[Reader]:
    """Somebody who was let in; in the end nothing was asked of another machine, and nothing was wrong."""
    context = let_in(chromium, (served, cookie_of(served)), **settings)
    window = Reader(context.new_page(), served)
    window.window.set_default_timeout(15_000)
    try:
        yield window
    except BaseException as error:
        error.add_note(f"{window.window.url}\n{window.complaints}")
        with suppress(Exception):  # a page that is just left has no content to be told
            error.add_note(window.window.content())
        raise
    finally:
        context.close()
    assert [url for url in window.asked if not url.startswith(f"{served.origin}/")] == []
    refused = "status of 409"  # a form that is shown again with what is wrong
    assert [told for told in window.complaints if refused not in told] == []
