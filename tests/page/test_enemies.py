"""Enemies in a real browser: another site's page beside ours, a name that is made to lead here, a stolen address."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.browser import CHROMIUM, FLAGS
from tests.page.conftest import Served, enter, serve
from tests.page.window import let_in

pytest.importorskip("starlette", reason="the extra 'page' is not installed")

#: What an enemy's page tries: read ours, show it in a frame, load a picture and a script of it, send a form.
_PAGE = """<!doctype html><title>waiting</title>
<iframe src="{origin}/"></iframe>
<img src="{origin}/static/diadem.svg">
<script src="{origin}/static/page.js"></script>
<form method="post" action="{origin}/search" enctype="{enctype}"><input name="q" value="x"><button>Win</button></form>
<script>
fetch("{origin}/", {{credentials: "include"}})
  .then((answer) => answer.text())
  .then((text) => document.title = "read " + text.length, () => document.title = "nothing read");
</script>"""


class _Site(BaseHTTPRequestHandler):
    def __init__(self, content: bytes, *rest: Any) -> None:
        self._content = content
        super().__init__(*rest)

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(self._content)

    def log_message(self, *_: object) -> None:
        """Nothing: a test is quiet."""


def site(content: str) -> Iterator[int]:
    """The port of a site that shows one page."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Site, content.encode())) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("enctype", ["application/x-www-form-urlencoded", "text/plain"])
def test_another_site_reads_and_does_nothing(
    chromium: Any, entered: tuple[Served, str], host: str, enctype: str
) -> None:
    """At 127.0.0.1 another port is the same site for a browser, which sends our cookie along: the guard must not."""
    served, _ = entered
    for port in site(_PAGE.format(origin=served.origin, enctype=enctype)):
        context = let_in(chromium, entered)
        window = context.new_page()
        window.goto(f"http://{host}:{port}/")
        window.wait_for_load_state("networkidle")
        assert window.title() == "nothing read"
        (frame,) = window.frames[1:]
        assert "ZnO" not in frame.content(), "it stands in nobody's frame"
        assert window.locator("img").evaluate("one => one.naturalWidth") == 0
        with window.expect_navigation() as left:
            window.click("button")
        assert left.value.status == 403
        assert left.value.request.method == "POST"
        if host == "127.0.0.1":
            assert "This came from another site." in window.inner_text("main"), "though the cookie came along"
        window.goto(served.origin)
        assert "ZnO boundary" in window.inner_text("main"), "who was let in still is"
        context.close()


def test_a_name_that_is_made_to_lead_here(chromium: Any, entered: tuple[Served, str]) -> None:
    """DNS rebinding, in the worst case: the browser even holds our cookie for the enemy's name."""
    served, cookie = entered
    name, _, value = cookie.partition("=")
    evil = served.origin.replace("127.0.0.1", "evil.example")
    flags = [*FLAGS, "--host-resolver-rules=MAP evil.example 127.0.0.1"]
    with chromium.browser_type.launch(executable_path=str(CHROMIUM), args=flags) as started:
        context = started.new_context()
        context.add_cookies([{"name": name, "value": value, "url": evil}])
        window = context.new_page()
        answer = window.goto(f"{evil}/")
        assert answer.status == 421
        assert "ZnO" not in window.content()
        assert window.evaluate("fetch('/search?q=ZnO').then((answer) => answer.status)") == 421


def test_a_stolen_address_lets_nobody_in(chromium: Any, served: Served) -> None:
    owner, thief = chromium.new_context(), chromium.new_context()
    own, other = owner.new_page(), thief.new_page()
    own.goto(served.address)
    own.wait_for_url(f"{served.origin}/")
    assert "ZnO boundary" in own.inner_text("main")
    assert other.goto(served.address).status == 403
    assert "was used already" in other.inner_text("main")
    assert other.goto(served.origin).status == 403
    assert "ZnO" not in other.content()
    assert own.reload().status == 200
    for context in (owner, thief):
        context.close()


def test_two_tabs_and_a_page_that_was_started_again(archive: Path, chromium: Any) -> None:
    """Both tabs are let in; what an earlier run gave out opens nothing in the next, at the same port."""
    context = chromium.new_context()
    first, second = context.new_page(), context.new_page()
    port = ""
    for run in serve(archive):
        port = run.origin.rpartition(":")[2]
        first.goto(run.address)
        first.wait_for_url(f"{run.origin}/")
        assert second.goto(run.origin).status == 200
        assert first.reload().status == 200
    for run in serve(archive, "--port", port):
        assert second.reload().status == 403
        assert "diadem page" in second.inner_text("main"), "it says how to be let in"
        assert "ZnO" not in second.content()
        assert enter(run)
    context.close()
