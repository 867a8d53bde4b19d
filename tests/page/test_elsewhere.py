"""The page of a node on another machine: what can be seen from here, what not, and a line that breaks."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import diadem
from diadem.testing.samples import write_session
from tests import zygote
from tests.page.conftest import Served, ask, enter, serve
from tests.page.window import Seen, let_in
from tests.server.conftest import free_ports

pytest.importorskip("starlette", reason="the extra 'page' is not installed")
pytest.importorskip("granian", reason="the extra 'server' is not installed")


@contextmanager
def listening(node: Path, port: int, url: str) -> Iterator[zygote.Process]:
    """`diadem serve` over TLS, until it is told to end."""
    command = [sys.executable, "-m", "diadem", "serve", "--node", str(node), "--listen", f"127.0.0.1:{port}"]
    command += ["--url", url, "--quiet", "--json"]
    with zygote.start(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline()
            yield process
        finally:
            process.terminate()
            process.wait(20)


@pytest.fixture(scope="module")
def bob(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, zygote.Process, bytes]]:
    """Address, package, server and a file's content of a node on which Bob is a user."""
    home = tmp_path_factory.mktemp("elsewhere")
    (port,) = free_ports(1)
    url = f"https://127.0.0.1:{port}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIADEM_CONFIG", str(home / "laptop"))
        patch.delenv("DIADEM_NODE", raising=False)
        with diadem.Node.create(home / "node", name="hu-berlin", user="alice", store=str(home / "store")) as node:
            write_session(home / "session")
            given = {"session": {"title": "ZnO boundary"}, "sample": {"name": "S-12"}}
            package = node.archive(home / "session", metadata=given, now=True).package.id
        with listening(home / "node", port, url) as server:
            with diadem.open_node(home / "node") as node:
                ticket = node.users.invite("bob").to_text()
            _login(ticket)
            with diadem.open_node(home / "node") as node:
                node.grant(package, "bob")
            yield url, package, server, (home / "session" / "haadf_overview.tif").read_bytes()


def _login(ticket: str) -> None:
    """Log in, once the server has begun to listen."""
    until = time.monotonic() + 150
    while True:
        try:
            diadem.login(ticket)
        except diadem.DiademError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)
        else:
            return


@pytest.fixture(scope="module")
def paged(bob: tuple[str, str, Any, bytes]) -> Iterator[tuple[Served, str]]:
    for page in serve(bob[0]):
        yield page, enter(page)


def test_what_can_be_seen_from_here(chromium: Any, bob: tuple[str, str, Any, bytes], paged: tuple[Served, str]) -> None:
    context = let_in(chromium, paged)
    seen = Seen(context.new_page(), paged[0])
    window = seen.window
    seen.go("/")
    assert window.locator(".card .name").all_inner_texts() == ["ZnO boundary"]
    assert all(window.locator(".card img").evaluate_all("all => all.map(one => one.naturalWidth)")), "its picture"
    assert "on its own machine" in window.locator("header").inner_text()
    window.fill(".ask input", "HAADF")
    window.keyboard.press("Enter")
    window.wait_for_url("**/search?q=HAADF")
    assert window.locator(".card .name").all_inner_texts() == ["haadf_overview.tif", "haadf_series.mrc"]
    window.click("text=haadf_overview.tif")
    window.wait_for_load_state("networkidle")
    assert window.locator("img.drawing").evaluate("one => one.naturalWidth") > 200
    seen.go(f"/session/{bob[1].removeprefix('diadem:')}")
    assert "8 datasets" in window.locator("main").inner_text()
    context.close()
    assert [url for url in seen.asked if not url.startswith(f"{paged[0].origin}/")] == []
    assert seen.complaints == []


@pytest.mark.program("a node that is served, and a page at another place")
def test_files_come_proven(bob: tuple[str, str, Any, bytes], paged: tuple[Served, str]) -> None:
    _, package, _, content = bob
    place = f"/file/{package.removeprefix('diadem:')}?path={quote('data/haadf_overview.tif')}"
    status, _, got = ask(paged[0], place, Cookie=paged[1])
    assert (status, hashlib.sha256(got).digest()) == (200, hashlib.sha256(content).digest())


def test_what_needs_its_machine_says_so(paged: tuple[Served, str]) -> None:
    status, _, text = ask(paged[0], "/health", Cookie=paged[1])
    assert (status, b"seen on its own machine only" in text) == (409, True)
    assert ask(paged[0], "/jobs", Cookie=paged[1])[0] == 200, "what this page has begun is known here"


def test_a_line_that_breaks_is_a_page(bob: tuple[str, str, Any, bytes], paged: tuple[Served, str]) -> None:
    """The last test: the server is ended."""
    _, package, server, _ = bob
    server.terminate()
    server.wait(20)
    for path in ("/", "/search?q=HAADF", f"/session/{package.removeprefix('diadem:')}"):
        status, _, text = ask(paged[0], path, Cookie=paged[1])
        assert status == 503, path
        assert b"hu-berlin" in text or b"127.0.0.1" in text, "who does not answer"
        assert b"Traceback" not in text
    assert ask(paged[0], "/static/page.css", Cookie=paged[1])[0] == 200
