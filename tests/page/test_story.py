"""The story, over two nodes: found, downloaded, sent, accepted, and the receipt; nobody needs a terminal."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

import diadem
from tests.cli.inside import said
from tests.page.labs import Labs, Reader, labs, page_of, reading

pytestmark = pytest.mark.catalogue

pytest.importorskip("starlette", reason="the extra 'page' is not installed")


def test_found_downloaded_sent_and_received(chromium: Any, tmp_path: Path) -> None:
    with (
        labs(tmp_path) as both,
        page_of(both.anna) as annas,
        page_of(both.bob) as bobs,
        reading(chromium, annas) as anna,
        reading(chromium, bobs) as bob,
    ):
        _meet(anna, bob)
        session = _find_and_download(anna, both)
        _send(anna, session)
        _accept(bob)
        _see_the_receipt(anna)
        with diadem.open_node(both.bob) as node:
            (row,) = node.search("HAADF sample:S-12 voltage=300kV")
            assert row.package.verify().ok


def _meet(anna: Reader, bob: Reader) -> None:
    """Bob invites, anna answers, and they compare six words by telephone."""
    bob.go("/exchange/peers")
    bob.click("text=Make a ticket")
    ticket = bob.window.input_value("textarea.ticket")
    anna.go("/exchange/peers")
    anna.window.fill("[name=ticket]", ticket[:60] + "\n" + ticket[60:])  # as a mail breaks it
    anna.click("text=Meet them")
    anna.window.wait_for_selector(".six-words")
    words = anna.window.locator(".six-words li").all_inner_texts()
    assert len(words) == 6
    anna.fits(anna.window.url.removeprefix(anna.origin))
    bob.go("/exchange")
    assert "emlab waits to be confirmed" in bob.text
    bob.click("text=compare the words")
    assert bob.window.locator(".six-words li").all_inner_texts() == words
    bob.click("main button:has-text('Confirm')")
    assert "were the words compared?" in bob.text
    bob.window.fill("[name=words]", "one two three four five six")
    bob.click("main button:has-text('Confirm')")
    assert "somebody may be between you" in bob.text
    bob.window.fill("[name=words]", " ".join(words))
    bob.click("main button:has-text('Confirm')")
    assert "emlab is confirmed" in bob.text


def _find_and_download(anna: Reader, both: Labs) -> str:
    anna.go("/")
    anna.window.fill(".ask input", "HAADF sample:S-12 voltage=300kV")
    anna.click(".top button")
    anna.window.wait_for_url("**/search?**")
    anna.click("main .card a >> nth=0")
    anna.window.wait_for_selector("a[download]")
    dataset = anna.window.url
    with anna.window.expect_download() as begun:
        anna.window.locator("a[download]").first.click()
    with diadem.open_node(both.anna) as node:
        package = node.search("sample:S-12")[0].package
        entry = package.find(begun.value.suggested_filename)
    assert hashlib.sha256(Path(begun.value.path()).read_bytes()).hexdigest() == entry.sha256
    session = dataset.rpartition("/")[0]
    anna.window.goto(session)
    return str(session.removeprefix(anna.origin))


def _send(anna: Reader, session: str) -> None:
    anna.go(f"{session}/send")
    anna.window.fill("[name=to]", "bob@boblab")
    anna.window.fill("[name=comment]", "As we said on the telephone.")
    anna.click("main button:text-is('Send')")
    anna.finished()


def _accept(bob: Reader) -> None:
    bob.until("ZnO boundary", path="/exchange")
    bob.click(".offer h3 a")
    bob.window.wait_for_load_state("networkidle")
    widths = bob.window.locator(".gallery img").evaluate_all("all => all.map(one => one.naturalWidth)")
    assert widths
    assert all(widths), "the pictures of what is offered"
    assert "As we said on the telephone." in bob.text
    bob.click("text=Accept and fetch")
    bob.finished()
    assert "You have accepted. anna@emlab is told" in bob.text


def _see_the_receipt(anna: Reader) -> None:
    """emlab cannot be called: it brings what was accepted when its people say so."""
    anna.until("travelling", path="/exchange")
    anna.click("main button:has-text('Exchange now')")
    anna.finished()
    anna.go("/exchange")
    anna.click("main table a:has-text('ZnO boundary')")
    anna.until("received, confirmed by both sides".capitalize())
    text = anna.text
    assert "Receipt" in text
    assert "proved" in text
    assert "boblab" in text
    with anna.window.expect_download() as begun:
        anna.window.click("text=Download this node's proof")
    told = said("custody", "verify", begun.value.path(), code=None)
    assert "emlab" in told
    assert "offered" in told
    assert "contradicted" not in told
