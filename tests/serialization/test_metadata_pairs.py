"""Metadata said as pairs on a command line."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diadem.errors import DocumentError, UsageError
from diadem.serialization.metadata_pairs import metadata_from_pairs
from diadem.serialization.validation import validate_metadata


@pytest.mark.parametrize(
    ("pairs", "document"),
    [
        ([], {}),
        (["sample.name=S-12"], {"sample": {"name": "S-12"}}),
        ([" session.title = a = b "], {"session": {"title": "a = b"}}),
        (["session.keywords=ZnO, HAADF", "session.keywords=EELS"], {"session": {"keywords": ["ZnO", "HAADF", "EELS"]}}),
        (["sample.elements=Zn,O"], {"sample": {"elements": ["Zn", "O"]}}),
        (["sample.thickness=6e-8"], {"sample": {"thickness": 6e-8}}),
        (
            ["sample.other_names.NMI=ZNO-3", "sample.other_names.HU Berlin=7"],
            {"sample": {"other_names": {"NMI": "ZNO-3", "HU Berlin": "7"}}},
        ),
        (["people=Marie Curie", "people=Irène"], {"people": [{"name": "Marie Curie"}, {"name": "Irène"}]}),
        (["people.operator=Marie Curie"], {"people": [{"name": "Marie Curie", "role": "operator"}]}),
        (
            ["people.operator=Josiah", "people.1.orcid=0000-0002-1825-0097", "people.2.name=B"],
            {
                "people": [
                    {"name": "Josiah", "role": "operator", "orcid": "https://orcid.org/0000-0002-1825-0097"},
                    {"name": "B"},
                ]
            },
        ),
        (
            ["instrument.kind=tem", "session.date=2026-03-14"],
            {"instrument": {"kind": "tem"}, "session": {"date": "2026-03-14"}},
        ),
    ],
)
def test_pairs_say_what_a_document_says(pairs: list[str], document: dict[str, Any]) -> None:
    assert metadata_from_pairs(pairs) == document
    assert validate_metadata(document) == document


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        (["sample.name"], "is not key=value"),
        (["=S-12"], "is not key=value"),
        (["sample.name= "], "Leave out what is not known"),
        (["title=ZnO"], r"Did you mean session\.title\?"),
        (["identifer=1"], r"Did you mean session\.identifier or sample\.identifier\?"),
        (["sample.name=a", "sample.name=b"], "given twice"),
        (["people.1.role=a", "people.1.role=b"], "given twice"),
        (["people.2.name=B"], "before person 1"),
        (["people.0.name=B"], "does not name a person"),
        (["people.a.b=B"], "does not name a person"),
        (["extensions.org.example=1"], "--meta"),
        (["sampel.name=S-12"], "Did you mean sample"),
        (["sample.nmae=S-12"], "Did you mean name"),
        (["sample.name.first=S-12"], "name.first"),
        (["sample.thickness=60 nm"], "Thickness in metres"),
        (["sample.thickness=60"], "maximum"),
        (["sample.thickness=nan"], "thickness|number|JSON"),
        (["sample.thickness=1e999"], "thickness|number|JSON"),
        (["sample.elements=Zn,Ox"], "elements"),
        (["session.date=14.3.2026"], "2026-03-14"),
        (["people.1.role=operator"], '"name" is a required property'),
    ],
)
def test_what_cannot_be_meant_is_named_with_what_may_be(pairs: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        metadata_from_pairs(pairs)
    assert caught.value.exit_code == 2


def test_pairs_go_before_a_document_and_leave_it_as_it_is() -> None:
    base = {"sample": {"name": "old", "identifier": "S-12"}, "people": [{"name": "Marie Curie"}]}
    merged = metadata_from_pairs(["sample.name=new", "people=Irène"], base)
    assert merged["sample"] == {"name": "new", "identifier": "S-12"}
    assert merged["people"] == [{"name": "Marie Curie"}, {"name": "Irène"}]
    assert base == {"sample": {"name": "old", "identifier": "S-12"}, "people": [{"name": "Marie Curie"}]}


@given(
    st.lists(
        st.text(max_size=40) | st.from_regex(r"(session|sample|people|instrument)\.[a-z0-9.]{1,12}=.{0,8}"), max_size=5
    )
)
def test_any_texts_give_a_valid_document_or_a_named_fault(pairs: list[str]) -> None:
    try:
        document = metadata_from_pairs(pairs)
    except (UsageError, DocumentError):
        return
    assert validate_metadata(document) == document
