"""Sealed windows: opened by whom they are for, as what they are, whole and unchanged; and by other age tools."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diadem.errors import DocumentError, IntegrityError, Refused
from diadem.trust.sealing import (
    MAX_HEADER,
    OneTime,
    SealHeader,
    open_window,
    seal,
    seal_window,
    sealed_size,
    unseal,
)
from tests.trust.age_format import opened

DATA = Path(__file__).parent / "data" / "sealed"
VECTORS = json.loads((DATA / "vectors.json").read_text("utf-8"))
PROPERTY = settings(max_examples=30, derandomize=True, deadline=None)
PAIR, OTHER = OneTime.generate(), OneTime.generate()
HEADER = SealHeader("ab" * 16, "diadem:" + "cd" * 32, 2, 17, 5)
WINDOW = seal_window(HEADER, b"hello", PAIR.recipient)


def sealed_as(line: bytes, body: bytes = b"hello") -> bytes:
    """Something sealed that begins with any line."""
    return seal(line + body, PAIR.recipient)


@pytest.mark.parametrize("name", ["window.age", "window-pyrage.age"])
def test_known_windows_are_opened(name: str) -> None:
    header = SealHeader(**VECTORS[name]["header"])
    body = open_window((DATA / name).read_bytes(), [VECTORS["identity"]], header)
    assert hashlib.sha256(body).hexdigest() == VECTORS[name]["sha256"]
    assert opened((DATA / name).read_bytes(), VECTORS["identity"]) == header.to_line() + bytes(body)


def test_the_line_before_the_bytes_is_the_one_of_the_specification() -> None:
    assert HEADER.to_line() == (
        b'{"format":"diadem-seal/1","length":5,"package":"diadem:' + b"cd" * 32 + b'","part":2,"transfer":"'
        b"" + b"ab" * 16 + b'","window":17}\n'
    )
    assert SealHeader.from_line(HEADER.to_line()[:-1]) == HEADER


@PROPERTY
@given(data=st.binary(max_size=200_000), part=st.integers(0, 2), window=st.integers(0, (1 << 53) - 1))
def test_every_window_comes_back_and_another_reader_agrees(data: bytes, part: int, window: int) -> None:
    header = replace(HEADER, part=part, window=window, length=len(data))
    sealed = seal_window(header, data, PAIR.recipient)
    assert len(sealed) <= sealed_size(len(data))
    assert bytes(open_window(sealed, [OTHER.identity, PAIR.identity], header)) == data
    assert opened(bytes(sealed), PAIR.identity) == header.to_line() + data


@PROPERTY
@given(at=st.integers(0, len(WINDOW) - 1), bit=st.integers(0, 7), cut=st.booleans())
def test_nothing_that_was_changed_is_opened(at: int, bit: int, cut: bool) -> None:
    bad = WINDOW[:at] if cut else WINDOW[:at] + bytes([WINDOW[at] ^ 1 << bit]) + WINDOW[at + 1 :]
    with pytest.raises((IntegrityError, Refused)):
        open_window(bad, [PAIR.identity], HEADER)


def test_a_window_is_only_the_one_that_is_expected() -> None:
    others: list[dict[str, Any]] = [
        {"transfer": "ef" * 16},
        {"package": "diadem:" + "00" * 32},
        {"part": 1},
        {"window": 18},
        {"length": 6},
        {"length": 4},
    ]
    for other in others:
        with pytest.raises(IntegrityError, match=r"sealed as|were sealed|more than"):
            open_window(WINDOW, [PAIR.identity], replace(HEADER, **other))
    assert bytes(open_window(WINDOW, [PAIR.identity], replace(HEADER, length=9), shorter=True)) == b"hello"
    with pytest.raises(IntegrityError, match="not 4"):
        open_window(WINDOW, [PAIR.identity], replace(HEADER, length=4), shorter=True)


def test_a_window_for_somebody_else_is_not_opened() -> None:
    with pytest.raises(Refused, match="for somebody else"):
        open_window(WINDOW, [OTHER.identity], HEADER)
    assert PAIR.identity not in repr(PAIR), "a secret stands in no message"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"", "does not begin with a header"),
        (b"x" * (MAX_HEADER - 10), "does not begin with a header"),
        (b"{}\n", "of the form diadem-seal/1"),
        (HEADER.to_line().replace(b"seal/1", b"seal/2"), "of the form diadem-seal/1"),
        (HEADER.to_line().replace(b'"package"', b'"more":1,"package"'), "of the form diadem-seal/1"),
        (HEADER.to_line().replace(b'"part":2', b'"part":true'), "is not a count"),
        (HEADER.to_line().replace(b'"part":2', b'"part":2.0'), "is not a count"),
        (HEADER.to_line().replace(b'"part":2', b'"part":-2'), "is not a count"),
        (HEADER.to_line().replace(b"abab", b"ABAB"), "names no transfer"),
        (HEADER.to_line().replace(b"diadem:cd", b"diadem:CD"), "names no package"),
        (HEADER.to_line().replace(b":5", b": 5"), "canonical"),
        (HEADER.to_line().replace(b'"length":5', b'"length":4'), "5, not 4|sealed as 4"),
    ],
)
def test_a_header_has_one_form(line: bytes, why: str) -> None:
    with pytest.raises(IntegrityError, match=why):
        open_window(sealed_as(line), [PAIR.identity], HEADER)


def test_no_more_is_opened_than_a_window_has() -> None:
    much = seal(HEADER.to_line() + bytes(1 << 20), PAIR.recipient)
    with pytest.raises(IntegrityError, match="more than what was sealed can have"):
        open_window(much, [PAIR.identity], HEADER)
    with pytest.raises(IntegrityError, match="bytes follow a header"):
        open_window(sealed_as(HEADER.to_line(), b"hello, and more"), [PAIR.identity], HEADER)
    with pytest.raises(IntegrityError, match="more than 10 bytes were sealed"):
        unseal(seal(bytes(11), PAIR.recipient), [PAIR.identity], limit=10)
    with pytest.raises(IntegrityError, match="not 5"):
        seal_window(HEADER, b"more", PAIR.recipient)
    with pytest.raises(DocumentError, match="not an age recipient"):
        seal(b"", "age1nobody")


@pytest.mark.skipif(shutil.which("age") is None, reason="the age command is not installed")
def test_the_age_command_opens_a_window_and_seals_one(tmp_path: Path) -> None:
    key, sealed = tmp_path / "key", tmp_path / "window.age"
    key.write_text(PAIR.identity + "\n", "ascii")
    sealed.write_bytes(WINDOW)
    done = subprocess.run(["age", "-d", "-i", str(key), str(sealed)], check=True, capture_output=True)
    assert done.stdout == HEADER.to_line() + b"hello"
    made = subprocess.run(["age", "-r", PAIR.recipient], input=done.stdout, check=True, capture_output=True).stdout
    assert bytes(open_window(made, [PAIR.identity], HEADER)) == b"hello"
