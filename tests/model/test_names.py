"""Names: legal on every system, unique, stable."""

from __future__ import annotations

import hashlib
import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diadem.model.names import illegal, stored_names, twin_key


def tag(path: bytes) -> str:
    return "~" + hashlib.sha256(path).hexdigest()[:8]


@pytest.mark.parametrize(
    "part",
    [
        *["", "a%b", "a<", "a:b", 'a"', "a|b", "a?", "a*", "a\\b", "a\nb", "a\x7f", "\x85", "a\u2028b", "a\u2029"],
        *[" a", "a ", "a\u00a0", "a.", "..", ".", "\udc80", "e\u0301", "ä" * 128],
        *["CON", "con.txt", "Nul.tar.gz", "com1", "LPT9.x", "COM¹", "conin$", "nul .txt"],
    ],
)
def test_what_cannot_be_stored_is_refused_with_a_reason(part: str) -> None:
    assert illegal(part)


@pytest.mark.parametrize(
    "part",
    ["a", "scan 1.dm4", "é", "a~b", "#x", "-x", "~x", ".hidden", "console", "com10", "ä" * 127, "日本", "a\u200bb"],
)
def test_ordinary_names_are_stored_as_they_are(part: str) -> None:
    assert illegal(part) is None
    assert stored_names([part.encode()]) == {part.encode(): part}


@pytest.mark.parametrize(
    ("original", "stem", "suffix"),
    [
        (b"50%.tif", "50_", ".tif"),
        (b"a?.ome.tif", "a_.ome", ".tif"),
        (b"CON", "CON", ""),
        (b"con.a.txt", "_con.a", ".txt"),
        (b"bad\xff.dm4", "bad_", ".dm4"),
        (b"scan.tif ", "scan_", ".tif"),
        (b"scan.", "scan_", ""),
        (b" x", "_x", ""),
        (b"diadem-record.json", "diadem-record", ".json"),
        (b"RO-Crate-Metadata.JSON", "RO-Crate-Metadata", ".JSON"),
        (b"\n", "_", ""),
    ],
)
def test_a_mapped_name_has_its_tag_before_the_suffix(original: bytes, stem: str, suffix: str) -> None:
    stored = stored_names([original])[original]
    assert stored == stem + tag(original) + suffix
    assert illegal(stored) is None


def test_a_long_stem_is_cut_to_255_bytes() -> None:
    original = ("ö" * 200 + ".tif").encode()
    stored = stored_names([original])[original]
    assert 253 <= len(stored.encode()) <= 255
    assert stored.endswith(tag(original) + ".tif")


def test_all_twins_of_a_folder_are_mapped_and_no_one_else() -> None:
    stored = stored_names([b"a/Scan.dm4", b"a/scan.dm4", b"b/scan.dm4"])
    assert stored[b"a/Scan.dm4"] == "a/Scan" + tag(b"a/Scan.dm4") + ".dm4"
    assert stored[b"a/scan.dm4"] == "a/scan" + tag(b"a/scan.dm4") + ".dm4"
    assert stored[b"b/scan.dm4"] == "b/scan.dm4"


def test_a_mapped_folder_has_one_tag_of_its_own_path() -> None:
    stored = stored_names([b"a:b/1.tif", b"a:b/c/2.tif"])
    folder = "a_b" + tag(b"a:b")
    assert stored == {b"a:b/1.tif": f"{folder}/1.tif", b"a:b/c/2.tif": f"{folder}/c/2.tif"}


def test_reserved_names_are_free_below_the_root() -> None:
    assert stored_names([b"x/diadem-record.json"]) == {b"x/diadem-record.json": "x/diadem-record.json"}


def test_composition_alone_adds_no_tag() -> None:
    original = "Nu\u0301n\u0303ez.tif".encode()
    assert stored_names([original]) == {original: "Núñez.tif"}


def test_names_of_both_compositions_are_twins() -> None:
    composed, decomposed = "é.tif".encode(), "e\u0301.tif".encode()
    stored = stored_names([composed, decomposed])
    assert set(stored.values()) == {"é" + tag(composed) + ".tif", "é" + tag(decomposed) + ".tif"}


def test_a_name_that_looks_like_a_mapped_one_does_not_collide() -> None:
    mapped = b"a?.tif"
    imitation = ("a_" + tag(mapped) + ".tif").encode()
    stored = stored_names([mapped, imitation])
    assert len({twin_key(name) for name in stored.values()}) == 2


def test_equal_short_tags_grow_longer() -> None:
    # Two names that clean to the same and whose digests share the first eight digits, found by search.
    seen: dict[str, bytes] = {}
    pair: tuple[bytes, bytes] | None = None
    bad = [bytes([byte]) for byte in b'%<>:"|?*']
    for number in range(8**9):
        name = b"".join(bad[(number >> (3 * place)) & 7] for place in range(9))
        digest = hashlib.sha256(name).hexdigest()[:8]
        if digest in seen:
            pair = (seen[digest], name)
            break
        seen[digest] = name
    assert pair is not None
    first, second = (stored_names(pair)[name] for name in pair)
    assert first != second
    assert len(first) == len(second) == 9 + 1 + 16


parts = st.one_of(
    st.text(min_size=1, max_size=12).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.binary(min_size=1, max_size=8),
    st.sampled_from([b"a", b"A", b"con", b"a.tif", b"a.TIF", b"a~.tif", "é".encode(), "e\u0301".encode(), b"a " * 140]),
).filter(lambda part: b"/" not in part and b"\0" not in part and part not in {b".", b".."})
paths = st.lists(st.lists(parts, min_size=1, max_size=3).map(b"/".join), max_size=12, unique=True)


def is_tree(names: list[bytes]) -> bool:
    """Whether no path is a folder of another, as in a file system."""
    return not any(other.startswith(name + b"/") for name in names for other in names)


@given(paths.filter(is_tree))
@settings(max_examples=150, derandomize=True, deadline=None)
def test_every_stored_path_is_legal_and_unique_and_maps_to_itself(originals: list[bytes]) -> None:
    stored = stored_names(originals)
    assert set(stored) == set(originals)
    for path in stored.values():
        assert all(illegal(part) is None for part in path.split("/"))
        assert unicodedata.is_normalized("NFC", path)
    keys = {"/".join(map(twin_key, path.split("/"))) for path in stored.values()}
    assert len(keys) == len(originals)
    again = stored_names(path.encode() for path in stored.values())
    assert all(key == value.encode() for key, value in again.items())


@given(paths.filter(is_tree), st.randoms())
@settings(max_examples=50, derandomize=True, deadline=None)
def test_the_order_of_the_files_does_not_matter(originals: list[bytes], random: object) -> None:
    shuffled = list(originals)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert stored_names(shuffled) == stored_names(originals)


def test_a_hundred_thousand_names_are_quick() -> None:
    originals = [b"run %d/frame_%05d.tif" % (number // 1000, number) for number in range(100_000)]
    start = time.process_time()
    stored = stored_names(originals)
    assert time.process_time() - start < 10
    assert len(set(stored.values())) == 100_000


@pytest.mark.parametrize("name", [": .", ":. .", "x. . .", "a:b. ."])
def test_blanks_and_dots_in_turn_at_the_end_leave_none_there(name: str) -> None:
    (stored,) = stored_names([name.encode()]).values()
    assert illegal(stored) is None
    assert stored.count("~") == 1
