"""The page beside what is given away: its parts, that nothing breaks out of it, and names for any system."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diadem.export.names import target_names
from diadem.export.pages import RAW, RECORD, WHOLE, EnclosedFolder, ReadMe, page_html, previews_on, readme_html
from diadem.model.manifest import FileEntry
from diadem.model.names import illegal, stored_names, twin_key
from tests.export.test_pages import FULL, Page, dataset, package, picture

ID = "diadem:" + "ab" * 32
LETTER = ReadMe(
    FULL,
    [EnclosedFolder("20260314-zno-abababababab", ID, 2, 3_400_000_000)],
    WHOLE,
    "2026-03-15T08:00:00Z",
    to="Marie Curie <m@x.org>",
    sender="Alice Smith (alice@hu-berlin)",
)


def test_it_says_from_whom_for_whom_what_and_how_to_check() -> None:
    page = Page(readme_html(LETTER))
    for said in (
        "prepared for Marie Curie <m@x.org> by Alice Smith (alice@hu-berlin) on 15 March 2026, 08:00 (UTC)",
        ID,
        "20260314-zno-abababababab",
        "sha256sum -c manifest-sha256.txt",
        "shasum -a 256 -c",
        "Get-FileHash",
        "the package id that the check printed",
        "Licence of the data: CC-BY-4.0",
        "write a plain mail to the sender",
        "series/frame_00001.tif".rpartition("/")[2],
    ):
        assert said in page.words, said
    assert len(page.images) == 1
    assert {link for link in page.links if link.startswith("#")} >= {"#zip", "#check", "#arrived", "#datasets"}
    ids = {found["id"] for _, found in page.elements if "id" in found}
    assert {link[1:] for link in page.links if link.startswith("#")} <= ids


@pytest.mark.parametrize("kind", [WHOLE, RAW, RECORD])
def test_without_people_it_promises_no_package(kind: str) -> None:
    words = Page(readme_html(replace(LETTER, kind=kind, redacted=True, to="", sender=""))).words
    assert "Marie Curie <m@x.org>" not in words
    assert "It is the only thing to trust" not in words
    assert "pip install" not in words
    assert "What was taken out" in words
    assert ("may still name" in words) == (kind != RECORD)


def test_several_packages_and_those_that_are_not_there() -> None:
    several = replace(LETTER, enclosed=[*LETTER.enclosed, EnclosedFolder("other", ID, 1, 5)], others=2)
    words = Page(readme_html(several)).words
    assert "are folders" in words
    assert "2 packages more hold files of it and are not enclosed" in words
    assert "Check each folder" in words


TEXT = st.text(max_size=60) | st.sampled_from(["</code><script>x</script>", "\"'><img src=x>", "\u202eevil"])


@settings(deadline=None, max_examples=40)
@given(TEXT, TEXT, TEXT)
def test_nothing_breaks_out(first: str, second: str, third: str) -> None:
    hostile = replace(
        LETTER,
        facts=package(dataset(1), name=first, license=second, description=third),
        enclosed=[EnclosedFolder(first, second, 1, 1)],
        to=second,
        sender=third,
        renamed=[(first, third)],
    )
    Page(readme_html(hostile))


def test_the_same_letter_is_the_same_page() -> None:
    assert readme_html(LETTER) == readme_html(replace(LETTER))


def test_previews_are_read_from_the_page_that_shows_them() -> None:
    facts = package(dataset(1), dataset(2, preview=picture(2)), dataset(3, preview=picture(3, "JPEG")))
    assert previews_on(page_html(facts)) == {1: picture(2), 2: picture(3, "JPEG")}
    assert previews_on(page_html(package(dataset(1, preview=b"<svg/>")))) == {}
    assert previews_on(b"\xff<article class=") == {}


PARTS = st.text(
    st.sampled_from(["a", "A", "b", "é", "\u0301", ":", "%", ".", " ", "ß", "C", "O", "N", "~"]),
    min_size=1,
    max_size=4,
).filter(lambda text: text not in (".", "..") and "/" not in text)
PATHS = st.lists(PARTS, min_size=1, max_size=3).map("/".join)


@settings(deadline=None)
@given(st.sets(PATHS, max_size=12))
def test_names_are_legal_and_unique_everywhere(paths: set[str]) -> None:
    files = {path for path in paths if not any(other.startswith(path + "/") for other in paths)}
    stored = stored_names([path.encode() for path in files])
    entries = [
        FileEntry("data/" + name, 0, "0" * 64, 0, None if name.encode() == original else original)
        for original, name in stored.items()
    ]
    names = target_names(entries)
    keys = [twin_key(name) for name in names]
    assert len(set(keys)) == len(keys)
    folders = {twin_key(name.rpartition("/")[0]): name.rpartition("/")[0] for name in names}
    assert folders.keys().isdisjoint(keys)
    assert not [part for name in names for part in name.split("/") if illegal(part)]
    for name, entry in zip(names, entries, strict=True):
        assert name in (entry.name, entry.original_name.decode())


def test_a_name_that_only_diadem_reserves_is_given_back() -> None:
    (name,) = target_names([FileEntry("data/diadem-record~1.json", 0, "0" * 64, 0, b"diadem-record.json")])
    assert name == "diadem-record.json"
