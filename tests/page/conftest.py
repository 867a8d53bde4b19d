"""A node with sessions, its page in a process of its own, and a browser that looks at it."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

import diadem
from diadem.testing.samples import write_session
from tests import zygote
from tests.page.window import Seen, let_in

#: A title that somebody might write: markup, a mark that turns the reading, half a character is not to be had in JSON.
HOSTILE = "<script>window.taken=1</script><img src=x onerror=window.taken=1>\u202egnp.exe"


@dataclass(frozen=True)
class Served:
    """The page of a node: where a browser is let in, once, and the process."""

    address: str
    origin: str
    process: zygote.Process


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A node of three sessions: one of eight datasets, one with hostile words, one that is damaged."""
    home = tmp_path_factory.mktemp("paged")
    node = diadem.Node.create(home / "node", name="emlab", user="anna", store=str(home / "store"))
    with node:
        write_session(home / "session")
        node.archive(
            home / "session", metadata={"session": {"title": "ZnO boundary"}, "sample": {"name": "S-12"}}, now=True
        )
        (home / "odd").mkdir()
        name = "<b onmouseover=window.taken=1>.txt" if os.name != "nt" else "odd.txt"
        (home / "odd" / name).write_text("notes")
        node.archive(home / "odd", metadata={"session": {"title": HOSTILE}, "sample": {"name": HOSTILE}}, now=True)
    return home / "node"


@pytest.fixture
def served(archive: Path) -> Iterator[Served]:
    """The page, in a process of its own."""
    yield from serve(archive)


@pytest.fixture(scope="session")
def entered(archive: Path) -> Iterator[tuple[Served, str]]:
    """A page that is shared, and the cookie of the browser that was let in."""
    for served in serve(archive):
        yield served, enter(served)


@pytest.fixture(scope="module")
def served_here(home: Path) -> Iterator[Served]:
    """The page of the node in the folder of a test module, its fixture `home`."""
    yield from serve(home / "node")


@pytest.fixture(scope="module")
def page(served_here: Served) -> Any:
    """Somebody who was let in there."""
    from tests.page.hand import Page

    return Page(served_here)


@pytest.fixture(params=["light", "dark"])
def seen(request: pytest.FixtureRequest, chromium: Any, served_here: Served, page: Any) -> Iterator[Seen]:
    """A window there; in the end nothing was asked of another machine, and nothing was wrong."""
    yield from watched(chromium, served_here, page.cookie, color_scheme=request.param)


def watched(chromium: Any, served: Served, cookie: str, **settings: Any) -> Iterator[Seen]:
    """A window of a browser that was let in; in the end nothing was asked of another machine, and nothing was wrong."""
    context = let_in(chromium, (served, cookie), **settings)
    window = Seen(context.new_page(), served)
    yield window
    context.close()
    assert [url for url in window.asked if not url.startswith(f"{served.origin}/")] == []
    assert window.complaints == []


def ask(
    served: Served, path: str, method: str = "GET", body: dict[str, str] | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and content of an answer; no redirect is followed."""
    where = urlsplit(served.origin)
    line = http.client.HTTPConnection(where.hostname or "", where.port or 0, timeout=180)
    said = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is not None:
        said["Content-Type"] = "application/x-www-form-urlencoded"
    line.request(method, path, urlencode(body) if body is not None else None, said)
    answer = line.getresponse()
    try:
        content = answer.read()
    finally:
        line.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, content


def enter(served: Served) -> str:
    """The cookie that the one-time address gives."""
    status, headers, text = ask(served, served.address.removeprefix(served.origin))
    assert (status, b'content="0; url=/"' in text) == (200, True)
    return headers["set-cookie"].partition(";")[0]


def serve(node: Path | str, *options: str) -> Iterator[Served]:
    """Run `diadem page` as a person would, and end it with Ctrl-C."""
    command = [sys.executable, "-m", "diadem", "page", str(node), "--no-browser", *options]
    with zygote.start(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if "http://" not in line:
            process.kill()
            raise AssertionError(line + process.communicate()[1])
        address = line[line.index("http://") :].strip()
        try:
            yield Served(address, address.partition("/enter")[0], process)
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
