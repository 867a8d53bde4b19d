"""Every screen is for everybody: whatever address of the page shows something is looked at by axe-core, and narrow."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import pytest

import diadem
from tests.page.hand import Hand
from tests.page.labs import cookie_of, labs, page_of, reading

pytest.importorskip("starlette", reason="the extra 'page' is not installed")

#: Addresses that show no page: what they give instead.
_NO_SCREEN = {
    "/drawing/{package}/{dataset}": "a picture",
    "/exchange/seen": "a word, for a script",
    "/exchange/transfers/{transfer}/pictures/{number}": "a picture",
    "/file/{package}": "a file",
    "/jobs/{job}/events": "events, for a script",
    "/numbers/{package}/{dataset}": "numbers, for a script",
    "/parcel/{word}": "a ZIP",
    "/picture/{package}": "a picture",
    "/samples/{sample}/graph": "a picture",
    "/samples/{sample}/picture": "a picture",
    "/session/{package}/zip": "a ZIP",
    "/sheets/samples": "a table",
}


@pytest.mark.program("every screen in a browser, at several widths")
def test_every_screen_is_for_everybody(chromium: Any, tmp_path: Path) -> None:
    from diadem.page.app import VIEWS

    with labs(tmp_path) as both, page_of(both.anna) as served, reading(chromium, served) as anna:
        both.meet()
        hand = Hand(served, cookie_of(served), start="/people")
        with diadem.open_node(both.anna) as node, diadem.open_node(both.bob) as bobs:
            package = node.search("sample:S-12")[0].id
            node.samples.add("S-12")
            known = {
                "package": package[7:],
                "dataset": "d1",
                "user": node.users.add("bert").name,
                "grant": node.grant(package, "bert").grant.id,
                "transfer": node.send(package, "bob@boblab").id,
                "peer": bobs.id,
            }
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / "notes.txt").write_text("not archived yet")
        place = hand.post("/take-in/look", folder=str(tmp_path / "new"))[1]
        if place.startswith("/jobs/"):  # it took longer than one waits for a page
            hand.ended(place)
            place = hand.link(place, "/take-in/")
        known["proposal"] = place.rpartition("/")[2]
        known["sample"] = hand.link("/samples", "/samples/").rpartition("/")[2]
        known["job"] = hand.post("/health/rescan")[1].rpartition("/")[2]
        known["word"] = hand.post(f"/session/{package[7:]}/give", for_="Marie", where="download")[1].rpartition("/")[2]
        queries = {"/search": "?q=HAADF&view=table", "/people/why": f"?who=bert&package={package[7:19]}"}
        screens = {path for method, path, _ in VIEWS if method == "GET"} - _NO_SCREEN.keys()
        assert screens, "there are some"
        for path in sorted(screens):
            anna.fits(path.format(**known) + queries.get(path, ""))
            assert anna.complaints == [], f"{path}: nothing is missing"
        anna.fits("/search?q=HAADF", "/search?q=voltag%3E3", f"/take-in?at={tmp_path}")
        (tmp_path / "emlab" / "store").rename(tmp_path / "elsewhere")
        anna.fits(f"/session/{package[7:]}")
        assert "cannot be seen now" in html.unescape(re.sub(r"\s+", " ", anna.text))
        anna.complaints.clear()  # of pictures that cannot be read now
        (tmp_path / "elsewhere").rename(tmp_path / "emlab" / "store")
