"""What was learned is taken out of every text, and found in any bytes however they come; nobody is nobody."""

from __future__ import annotations

import io
import os
import re
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from diadem.export.redact import Cleaner, learn_from
from diadem.export.search import Search, compression_of
from diadem.export.terms import COMPUTER, PERSON, REMOVED, Terms, is_nobody, meaning
from diadem.serialization.record_json import read_record
from diadem.serialization.record_writer import RecordWriter


def terms(*names: str) -> Terms:
    learned = Terms()
    for name in names:
        learned.add(name)
    return learned


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("Curie temperature", f"{REMOVED} temperature"),
        ("by MARIE CURIE.", f"by {REMOVED}."),
        ("mcurie_2026.dm4 of mariella", f"{REMOVED}_2026.dm4 of {REMOVED}"),
        ("Li Wei, WeiLi, Wei.Li; Lithium", f"{REMOVED}, {REMOVED}, {REMOVED}; Lithium"),
        ("Eric, generic, ERIC's", f"{REMOVED}, generic, {REMOVED}'s"),
        (r"from D:\Data\new sample\a.dm4", f"from {REMOVED}"),
        (r"\\nas01\share\x and so on", REMOVED),
        ("/home/bob/a.mrc, /data/x, a/b", f"{REMOVED} /data/x, a/b"),
        ("write to a.b@c-d.example.org!", f"write to {REMOVED}!"),
        ("https://example.org/a 4:5 f/2 and C: alone", "https://example.org/a 4:5 f/2 and C: alone"),
    ],
)
def test_texts(text: str, cleaned: str) -> None:
    assert terms("Marie Curie", "Li Wei", "eric").cleaned(text) == cleaned


def test_paths_inside_a_file_are_no_places_on_a_disk() -> None:
    assert Terms().cleaned("/home/x/Data/1", places=False) == "/home/x/Data/1"


@pytest.mark.parametrize("name", ["user", "USER_", "User_Name____", "Administrator", "xxxx", "1", "JEOL", "", "  "])
def test_nobody(name: str) -> None:
    assert is_nobody(name)
    assert terms(name).cleaned(f"the {name} was here") == f"the {name} was here"


@pytest.mark.parametrize("name", ["Eric", "Rettinghaus", "mcurie1", "ortega", "Newman", "Labbé", "李明"])
def test_somebody(name: str) -> None:
    assert not is_nobody(name)
    assert terms(name).cleaned(f"by {name}.") == f"by {REMOVED}."


def test_keys_of_vendors() -> None:
    for key in ("Operator", "SV_USER_NAME", "UserId", "Created By", "E-Mail", "user name"):
        assert meaning(key) == PERSON
    assert {meaning("ComputerName"), meaning("Host Name")} == {COMPUTER}
    for key in ("UserScale", "Number", "Detector", "Name", "Value", "Ownership", "Hosting"):
        assert meaning(key) is None


def test_a_vendors_tree_is_learned_from() -> None:
    learned = Terms()
    tree: dict[str, Any] = {
        "Session Info": {"Operator": "JohnDoe", "Specimen": "PrecipitateA"},
        "User": {"Value": "PRESTAT", "Date": "03/05/2021"},
        "System": [{"ComputerName": "TALOS-D6308"}],
        "Note": r"saved to C:\Users\mcurie\Desktop\x.emd",
        "Owner": "user",
    }
    learned.learn(tree)
    assert {term.text for term in learned if term.sought} == {
        *("JohnDoe", "PRESTAT", "TALOS-D6308", "mcurie", "C:\\Users"),
    }
    assert learned.unsought == {"user": "it is not the name of a person"}


def test_terms_have_an_end() -> None:
    learned = terms(*(f"Person{number}x" for number in range(1000)))
    assert len(learned) == 200
    assert len(learned.unsought) == 800


@pytest.mark.parametrize(("codec", "name"), [("utf-8", "UTF-8"), ("utf-16-le", "UTF-16")])
@settings(deadline=None, max_examples=60)
@given(cuts=st.lists(st.integers(1, 40), max_size=40), before=st.binary(max_size=60), after=st.binary(max_size=60))
@example(cuts=[1] * 40, before=b"", after=b"")
def test_found_wherever_pieces_end(codec: str, name: str, cuts: list[int], before: bytes, after: bytes) -> None:
    text = "CuRiE".encode(codec)
    before, after = before + b"\0\0", b"\0\0" + after
    data = before + text + after
    search = Search(terms("Curie")).file()
    for cut in cuts:
        search.feed(data[:cut])
        data = data[cut:]
    search.feed(data)
    (found,) = search.finish()
    assert (found.text, found.encoding, found.at) == ("Curie", name, len(before))


FRAGMENTS = st.sampled_from(
    [b"Cu", b"rie", b"CURIE", b"C\0u\0", b"r\0i\0e\0", b"M", b"\xfc", b"\xc3\xbc", b"\xc3\x9c", b"ller", b"\0", b"x"]
)


@settings(deadline=None, max_examples=300)
@given(st.lists(FRAGMENTS, max_size=8).map(b"".join))
def test_what_is_found_is_there_and_what_is_there_is_found(data: bytes) -> None:
    search = Search(terms("Curie", "Müller")).file()
    search.feed(data)
    found = {one.text: one.at for one in search.finish()}
    low = data.lower()
    for text in ("Curie", "Müller"):
        spelt = [
            form.encode(codec).lower() for form in (text, text.upper()) for codec in ("utf-8", "utf-16-le", "latin-1")
        ]
        bounded = rb"(?<![a-z0-9])(?:%s)(?![a-z0-9])" if text == "Curie" else rb"(?:%s)"
        plain = re.search(bounded % b"|".join(map(re.escape, spelt[::3] + spelt[2::3])), low)
        if plain is not None:
            assert text in found
        if text in found:
            assert any(low.startswith(one, found[text]) for one in spelt)


def test_letters_beyond_ascii_are_found_in_old_encodings_and_any_case() -> None:
    for text in ("Müller", "MÜLLER", "müller"):
        for codec in ("utf-8", "utf-16-le", "latin-1"):
            search = Search(terms("Müller")).file()
            search.feed(b"\0" + text.encode(codec) + b"\0")
            assert [found.text for found in search.finish()] == ["Müller"], (text, codec)


def test_short_names_count_only_as_words() -> None:
    search = Search(terms("Eric")).file()
    search.feed(b"generic America Eric2 ")
    search.feed(b"by eric")
    assert [found.at for found in search.finish()] == [25]
    search = Search(terms("Eric")).file()
    search.feed("generic".encode("utf-16-le") + "\0Eric".encode("utf-16-le"))
    assert [found.at for found in search.finish()] == [16]


def test_random_bytes_hold_nobody() -> None:
    search = Search(terms("Marie Curie", "Rettinghaus")).file()
    search.feed(os.urandom(1 << 20))
    assert search.finish() == []


@pytest.mark.parametrize(
    ("head", "path", "kind"),
    [
        (b"\x89HDF\r\n\x1a\n\0\0", "a.emd", "HDF5"),
        (b"PK\x03\x04", "a.elid", "ZIP"),
        (b"\x1f\x8b\x08", "a.mrc.gz", "gzip"),
        (b"AAMVHFSS\1\0", "a.bcf", "Bruker"),
        (b"\0\0", "s.zspy/0/1", "Zarr"),
        (b"II*\0", "a.tif", None),
        (b"", "a.raw", None),
    ],
)
def test_what_cannot_be_searched(head: bytes, path: str, kind: str | None) -> None:
    said = compression_of(head, path)
    assert said is None if kind is None else said is not None and said.startswith(kind)


def dataset(operator: str, text: str) -> dict[str, Any]:
    source = {"file": "f1", "locator": f"Tags/{text}", "raw": text}
    by = {"plugin": "test", "version": "1", "rule": "r"}
    stated = {"status": "stated", "source": source, "by": by}
    return {
        "id": "d1",
        "files": [{"id": "f1", "path": "a.dat", "role": "primary", "bytes": 1, "sha256": "0" * 64, "format": "x"}],
        "signals": [{"id": "s1", "shape": [2], "title": text}],
        "fields": {
            "person.operator": [{**stated, "value": operator, "source": {**source, "raw": operator}}],
            "sample.name": [{**stated, "value": text, "source": {"person": operator}}],
            "instrument.kind": [{**stated, "value": "tem"}],
        },
        "raw": [{"path": "vendor:" + "1" * 64, "media_type": "text/plain", "sha256": "1" * 64}],
        "issues": [{"code": "odd", "message": text}],
        "extraction": {"reader": "test"},
        "extensions": {
            "org.example.x": {
                "version": "1", "validated": False, "data": {"user": operator, "note": [text]},
                "by": {"plugin": "p", "version": "1"},
            }
        },
    }  # fmt: skip


WORDS = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=40).filter(str.strip)


@settings(deadline=None, max_examples=60)
@given(before=WORDS, after=WORDS)
def test_no_name_is_left_in_a_record(before: str, after: str) -> None:
    text = f"{before} Marie Curie-Skłodowska, mcurie@example.org D:\\Curie\\x {after}"
    stream = io.BytesIO()
    writer = RecordWriter(
        stream,
        metadata={
            "session": {"title": text},
            "people": [{"name": "Marie Curie-Skłodowska", "email": "mcurie@example.org"}],
            "extensions": {"org.example.y": {"version": "1", "data": {"author": "X Y", "text": text}}},
        },
    )
    writer.add(dataset("marie curie", text))
    writer.finish(omitted=[{"path": text, "kind": "symlink", "reason": text}], empty_dirs=["Curie/x", "other"])
    record = read_record(stream.getvalue())
    learned = Terms()
    learn_from(record, learned)
    cleaner = Cleaner(learned, paths=False)
    cleaned = cleaner.record(record)
    again = read_record(cleaned)
    for name in ("curie", "marie", "skłodowska", "example.org"):
        assert name not in cleaned.decode("utf-8").casefold()
    assert list(again.empty_dirs) == ["other"]
    assert (again.people, again.datasets[0].raw) == ([], ())
    assert set(again.datasets[0].fields) == {"sample.name", "instrument.kind"}
    assert cleaner.removed["people"] == 1
    assert cleaner.removed["person.operator"] == 1


def test_paths_are_cleaned_where_the_files_do_not_go_along() -> None:
    document = dataset("Curie", "x")
    document["files"][0]["path"] = "Curie/scan.dat"
    learned = terms("Curie")
    assert Cleaner(learned, paths=True).dataset(document)["files"][0]["path"] == f"{REMOVED}/scan.dat"
    assert Cleaner(learned, paths=False).dataset(document)["files"][0]["path"] == "Curie/scan.dat"
