"""What a person gives with --meta."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import diadem
from diadem.errors import DocumentError
from diadem.serialization.validation import validate_metadata
from tests.serialization.examples import valid


def check_character(digits: str) -> str:
    """ISO 7064 MOD 11-2 from its definition: the polynomial in powers of 2 is 1 modulo 11."""
    weighted = sum(int(digit) * pow(2, len(digits) - place, 11) for place, digit in enumerate(digits))
    return "0123456789X"[(1 - weighted) % 11]


def test_a_whole_document_comes_back_as_a_copy() -> None:
    document = valid("metadata", "everything")
    checked = validate_metadata(document)
    assert checked == document
    assert checked["session"] is not document["session"]


def test_dates_of_a_toml_or_yaml_parser_become_text() -> None:
    given = {"session": {"date": datetime.date(2026, 3, 14)}}
    assert validate_metadata(given) == {"session": {"date": "2026-03-14"}}


@settings(max_examples=50, derandomize=True, deadline=None)
@given(st.text("0123456789", min_size=15, max_size=15), st.integers(0, 15), st.integers(1, 9), st.booleans())
def test_every_orcid_is_proven_and_every_single_slip_found(digits: str, place: int, slip: int, bare: bool) -> None:
    def address(text: str) -> str:
        parts = "-".join(text[i : i + 4] for i in range(0, 16, 4))
        return parts if bare else "https://orcid.org/" + parts

    right = digits + check_character(digits)
    person = validate_metadata({"people": [{"name": "A", "orcid": address(right)}]})["people"][0]
    assert person["orcid"] == "https://orcid.org/" + "-".join(right[i : i + 4] for i in range(0, 16, 4))
    if right[place] != "X":
        wrong = right[:place] + str((int(right[place]) + slip) % 10) + right[place + 1 :]
        with pytest.raises(DocumentError, match=r"\$\.people\[0\]\.orcid"):
            validate_metadata({"people": [{"name": "A", "orcid": address(wrong)}]})


def test_a_refusal_names_path_rule_and_example() -> None:
    with pytest.raises(DocumentError) as caught:
        validate_metadata({"session": {"date": "19.08.2022"}})
    assert caught.value.message.startswith("$.session.date:")
    assert "YYYY-MM-DD" in caught.value.message
    assert caught.value.next == 'Example: "2026-03-14"'
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("given", ["meta.toml", Path("meta.toml"), "", [], 5])
@pytest.mark.parametrize("verb", [diadem.plan, diadem.extract])
def test_what_is_no_mapping_is_told_with_what_is(verb: Callable[..., object], given: object, tmp_path: Path) -> None:
    file = tmp_path / "note.txt"
    file.write_text("x")
    with pytest.raises(DocumentError, match=f"a mapping is expected, not {type(given).__name__}") as caught:
        verb(file, metadata=given)
    assert "--meta FILE" in str(caught.value.next)


LOOP: list[Any] = []
LOOP.extend([LOOP, LOOP])


@pytest.mark.parametrize(
    "document",
    [
        *(None, [], "x", 5, {"session": []}, {"session": {"title": 5}}, {"people": ["Marie"]}),
        {"session": {"title": "\ud800"}},
        {"extensions": {"../x": {"version": "1", "data": 1}}},
        *({"extensions": {"org.x": {"version": "1", "data": value}}} for value in (float("nan"), LOOP, b"x")),
    ],
)
def test_what_is_no_metadata_is_refused(document: object) -> None:
    with pytest.raises(DocumentError):
        validate_metadata(document)
