"""DSSE envelopes: as the specification and another implementation have them, in one form, and nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from securesystemslib import dsse, exceptions
from securesystemslib.signer._key import Key

from diadem.errors import DiademError, DocumentError, UsageError
from diadem.trust.envelope import (
    MAX_LINE_BYTES,
    MAX_PAYLOAD_BYTES,
    MAX_SIGNATURES,
    PAYLOAD_TYPE,
    Envelope,
    pre_authentication,
    sign,
)
from diadem.trust.keys import PrivateKey, PublicKey

PROPERTY = settings(max_examples=50, derandomize=True, deadline=None)

KEYS = [PrivateKey.from_seed(bytes([number]) * 32) for number in range(3)]
PUBLIC = [key.public for key in KEYS]
PAYLOADS = st.binary(max_size=300)


def test_the_encoding_is_that_of_the_specification() -> None:
    # dsse/protocol.md, "Test Vectors"
    expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert pre_authentication(b"hello world", "http://example.com/HelloWorld") == expected


@PROPERTY
@given(PAYLOADS, st.text(st.characters(codec="utf-8"), max_size=20))
def test_the_encoding_is_that_of_another_implementation(payload: bytes, payload_type: str) -> None:
    assert pre_authentication(payload, payload_type) == dsse.Envelope(payload, payload_type, {}).pae()


def _sslib_key(key: PublicKey) -> dict[str, Any]:
    return {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": key.raw.hex()}}


@PROPERTY
@given(PAYLOADS)
def test_what_we_sign_another_implementation_verifies(payload: bytes) -> None:
    envelope = sign(payload, KEYS)
    theirs = dsse.Envelope.from_dict(json.loads(envelope.to_line()))
    keys = [Key.from_dict(key.key_id, _sslib_key(key)) for key in PUBLIC]
    assert set(theirs.verify(keys, threshold=3)) == {key.key_id for key in PUBLIC}
    theirs.payload += b"x"
    with pytest.raises(exceptions.VerificationError):
        theirs.verify(keys, threshold=1)


@PROPERTY
@given(PAYLOADS, st.sets(st.sampled_from(KEYS), min_size=1))
def test_what_is_written_is_read(payload: bytes, keys: set[PrivateKey]) -> None:
    envelope = sign(payload, list(keys))
    line = envelope.to_line()
    assert b"\n" not in line
    assert Envelope.from_line(line) == envelope
    assert Envelope.from_line(line).to_line() == line
    assert envelope.signers(PUBLIC) == {key.public.key_id for key in keys}


def test_the_order_of_the_keys_changes_nothing() -> None:
    assert sign(b"x", KEYS) == sign(b"x", KEYS[::-1])
    assert sign(b"x", [KEYS[0], KEYS[0]]) == sign(b"x", [KEYS[0]])


def test_the_id_is_of_what_was_signed_whoever_signed_it() -> None:
    envelope = sign(b"{}", KEYS[:1])
    assert envelope.statement_id == hashlib.sha256(b"DSSEv1 28 application/vnd.in-toto+json 2 {}").hexdigest()
    assert envelope.statement_id == sign(b"{}", KEYS[1:]).statement_id
    assert envelope.statement_id != sign(b"{} ", KEYS[:1]).statement_id


@PROPERTY
@given(st.data())
def test_a_changed_line_is_refused_or_signed_by_nobody(data: st.DataObject) -> None:
    line = bytearray(sign(b'{"a":1}', KEYS).to_line())
    index = data.draw(st.integers(0, len(line) - 1))
    line[index] ^= data.draw(st.integers(1, 255))
    try:
        envelope = Envelope.from_line(bytes(line))
    except DocumentError:
        return
    assert len(envelope.signers(PUBLIC)) < 3


def test_signatures_of_other_keys_and_payloads_do_not_count() -> None:
    envelope = sign(b"x", KEYS[:2])
    swapped = Envelope(b"x", ((PUBLIC[0].key_id, dict(envelope.signatures)[PUBLIC[1].key_id]),))
    assert not swapped.signers(PUBLIC)
    assert envelope.signers(PUBLIC[2:]) == frozenset()
    assert envelope.signers([]) == frozenset()
    assert not Envelope(b"y", envelope.signatures).signers(PUBLIC)
    assert not Envelope(b"x", envelope.signatures, "text/plain").signers(PUBLIC)


GOOD: dict[str, Any] = json.loads(sign(b'{"a":1}', KEYS[:1]).to_line())
KEY_ID, SIGNATURE = GOOD["signatures"][0]["keyid"], GOOD["signatures"][0]["sig"]


def _line(**changes: Any) -> bytes:
    document = {**GOOD, **changes}
    kept = {key: value for key, value in document.items() if value is not None}
    return json.dumps(kept, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def test_the_line_from_which_the_bad_ones_are_made_is_good() -> None:
    assert Envelope.from_line(_line()).signers(PUBLIC) == {KEY_ID}


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("empty", b""),
        ("no object", b"[]"),
        ("a newline", _line() + b"\n"),
        ("spaces", json.dumps(GOOD, sort_keys=True).encode()),
        ("keys in another order", json.dumps(dict(reversed(GOOD.items())), separators=(",", ":")).encode()),
        ("escapes that are not needed", _line().replace(b"application", b"\\u0061pplication")),
        ("a member twice", b'{"payload":"",' + _line()[1:]),
        ("a member of another version", _line(more=1)),
        ("no payload", _line(payload=None)),
        ("payload of another type", _line(payload=1)),
        ("payload in base64 for addresses", _line(payload="_-8=")),
        ("bits left over", _line(payload="QR==")),
        ("no padding", _line(payload="QQ")),
        ("type of another type", _line(payloadType=["x"])),
        ("no signatures", _line(signatures=[])),
        ("signatures as object", _line(signatures={})),
        ("signature as text", _line(signatures=["x"])),
        ("signature without key", _line(signatures=[{"sig": SIGNATURE}])),
        ("key of another type", _line(signatures=[{"keyid": 1, "sig": SIGNATURE}])),
        ("key in upper case", _line(signatures=[{"keyid": KEY_ID.upper(), "sig": SIGNATURE}])),
        ("key too long", _line(signatures=[{"keyid": KEY_ID + "0", "sig": SIGNATURE}])),
        ("signature too short", _line(signatures=[{"keyid": KEY_ID, "sig": "QUFB"}])),
        ("a key twice", _line(signatures=GOOD["signatures"] * 2)),
        ("a certificate", _line(signatures=[{**GOOD["signatures"][0], "cert": ""}])),
        ("too many", _line(signatures=GOOD["signatures"] * (MAX_SIGNATURES + 1))),
        ("out of order", _line(signatures=json.loads(sign(b'{"a":1}', KEYS).to_line())["signatures"][::-1])),
        ("lone surrogate", _line().replace(b"application", b"\\ud800pplication")),
        ("no UTF-8", b'{"payload":"\xff"}'),
        ("not a number", b"NaN"),
        ("endless number", b"1" * 10_000),
        ("deep", b"[" * 200_000),
        ("deep and closed", b"[" * 500 + b"]" * 500),
        ("large", b'"' + b"a" * MAX_LINE_BYTES + b'"'),
    ],
)
def test_any_other_line_is_refused(name: str, line: bytes) -> None:
    with pytest.raises(DocumentError):
        Envelope.from_line(line)


@PROPERTY
@given(st.binary(max_size=200))
def test_garbage_is_refused(data: bytes) -> None:
    with pytest.raises(DocumentError):
        Envelope.from_line(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["payload", "keyid", "sig"]), inner),
    max_leaves=10,
)


@PROPERTY
@given(JSON, JSON, JSON)
def test_members_of_any_type_are_refused(payload: Any, payload_type: Any, signatures: Any) -> None:
    line = json.dumps(
        {"payload": payload, "payloadType": payload_type, "signatures": signatures}, separators=(",", ":")
    )
    with pytest.raises(DocumentError):
        Envelope.from_line(line.encode())


def test_the_largest_payload_is_written_and_read_and_no_larger_one() -> None:
    largest = bytes(MAX_PAYLOAD_BYTES)
    line = sign(largest, KEYS).to_line()
    assert len(line) <= MAX_LINE_BYTES
    assert Envelope.from_line(line).payload == largest
    with pytest.raises(DiademError, match="are read"):
        sign(largest + b"\0", KEYS)


def test_nothing_is_signed_without_a_key() -> None:
    with pytest.raises(UsageError, match="without a key"):
        sign(b"x", [])
    assert base64.b64decode(GOOD["payload"]) == b'{"a":1}'
    assert GOOD["payloadType"] == PAYLOAD_TYPE


def test_the_libraries_are_loaded_when_they_are_used() -> None:
    code = (
        "import sys, diadem.trust.keys, diadem.trust.envelope, diadem.trust.tree, diadem.trust.note, "
        "diadem.model.statements; sys.exit(any(m in sys.modules for m in ('cryptography', 'securesystemslib')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
