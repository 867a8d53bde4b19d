"""The one form of JSON that is signed: equal values are equal bytes, and no other bytes are read."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diadem.errors import DocumentError
from diadem.model.canonical import MAX_DEPTH, decode, encode

PROPERTY = settings(max_examples=50, derandomize=True, deadline=None)

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


def _same(left: Any, right: Any) -> bool:
    """Equal with types: 1, 1.0 and True are three values."""
    return repr(left) == repr(right) or (
        isinstance(left, dict)
        and isinstance(right, dict)
        and left.keys() == right.keys()
        and all(_same(left[key], right[key]) for key in left)
    )


@PROPERTY
@given(VALUES)
def test_a_value_is_read_as_it_was_written(value: Any) -> None:
    data = encode(value, where="x")
    assert b"\n" not in data
    assert decode(data, where="x", limit=len(data)) == value
    assert encode(decode(data, where="x", limit=1 << 20), where="x") == data


@PROPERTY
@given(st.dictionaries(TEXT, VALUES, max_size=5))
def test_the_order_of_the_keys_is_lost(value: dict[str, Any]) -> None:
    assert encode(value, where="x") == encode(dict(reversed(value.items())), where="x")
    assert list(decode(encode(value, where="x"), where="x", limit=1 << 20)) == sorted(value)


@PROPERTY
@given(VALUES, st.sampled_from([{"indent": 1}, {"separators": (", ", ":")}, {"ensure_ascii": True}]))
def test_another_form_of_the_same_value_is_refused(value: Any, form: dict[str, Any]) -> None:
    data = json.dumps(value, **{"sort_keys": True, "ensure_ascii": False, "separators": (",", ":"), **form}).encode()
    if data != encode(value, where="x"):
        with pytest.raises(DocumentError, match="canonical"):
            decode(data, where="x", limit=1 << 20)


@pytest.mark.parametrize(
    ("value", "data"),
    [
        ({"b": 1, "a": [True, None, 1.5]}, b'{"a":[true,null,1.5],"b":1}'),
        ("µ\u2028\n", '"µ\u2028\\n"'.encode()),
        (1.0, b"1.0"),
        (1e300, b"1e+300"),
        (-0.0, b"-0.0"),
        (2**70, b"1180591620717411303424"),
    ],
)
def test_the_form(value: Any, data: bytes) -> None:
    assert encode(value, where="x") == data
    assert _same(decode(data, where="x", limit=100), value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" 1",
        b"1\n",
        b"1e300",
        b"1E+300",
        b"0.10",
        b"-0",
        b"01",
        b"1.",
        b'"\\u00b5"',
        b'"\\/"',
        b'"\xff"',
        b"\xef\xbb\xbf1",
        b'{"a":1,"a":1}',
        b'{"b":1,"a":1}',
        b"NaN",
        b"Infinity",
        b"1e999",
        b'"\\ud800"',
        b"9" * 5_000,
        b"[" * 100_000,
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
        b'{"a":' * 2_000 + b"1" + b"}" * 2_000,
    ],
)
def test_other_bytes_are_refused(data: bytes) -> None:
    started = time.monotonic()
    with pytest.raises(DocumentError):
        decode(data, where="x", limit=1 << 20)
    assert time.monotonic() - started < 1


@PROPERTY
@given(st.binary(max_size=50))
def test_garbage_is_refused_or_writes_itself(data: bytes) -> None:
    try:
        value = decode(data, where="x", limit=100)
    except DocumentError:
        return
    assert encode(value, where="x") == data


def test_nothing_large_is_parsed() -> None:
    with pytest.raises(DocumentError, match="more than the 3"):
        decode(b"1234", where="x", limit=3)


def test_what_json_cannot_hold_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    deep: Any = 1
    for _ in range(MAX_DEPTH + 1):
        deep = (deep,)
    for value in (float("nan"), float("inf"), "\ud800", {1, 2}, b"x", loop, deep, {"a": object()}):
        with pytest.raises(DocumentError):
            encode(value, where="x")
