"""Forms of foreign documents: what fits one is a typed object; of anything else it is said what is wrong and where."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Meta, UnsetType, field

from diadem.errors import DocumentError, Unreachable
from diadem.model.canonical import decode, encode
from diadem.model.documents import Count, Document, Id, Moment, NodeId, document_of


class Page(Document, frozen=True):
    words: Annotated[str, Meta(max_length=5)]


class Letter(Document, frozen=True, tag_field="format", tag="letter/1"):
    WHAT = "letter"
    ADVICE = "Write another one."

    to: NodeId
    sender: Id = field(name="from")
    sent: Moment
    pages: Annotated[tuple[Page, ...], Meta(max_length=2)]
    stamps: Count = 0
    way: Literal["air", "sea"] = "air"
    copy: Annotated[str, Meta(min_length=1)] | UnsetType = UNSET
    more: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.way == "sea" and self.stamps > 1:
            raise ValueError("by sea one stamp will do")


SAID: dict[str, Any] = {
    "format": "letter/1",
    "to": "ab" * 32,
    "from": "01" * 16,
    "sent": "2026-03-14T09:26:53Z",
    "pages": [{"words": "hello"}],
}


def test_what_fits_is_an_object_and_writes_itself() -> None:
    letter = Letter.from_bytes(encode(SAID, where=""))
    assert (letter.sender, letter.pages[0].words, letter.copy) == ("01" * 16, "hello", UNSET)
    assert Letter.from_bytes(letter.to_bytes()) == letter
    assert decode(letter.to_bytes(), where="", limit=1000) == SAID | {"stamps": 0, "way": "air", "more": {}}


@pytest.mark.parametrize(
    ("change", "at", "said"),
    [
        ({"to": "ab"}, "to", "it should be 64 lower-case hex digits"),
        ({"to": "ab" * 32 + "\n"}, "to", "it should be 64 lower-case hex digits"),
        ({"from": None}, "from", "it should be 32 lower-case hex digits"),
        ({"sent": "14 March"}, "sent", "it should be a moment in UTC, such as 2026-03-14T09:26:53Z"),
        (
            {"pages": [{"words": "hello"}, {"words": "goodbye"}]},
            "pages[1].words",
            "it should be a text of at most 5 letters",
        ),
        ({"pages": [{}]}, "pages[0]", "'words' is missing"),
        ({"pages": [{"words": ""}] * 3}, "pages", "it should be a list of at most 2"),
        ({"pages": "hello"}, "pages", "it should be a list of at most 2"),
        ({"stamps": True}, "stamps", "it should be a whole number from 0 to 9,007,199,254,740,991"),
        ({"stamps": 1.0}, "stamps", "it should be a whole number from 0"),
        ({"stamps": 1 << 53}, "stamps", "it should be a whole number from 0"),
        ({"way": "rail"}, "way", "it should be 'air' or 'sea'"),
        ({"way": "sea", "stamps": 2}, "", "by sea one stamp will do"),
        ({"copy": ""}, "copy", "it should be a text"),
        ({"copy": None}, "copy", "it should be a text"),
        ({"more": {"any": "x"}}, "more[...]", "it should be a whole number"),
        ({"format": "letter/2"}, "format", "it should be 'letter/1'"),
        ({"e\x1b[0m" + "x" * 100: 1}, "", f"'e [0m{'x' * 54}…' is not a member of it"),
    ],
)
def test_what_does_not_fit_says_what_where_and_what_next(change: dict[str, Any], at: str, said: str) -> None:
    with pytest.raises(DocumentError) as caught:
        Letter.of(SAID | change)
    assert caught.value.message.startswith(f"{at}: {said}" if at else said)
    assert (caught.value.where, caught.value.next) == ("letter", "Write another one.")


@pytest.mark.parametrize("absent", [*SAID])
def test_what_must_be_there_is_missing(absent: str) -> None:
    with pytest.raises(DocumentError, match=f"'{absent}' is missing"):
        Letter.of({name: value for name, value in SAID.items() if name != absent})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda one: st.lists(one) | st.dictionaries(st.text(), one),
    )
)
def test_any_value_at_any_place_is_refused_in_words_or_read(value: Any) -> None:
    for said in (value, *({**SAID, name: value} for name in (*SAID, "stamps", "way", "copy", "more", "else"))):
        words = ""
        try:
            Letter.of(said)
        except DocumentError as error:
            words = error.line
        assert words.isprintable()
        assert len(words) < 300


class Air(Document, frozen=True, tag_field="by", tag="air"):
    flight: Id


class Sea(Document, frozen=True, tag_field="by", tag="sea"):
    ship: str


def test_one_of_several_forms_is_told_by_its_tag() -> None:
    assert document_of(Air | Sea, {"by": "sea", "ship": "Fram"}) == Sea("Fram")
    for said, words in (
        ({"by": "rail"}, "'air' or 'sea'"),
        ({"ship": "Fram"}, "'by' is missing"),
        ({"by": "air", "flight": "x"}, "32 lower-case hex digits"),
        ([], "an object"),
    ):
        with pytest.raises(DocumentError, match=words):
            document_of(Air | Sea, said)


def test_a_form_says_with_which_error_it_is_refused() -> None:
    class Answer(Document, frozen=True, forbid_unknown_fields=False):
        size: Count

        @classmethod
        def fault(cls, message: str, at: str = "") -> Unreachable:
            return Unreachable(f"{message} ({at})")

    assert Answer.of({"size": 3, "later": 4}).size == 3
    with pytest.raises(Unreachable, match=r"a whole number .* \(size\)"):
        Answer.of({"size": "3"})
