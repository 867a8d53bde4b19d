"""People on the page: users, what is granted after a look at what it opens, why somebody sees it, and taking back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import diadem
from tests.page.conftest import HOSTILE, Served, ask, enter
from tests.page.hand import Hand
from tests.page.labs import page_of, reading

pytest.importorskip("starlette", reason="the extra 'page' is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A node of anna with two sessions, one with hostile words."""
    home = tmp_path_factory.mktemp("people")
    with diadem.Node.create(home / "node", name="emlab", user="anna", store=str(home / "store")) as node:
        for name, title in (("zno", "ZnO boundary"), ("odd", HOSTILE)):
            (home / name).mkdir()
            (home / name / "notes.txt").write_text(name)
            said = {"session": {"title": title, "project": "grains"}}
            node.archive(home / name, metadata=said, now=True)
    return home / "node"


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Served]:
    with page_of(folder) as page:
        yield page


def archived(node: diadem.Node, folder: Path, project: str) -> str:
    """Archive a small session of a project; its package id."""
    folder.mkdir()
    (folder / "notes.txt").write_text(folder.name)
    said = {"session": {"title": folder.name, "project": project}}
    return str(node.archive(folder, metadata=said, now=True).package.id)


def test_who_sees_what_and_why(chromium: Any, served: Served, folder: Path) -> None:
    with diadem.open_node(folder) as node:
        zno, odd = (node.search(words)[0].id for words in ("title:ZnO", "title:npe OR title:gnp OR notes odd"))
    with reading(chromium, served, java_script_enabled=False) as anna:
        anna.go("/people")
        anna.window.fill("[name=user]", "bob")
        anna.window.fill("[name=full_name]", "Bob <b>Baker</b>")
        anna.click("main button:text-is('Add')")
        assert "bob is a user of this node." in anna.text
        assert "Bob <b>Baker</b>" in anna.text
        anna.window.fill("[name=user]", "Bob!")
        anna.click("main button:text-is('Add')")
        assert anna.window.input_value("[name=user]") == "Bob!"
        anna.go(f"/people/why?who=bob&package={zno[7:19]}")
        assert "No: bob may not" in anna.text
        anna.click("text=Let them see it")
        anna.window.fill("[name=to]", "bob")
        anna.window.fill("[name=purpose]", HOSTILE)
        anna.window.fill("form[action$=grants] [name=expires]", "2031-01-01")
        anna.click("text=See what this would open")
        assert "opens now\n1 package" in anna.text
        with diadem.open_node(folder) as node:
            assert node.grants() == [], "a look grants nothing"
        anna.click("text='Grant it'")
        assert "Granted: bob@emlab may see and read." in anna.text
        assert "2031-01-01" in anna.text
        assert "[U+202E]" in anna.text
        anna.go(f"/people/why?who=bob&package={zno[7:19]}")
        assert "Yes: bob may" in anna.text
        anna.click("text=The grant that decided")
        anna.window.fill("[name=reason]", "the project has ended")
        anna.click("main button:text-is('Revoke it')")
        assert "It is revoked." in anna.text
        assert "revoked" in anna.text

        anna.window.fill("[name=what]", "project:grains")
        anna.window.fill("[name=to]", "bob")
        anna.click("text=See what this would open")
        assert "opens now\n2 packages" in anna.text
        (folder.parent / "third").mkdir()
        (folder.parent / "third" / "notes.txt").write_text("third")
        with diadem.open_node(folder) as node:
            said = {"session": {"title": "A third", "project": "grains"}}
            node.archive(folder.parent / "third", metadata=said, now=True)
        anna.click("text='Grant it'")
        assert "it would open 3 packages by now, and not 2" in anna.text, "it is not granted unseen"
        assert "opens now\n3 packages" in anna.text
        anna.click("text='Grant it'")
        assert "Granted: bob@emlab may see and read." in anna.text
    with reading(chromium, served) as seen:
        why = f"/people/why?who=bob&package={odd[7:19]}"
        seen.fits("/people", "/people/users/bob", why)
        assert "Yes: bob may" in seen.text
        assert seen.window.evaluate("window.taken") is None
    with diadem.open_node(folder) as node:
        assert sorted(one.state for one in node.grants()) == ["in force", "revoked"]
        assert node.why("bob", odd).allowed


def test_what_is_taken_back_and_what_is_left(folder: Path) -> None:
    """A second grant of the same is told when the first is taken back; the same number of packages is not the same."""
    with diadem.open_node(folder) as node:
        node.users.add("eve")
        one = archived(node, folder.parent / "one", project="swapped")
        grants = [node.grant(one, "eve").grant.id for _ in range(2)]
    with page_of(folder) as page:
        hand = Hand(page, enter(page), start="/people")
        first, second = (f"/people/grants/{one}/revoke" for one in grants)
        assert "eve@emlab still has 1 more grant" in hand.done(first, was="in force", reason="over")
        assert "more grant" not in hand.done(second, was="in force", reason="over")

        _, look, _ = hand.post("/people/grants", what="project:swapped", to="eve", right="read")
        with diadem.open_node(folder) as node:
            node.amend(one, {"session.project": "later"}, reason="a mistake")
            archived(node, folder.parent / "two", project="swapped")
        assert "it would now open other packages" in hand.done(look)
        assert hand.post(look)[0] == 404, "a second click"
    with diadem.open_node(folder) as node:
        assert [one.state for one in node.grants(to="eve")] == ["revoked", "revoked"]


def test_somebody_leaves_and_somebody_is_invited(chromium: Any, served: Served, folder: Path) -> None:
    with diadem.open_node(folder) as node:
        node.users.add("carl")
    with reading(chromium, served) as anna:
        anna.go("/people")
        anna.window.fill("[name=invited]", "dora")
        anna.click("form[action$=invite] button")
        assert "has no address at which others find it" in anna.text
        anna.go("/people/users/carl")
        anna.window.select_option("[name=to]", "anna")
        anna.click("text=See what that means")
        assert "There is no way back" in anna.text
        with diadem.open_node(folder) as node:
            assert not node.users.show("carl").successor
        anna.window.fill("[name=reason]", "has moved to Oslo")
        anna.click("text=Let carl leave")
        assert "carl has left; anna@emlab follows." in anna.text


def test_forms_of_others_are_refused(served: Served, folder: Path) -> None:
    """Each address that does something, asked from another site, and by a page that may only read."""
    with diadem.open_node(folder) as node:
        before = [one.name for one in node.users]
    with page_of(folder, "--read-only") as reading_only:
        cookie = enter(reading_only)
        good = {"Cookie": cookie, "Origin": reading_only.origin}
        for path in ("/people/users", "/people/grants", "/samples", "/exchange/now", "/exchange/rules"):
            forged = good | {"Origin": "https://evil.example"}
            assert ask(reading_only, path, "POST", {"user": "mallory"}, **forged)[0] == 403
            assert ask(reading_only, path, "POST", {"user": "mallory"}, **good)[0] == 403
        for path in ("/people", "/samples", "/exchange", "/exchange/peers", "/exchange/rules"):
            status, _, text = ask(reading_only, path, Cookie=cookie)
            assert (status, b'method="post"' in text) == (200, False), path
    with diadem.open_node(folder) as node:
        assert [one.name for one in node.users] == before
