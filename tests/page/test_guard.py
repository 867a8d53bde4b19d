"""Who sees the page, and who does not: each way in that an enemy could try is shut."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

from tests import zygote
from tests.page.conftest import Served, ask, enter, serve

pytest.importorskip("starlette", reason="the extra 'page' is not installed")


def test_the_address_counts_once(served: Served) -> None:
    status, headers, text = ask(served, "/")
    assert status == 403
    assert b"diadem page" in text, "it says what to do"
    assert b"ZnO" not in text
    _, headers, _ = ask(served, served.address.removeprefix(served.origin))
    attributes = headers["set-cookie"].lower()
    assert "httponly" in attributes
    assert "samesite=strict" in attributes
    cookie = headers["set-cookie"].partition(";")[0]
    assert ask(served, served.address.removeprefix(served.origin))[0] == 403, "a stolen address, used again"
    status, _, text = ask(served, "/", Cookie=cookie)
    assert status == 200
    assert b"ZnO boundary" in text
    assert ask(served, "/", Cookie=cookie[:-2] + "xx")[0] == 403
    assert ask(served, "/picture/00", Cookie="x=1")[0] == 403
    assert ask(served, "/enter?token=" + "A" * 43)[0] == 403


def test_a_name_that_leads_here_is_not_ours(entered: tuple[Served, str]) -> None:
    served, cookie = entered
    port = urlsplit(served.origin).port
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", f"127.0.0.1.evil.example:{port}", ""):
        status, _, text = ask(served, "/", Cookie=cookie, Host=host)
        assert (status, b"ZnO" in text) == (421, False), host
    assert ask(served, "/", Cookie=cookie, Host=f"localhost:{port}")[0] == 200


def test_another_site_cannot_send_a_form(entered: tuple[Served, str]) -> None:
    served, cookie = entered
    good = {"Cookie": cookie, "Origin": served.origin}
    for origin in ("https://evil.example", "null", served.origin.replace("127.0.0.1", "127.0.0.2")):
        assert ask(served, "/search", "POST", {"q": "x"}, **good | {"Origin": origin})[0] == 403, origin
    assert ask(served, "/search", "POST", {"q": "x"}, Cookie=cookie)[0] == 403, "no word of the browser on where from"
    assert ask(served, "/search", "POST", {"q": "x"}, **good)[0] == 403, "a form without our word"
    assert ask(served, "/search", "POST", {"form_word": "0" * 64}, **good)[0] == 403
    assert ask(served, "/search", "POST", {"q": "x" * (2 << 20)}, **good)[0] == 413


def test_what_every_answer_says(entered: tuple[Served, str]) -> None:
    served, cookie = entered
    for path in ("/", "/search?q=HAADF", "/search?q=voltag>3", "/static/page.css", "/nothing", "/session/ffffffffff"):
        _, headers, _ = ask(served, path, Cookie=cookie)
        policy = headers["content-security-policy"]
        assert "default-src 'self'" in policy, path
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
    for path in ("/", "/search"):
        _, headers, text = ask(served, path, Cookie=cookie)
        assert headers["cache-control"] == "no-store"
        assert not re.search(r"<script(?![^<>]*\bsrc=)|<style|<[a-z][^<>]*\s(?:on\w+|style)=", text.decode()), (
            "nothing inline"
        )


def test_wrong_addresses_have_an_answer(entered: tuple[Served, str]) -> None:
    served, cookie = entered
    for path, status in (
        ("/session/0123456789ab", 404),
        ("/session/nonsense", 400),
        ("/search?q=voltag%3E3", 400),
        ("/search?q=%22never+closed", 400),
        ("/search?start=-1&view=what&q=", 200),
        ("/search?start=99999999999999", 200),
        ("/search?q=%ff%fe", 400),
        ("/picture/nonsense", 400),
        ("/static/../guard.py", 404),
        ("/static/%2e%2e/guard.py", 404),
    ):
        found, _, text = ask(served, path, Cookie=cookie)
        assert found == status, path
        assert b"Traceback" not in text


def test_read_only(archive: Path) -> None:
    for served in serve(archive, "--read-only"):
        cookie = enter(served)
        status, _, text = ask(served, "/", "POST", {"q": "x"}, Cookie=cookie, Origin=served.origin)
        assert (status, b"read-only" in text) == (403, True)


@pytest.mark.skipif(os.name == "nt", reason="a program of a few lines stands for the browser")
def test_the_browser_is_not_told_the_token_on_its_command_line(
    archive: Path, tmp_path: Path, chromium: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, browser = tmp_path / "told", tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$@" > {told}.new && mv {told}.new {told}\n')
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", f"{browser} %s")
    command = [sys.executable, "-m", "diadem", "page", str(archive)]
    with zygote.start(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            assert process.stdout is not None
            token = process.stdout.readline().partition("token=")[2].strip()
            for _ in range(300):
                if told.exists():
                    break
                time.sleep(0.1)
            address = told.read_text().strip()
            assert token not in address
            door = Path(url2pathname(urlsplit(address).path))
            assert token in door.read_text()
            assert (door.stat().st_mode & 0o777, door.parent.stat().st_mode & 0o777) == (0o600, 0o700)
            window = chromium.new_context().new_page()
            window.goto(address)
            window.wait_for_selector("text=ZnO boundary", timeout=20_000)
            window.context.close()
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(20)
    assert not door.parent.exists()


def test_ctrl_c_ends_it_and_frees_the_port(served: Served) -> None:
    port = urlsplit(served.origin).port
    served.process.send_signal(signal.SIGINT)
    assert served.process.wait(20) == 0
    with pytest.raises(ConnectionRefusedError):
        http.client.HTTPConnection("127.0.0.1", port or 0, timeout=3).request("GET", "/")
