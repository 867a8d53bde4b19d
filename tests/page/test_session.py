"""One session and home: what is said of it, where it comes from and leads to, and what waits."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

import diadem
from diadem.testing.samples import write_session
from tests.page.conftest import Served, ask, enter, serve

pytest.importorskip("starlette", reason="the extra 'page' is not installed")


def text_of(served: Served, cookie: str, path: str) -> str:
    """A page as text, which must be there."""
    status, _, content = ask(served, path, Cookie=cookie)
    assert status == 200, (path, content)
    return content.decode()


def test_where_a_session_comes_from_and_what_is_said_of_it(tmp_path: Path) -> None:
    write_session(tmp_path / "session")
    (tmp_path / "session" / "README").write_text("drift bad in the first hour, see notes of Anna & Bert\n")
    (tmp_path / "figure").mkdir()
    (tmp_path / "figure" / "figure3.bin").write_bytes(b"3" * 100)
    with diadem.Node.create(tmp_path / "node", name="emlab", user="anna", store=str(tmp_path / "store")) as node:
        raw = node.archive(
            tmp_path / "session", metadata={"session": {"title": "ZnO"}, "sample": {"name": "S-12"}}, now=True
        ).package.id
        made = node.derive(tmp_path / "figure", [raw], comment="for the paper", software={"own": "1"}).package
        node.amend(raw, {"sample.name": "S-13"}, reason="the label was wrong")
        node.assess(raw, "limited", purpose="EELS", criterion="drift", comment="drifted")
    for served in serve(tmp_path / "node"):
        cookie = enter(served)
        text = text_of(served, cookie, f"/session/{raw[7:]}")
        for said in (
            "drift bad in the first hour, see notes of Anna &amp; Bert",
            "<del><bdi>S-12</bdi></del>",
            "the label was wrong",
            '<span class="badge limited">limited</span>',
            "Used for",
            "for the paper",
            "Copies",
            str(tmp_path / "store"),
            "were archived in the store main",
        ):
            assert said in text, said
        assert f'href="/session/{made[7:]}"' in text
        names = re.findall(r'class="name"><bdi>([^<]+)<', text)
        assert "low_loss.zspy" in names, "a dataset that is a folder is called as the folder"
        assert not any(name.startswith(".") for name in names)
        for name, alone in (("haadf_series.mrc", True), ("low_loss.zspy", False)):
            (place,) = re.findall(
                rf'href="(/session/{raw[7:]}/d\d+)">\s*<span[^>]*><img[^>]*></span>\s*<span class="name"><bdi>{name}<',
                text,
            )
            shown = text_of(served, cookie, place)
            assert f"<h1><bdi>{name}</bdi></h1>" in shown
            assert (">Download</a>" in shown, ">Its files as ZIP</a>" in shown) == (alone, not alone)
            assert f'href="/session/{raw[7:]}/send">' in shown
        text = text_of(served, cookie, f"/session/{made[7:]}")
        assert "Made from" in text
        assert f'href="/session/{raw[7:]}"' in text
        assert "is usable with limits" in text, "the doubt about the raw data is told"
        links = re.findall(r'href="(/session/\w+\?n=\d+)"', text_of(served, cookie, "/"))
        assert len(links) == 2
        text = text_of(served, cookie, links[0])
        (after,) = re.findall(r'rel="next" href="([^"]+)"', text)
        assert 'rel="prev"' not in text
        text = text_of(served, cookie, after.replace("&amp;", "&"))
        (before,) = re.findall(r'rel="prev" href="([^"]+)"', text)
        assert before.replace("&amp;", "&") == links[0]


def test_cards_say_nothing_twice(tmp_path: Path, shared_data: Path) -> None:
    folder = shared_data / "emd-velox"
    if not folder.exists():
        pytest.skip("these real files are not here")
    with diadem.Node.create(tmp_path / "node", name="emlab", user="anna", store=str(tmp_path / "store")) as node:
        package = node.archive(folder, now=True, in_place=True).package.id.removeprefix("diadem:")
    for served in serve(tmp_path / "node"):
        text = text_of(served, enter(served), f"/session/{package}")
        cards = re.findall(r"</a>\s*<span>([^<]*)</span>", text)
        assert any("300 kV" in card for card in cards)
        assert all(len(set(said := card.split(" · "))) == len(said) for card in cards), cards
        assert any(card.endswith("×") for card in cards), "a magnification"
        named = re.findall(r"<dt>instrument</dt><dd><bdi>([^<]*)<", text)
        assert len(set(named)) == len(named) > 1


def test_home_tells_what_waits(tmp_path: Path) -> None:
    write_session(tmp_path / "session")
    (tmp_path / "instrument").mkdir()
    with diadem.Node.create(tmp_path / "node", name="emlab", user="anna", store=str(tmp_path / "store")) as node:
        node.archive(tmp_path / "session", now=True)
        node.queries.save("dark-field", "HAADF")
        node.watched.add(tmp_path / "instrument")
    for served in serve(tmp_path / "node"):
        cookie = enter(served)
        text = text_of(served, cookie, "/")
        assert re.search(r'href="/search\?q=%40dark-field"[^>]*title="HAADF"', text)
        assert re.search(r'dark-field</bdi></a> <span class="count">1</span>', text), "what it finds now"
        assert "haadf_overview.tif" in text_of(served, cookie, "/search?q=%40dark-field&view=datasets")
        until = time.monotonic() + 60
        while "nobody watches" not in text and time.monotonic() < until:
            time.sleep(0.5)
            text = text_of(served, cookie, "/")
        assert f"nobody watches {tmp_path / 'instrument'}" in text
