"""Strict JSON: everything that two parsers could read differently is refused, and nothing exhausts us."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diadem.errors import DocumentError
from diadem.serialization.strict_json import MAX_DEPTH, canonical, compact, parse, parse_object

TEXT = st.text(st.characters(codec="utf-8"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(JSON)
def test_what_is_written_reads_back(value: Any) -> None:
    for text in (compact(value, where="x"), canonical(value)):
        assert b"\n" not in text
        assert parse(text, where="x") == value


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_parse_or_are_refused(data: bytes) -> None:
    try:
        value = parse(data, where="x")
    except DocumentError:
        return
    assert json.loads(data) == value


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{", b"nul", b"{} {}", b"\xff\xfe{\x00}\x00", b"\xef\xbb\xbf{}", b'"\xff"', b"NaN", b"-Infinity",
        b"[1e999]", b'{"a":1,"a":2}', b'{"a":{"b":1,"b":1}}', b'"\\ud800"', b'{"\\udfff":1}', b"[" * 100_000,
        b'{"a":' * 100_000, b"[" * 70 + b"]" * 70, b"[" + b"9" * 100_000 + b"]", b"'a'", b"[1,]", b'"a\nb"',
    ],
)  # fmt: skip
def test_hostile_texts_are_refused(text: bytes) -> None:
    with pytest.raises(DocumentError):
        parse(text, where="evil.json")


def test_depth_is_allowed_up_to_the_limit_and_not_beyond() -> None:
    assert parse(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, where="x")
    with pytest.raises(DocumentError, match="deep"):
        parse(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), where="x")


def test_surrogate_pairs_are_fine_and_only_an_object_is_an_object() -> None:
    assert parse(b'"\\ud83d\\ude00"', where="x") == "😀"
    with pytest.raises(DocumentError, match="object"):
        parse_object(b"[]", where="x")


def test_what_json_cannot_hold_is_not_written() -> None:
    loop: list[Any] = []
    loop.append(loop)
    for value in (float("nan"), float("inf"), {1, 2}, b"x", "\ud800", loop, object()):
        with pytest.raises(DocumentError):
            compact([value], where="x")


def test_canonical_tells_numbers_apart_and_not_the_order_of_keys() -> None:
    assert canonical({"b": 1, "a": 2}) == canonical({"a": 2, "b": 1})
    assert len({canonical(value) for value in (1, 1.0, True, "1")}) == 4
