"""Exchange: offers with hostile words, answers from two tabs and without scripts, and a node that is away."""

from __future__ import annotations

import json
import re
import socket
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest

import diadem
from tests.page.conftest import HOSTILE, ask, enter
from tests.page.labs import Labs, labs, page_of, reading

pytest.importorskip("starlette", reason="the extra 'page' is not installed")

#: A summary of a record in which nothing is what it should be.
ODD = {"counts": "x", "datasets": [5, {"path": []}, {}], "sample": {"a": 1}, "date": ["x"], "instrument": HOSTILE}
#: Seconds for a page that must not wait for another machine, on a machine that is busy itself.
_SOON = 8.0


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Labs]:
    """Two nodes that know each other."""
    with labs(tmp_path_factory.mktemp("labs"), session=False) as made:
        made.meet()
        yield made


def offered(both: Labs, name: str, title: str, comment: str = "") -> str:
    """Have anna offer a new session to bob; the transfer's id."""
    package = both.archived(name, title)
    with diadem.open_node(both.anna) as node:
        return node.send(package, "bob@boblab", comment=comment).id


def test_offers_are_answered(chromium: Any, both: Labs) -> None:
    hostile = offered(both, "hostile", HOSTILE, HOSTILE)
    with diadem.open_node(both.anna) as node:
        anna = node.id
    withdrawn, unwanted = offered(both, "wrong", "The wrong one"), offered(both, "old", "An old one")
    with (
        page_of(both.bob) as bobs,
        reading(chromium, bobs) as bob,
        reading(chromium, bobs, java_script_enabled=False) as other,
    ):
        bob.until("3 offers", path="/exchange")
        with closing(sqlite3.connect(both.bob / "network" / "network.sqlite")) as book:  # what an enemy may have sent
            book.execute("UPDATE transfers SET about = ? WHERE id = ?", [json.dumps({"record": ODD}), withdrawn])
            book.commit()
        assert "[U+202E]" in bob.text, "what turns the reading is named"
        bob.fits(
            "/exchange",
            f"/exchange/transfers/{hostile}",
            "/exchange/peers",
            f"/exchange/peers/{anna}",
            "/exchange/rules",
        )
        assert bob.window.evaluate("window.taken") is None
        assert bob.window.locator("main script, main [onerror]").count() == 0

        bob.go(f"/exchange/transfers/{hostile}")
        other.go(f"/exchange/transfers/{hostile}")
        assert HOSTILE.partition("\u202e")[0] in other.text
        assert "notes.txt" not in other.window.title()
        bob.click("text=Accept and fetch")
        bob.finished()
        other.click("text=Accept and fetch")
        assert "this has changed since the page was loaded: it is travelling" in other.text
        assert "Nothing was done." in other.text
        with diadem.open_node(both.anna) as node:
            node.transfers.sync()

        bob.go(f"/exchange/transfers/{withdrawn}")
        with diadem.open_node(both.anna) as node:
            node.transfers.cancel(withdrawn, reason="It was of another sample.")
        bob.window.locator("text=Accept and fetch").click()
        bob.window.wait_for_selector("main .problem, main .standing:has-text('Withdrawn')")
        bob.until("Withdrawn by its sender")
        assert "It was of another sample." in bob.text

        other.go(f"/exchange/transfers/{unwanted}")
        other.window.fill("[name=reason]", "We have it already.")
        other.click("text='Decline'")
        other.until("declined", path="/exchange")
        bob.until("received, confirmed by both sides", path="/exchange")
    with page_of(both.anna) as annas, reading(chromium, annas) as sender:
        sender.until("Declined", path=f"/exchange/transfers/{unwanted}")
        assert "We have it already." in sender.text
        with diadem.open_node(both.bob) as node:
            assert node.transfers.show(hostile).transfer.state == "closed"


@pytest.mark.program("a page beside two nodes that are served")
def test_two_tabs_accept_at_the_same_moment(both: Labs) -> None:
    one = offered(both, "twice", "Accepted twice")
    with page_of(both.bob) as bobs:
        cookie = enter(bobs)
        place = f"/exchange/transfers/{one}"
        page = ask(bobs, place, Cookie=cookie)[2].decode()
        (word,) = set(re.findall(r'name="form_word" value="([0-9a-f]+)"', page))
        said = {"form_word": word, "was": "offered"}
        given = {"Cookie": cookie, "Origin": bobs.origin}
        with ThreadPoolExecutor(2) as tabs:
            answers = list(tabs.map(lambda _: ask(bobs, f"{place}/accept", "POST", said, **given), range(2)))
        assert {status for status, _, _ in answers} <= {303, 409}
        for place in (headers["location"] for status, headers, _ in answers if status == 303):
            while b"You have accepted" not in (job := ask(bobs, place, Cookie=cookie)[2]):
                assert b'class="problem"' not in job, job.decode()
                time.sleep(0.2)
    with diadem.open_node(both.bob) as node:
        details = node.transfers.show(one)
        assert [str(event.state) for event in details.events].count("accepted") == 1


def test_rules_and_names_of_other_nodes(chromium: Any, both: Labs) -> None:
    with page_of(both.bob) as bobs, reading(chromium, bobs, java_script_enabled=False) as bob:
        bob.go("/exchange/rules")
        bob.window.fill("[name=sender]", "*@emlab")
        bob.window.fill("[name=size]", "a lot")
        bob.click("text=Add it")
        assert "'a lot' is not a size" in bob.text
        assert bob.window.input_value("[name=sender]") == "*@emlab", "what was typed stays"
        bob.window.fill("[name=size]", "1 GB")
        bob.click("text=Add it")
        assert "bob@boblab accepts from *@emlab up to 1 GB" in " ".join(bob.text.split())
        bob.click("text=Remove")
        assert "There are no rules" in bob.text
        bob.go("/exchange/peers")
        bob.click("main a:has-text('emlab')")
        assert "direct: 'emlab' calls this node" in bob.text
        bob.click("summary:has-text('Rename it here')")
        bob.window.fill("[name=new]", "annas-lab")
        bob.click("text='Rename'")
        assert "It is called annas-lab here from now on." in bob.text
        bob.click("summary:has-text('Accept nothing')")
        bob.click("text=See what that means")
        assert "A new ticket is needed" in bob.text
        with diadem.open_node(both.bob) as node:
            (peer,) = node.peers
            assert (peer.name, str(peer.state)) == ("annas-lab", "confirmed"), "a look changes nothing"
            node.peers.rename("annas-lab", "emlab")


def test_what_comes_by_post_and_by_a_shared_folder(chromium: Any, both: Labs) -> None:
    package = both.archived("posted", "By post")
    disk, parcel = both.root / "disk", both.root / "parcel.zip"
    with diadem.open_node(both.anna) as node:
        sent = node.export_disk(package, "bob@boblab", disk).transfer.id
        node.export(both.archived("zipped", "As a ZIP"), parcel, for_="Bob")
    (both.root / "drive").mkdir()
    with page_of(both.bob) as bobs, reading(chromium, bobs, java_script_enabled=False) as bob:
        bob.go("/exchange/disk")
        bob.window.fill("[name=folder]", "disk")
        bob.click("text=See what is in it")
        assert "is not a whole path" in bob.text
        bob.window.fill("[name=folder]", str(both.root / "nothing"))
        bob.click("text=See what is in it")
        assert bob.window.locator("main .problem").count() == 1
        for place, told in ((disk, "the offer was checked"), (parcel, "1 package, proven whole")):
            bob.go("/exchange/disk")
            bob.window.fill("[name=folder]", str(place))
            bob.click("text=See what is in it")
            bob.until(told)
        bob.go("/exchange/disk")
        bob.window.fill("[name=folder]", str(disk))
        bob.click("text=Archive it")
        bob.until("By post is received")
        bob.go("/exchange/disk")
        bob.window.fill("[name=folder]", str(parcel))
        bob.click("text=Archive it")
        bob.until("1 package archived, every byte proven.")
        for place, told in ((disk, "it is received already"), (parcel, "(here already)")):
            bob.go("/exchange/disk")
            assert "marie@nmi" not in bob.text, "nothing is printed that is to be filled in"
            bob.window.fill("[name=folder]", str(place))
            bob.click("text=See what is in it")
            bob.until(told)

        bob.go("/exchange/peers")
        bob.unfold()
        bob.window.fill("[name=carrier]", "drive")
        bob.window.fill("[name=address]", "nowhere")
        bob.click("text='Add it'")
        assert bob.window.locator("main .problem").count() == 1
        bob.window.fill("[name=address]", f"drop://{both.root / 'drive'}")
        bob.window.check("[name=shared]")
        bob.click("text='Add it'")
        assert "drive is added" in bob.text
        bob.click("text='Remove'")
        assert "drive is not used any more" in bob.text
    with diadem.open_node(both.bob) as node:
        assert node.transfers.show(sent).transfer.receipt
        assert node.search("title:ZIP").total == 1


def test_a_node_that_is_away_keeps_nobody_waiting(chromium: Any, both: Labs) -> None:
    """In its place somebody listens who never says a word."""
    both.end_bob()
    port = urlsplit(both.url).port or 0
    with socket.create_server(("127.0.0.1", port)), page_of(both.anna) as annas, reading(chromium, annas) as anna:
        package = both.archived("later", "For later")
        with diadem.open_node(both.bob) as node:
            bob = node.id
        began = time.monotonic()
        for path in ("/exchange", "/exchange/peers", f"/exchange/peers/{bob}", "/people", "/samples"):
            anna.go(path)
            assert time.monotonic() - began < _SOON, path
            began = time.monotonic()
        with diadem.open_node(both.anna) as node:
            node.context.catalogue.get(package)
        anna.go(f"/exchange/peers/{bob}")
        began = time.monotonic()
        anna.click("text=Ask it for its newest keys")
        assert time.monotonic() - began < _SOON
    sent = offered(both, "much-later", "For much later")  # nobody listens there at all
    with page_of(both.anna) as annas, reading(chromium, annas) as anna:
        anna.until("not delivered yet", path="/exchange")
        assert "waiting for an answer" in anna.text
        anna.until("fails since", path=f"/exchange/peers/{bob}")
        anna.go(f"/exchange/transfers/{sent}")
        anna.window.fill("[name=reason]", "It is too late.")
        anna.click("text=Withdraw the offer")
        anna.finished()
        anna.until("withdrawn by its sender", path="/exchange")
    both.serve_bob("--hub")
    with page_of(both.bob) as bobs, reading(chromium, bobs) as reader:
        reader.until("This node is a hub", path="/exchange")
