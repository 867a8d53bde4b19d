"""Signed notes and checkpoints: the vectors of Go's checksum database, and texts that are almost notes."""

from __future__ import annotations

import base64
import hashlib
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diadem.errors import DocumentError, IntegrityError, UsageError
from diadem.trust.keys import PrivateKey, PublicKey
from diadem.trust.note import (
    MAX_SIGNATURES,
    Checkpoint,
    open_checkpoint,
    open_note,
    parse_vkey,
    sign_checkpoint,
    sign_note,
    vkey,
)

PROPERTY = settings(max_examples=50, derandomize=True, deadline=None)

#: golang.org/x/mod/sumdb/note, note_test.go: verifier key, signer key, text and signature lines.
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_SECRET = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
ENOCH = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
PETER_LINE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
ENOCH_LINE = (
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"
)
#: A checkpoint of the Go checksum database and its key (github.com/transparency-dev/formats, log/checkpoint_test.go).
SUMDB_KEY = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
SUMDB = """go.sum database tree
6476701
mb8QLQIs0Z0yP5Cstq6guj87oXWeC9gEM8oVikmm9Wk=

— sum.golang.org Az3grsLX85Gz+s1SiTbgkuqxgItqFq7gsMUEyVnrsa9LM7Us9S+1xbFIGu95949rj4nPRYfvimWEPWL+o3GeoWwOoAw=
"""
KEY = PrivateKey.from_seed(bytes(range(32)))
ORIGIN = "diadem-em.org/log/0011223344556677"
LINE = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=30)
NAME = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp"]), min_size=1).filter(
    lambda text: "+" not in text and not any(character.isspace() for character in text)
)
CHECKPOINTS = st.builds(
    Checkpoint, LINE, st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32), st.lists(LINE).map(tuple)
)


def test_the_note_of_go_is_opened_and_written() -> None:
    name, key = parse_vkey(PETER)
    assert (name, vkey(name, key)) == ("PeterNeumann", PETER)
    assert open_note(f"{TEXT}\n{PETER_LINE}", name, key) == TEXT
    secret = PrivateKey.from_seed(base64.b64decode(PETER_SECRET)[1:])
    assert sign_note(TEXT, name, secret) == f"{TEXT}\n{PETER_LINE}"


def test_signatures_of_others_are_passed_over() -> None:
    note = f"{TEXT}\n{PETER_LINE}{ENOCH_LINE}"
    for text in (PETER, ENOCH):
        assert open_note(note, *parse_vkey(text)) == TEXT
    with pytest.raises(IntegrityError, match="not signed by the key"):
        open_note(note, "PeterNeumann", KEY.public)
    with pytest.raises(IntegrityError, match="not signed by the key"):
        open_note(note, "PeterNeuman", parse_vkey(PETER)[1])


def test_the_checkpoint_of_the_checksum_database_is_opened() -> None:
    name, key = parse_vkey(SUMDB_KEY)
    checkpoint = open_checkpoint(SUMDB, key, "go.sum database tree", name)
    assert checkpoint.size == 6_476_701
    assert checkpoint.root == base64.b64decode("mb8QLQIs0Z0yP5Cstq6guj87oXWeC9gEM8oVikmm9Wk=")
    with pytest.raises(IntegrityError, match="another log"):
        open_checkpoint(SUMDB, key, "go.sum database", name)
    with pytest.raises(IntegrityError, match="is not valid"):
        open_checkpoint(SUMDB.replace("6476701", "6476702"), key, "go.sum database tree", name)


@pytest.mark.parametrize(
    "note",
    [
        TEXT,
        TEXT + "\n",
        f"{TEXT}\n{PETER_LINE[:-1]}",
        f"\x01{TEXT}\n{PETER_LINE}",
        f"\ud800{TEXT}\n{PETER_LINE}",
        f"{TEXT}\n{PETER_LINE.replace('PeterNeumann', 'Bad Name')}",
        f"{TEXT}\n{PETER_LINE.replace('PeterNeumann', 'Bad+Name')}",
        f"{TEXT}\n{PETER_LINE.replace('PeterNeumann', '')}",
        f"{TEXT}\n{PETER_LINE}Unexpected line.\n",
        f"{TEXT}\n{PETER_LINE}\n",
        f"{TEXT}\n{PETER_LINE.replace('—', '-')}",
        f"{TEXT}\n{PETER_LINE}— x QUFB\n",
        f"{TEXT}\n{PETER_LINE}— x ****\n",
        f"{TEXT}\n{PETER_LINE * (MAX_SIGNATURES + 1)}",
        f"{TEXT}\r\n{PETER_LINE}",
        f"{TEXT}{'x' * 1_000_000}\n\n{PETER_LINE}",
        "",
        "\n\n",
    ],
)
def test_what_is_almost_a_note_is_refused(note: str) -> None:
    with pytest.raises(IntegrityError, match="not a signed note"):
        open_note(note, *parse_vkey(PETER))


def test_a_signature_that_does_not_hold_spoils_the_note() -> None:
    name, key = parse_vkey(PETER)
    bad = f"{PETER_LINE[:60]}ABCD{PETER_LINE[60:]}"  # as in note_test.go
    for lines in (bad, PETER_LINE + bad, bad + PETER_LINE):
        with pytest.raises(IntegrityError, match="is not valid"):
            open_note(f"{TEXT}\n{lines}", name, key)
    assert open_note(f"{TEXT}\n{PETER_LINE * MAX_SIGNATURES}", name, key) == TEXT


def test_a_verifier_key_has_no_second_spelling() -> None:
    for start in range(len(PETER)):
        for stop in range(start + 1, len(PETER) + 1):
            if (start, stop) != (0, len(PETER)):
                with pytest.raises(DocumentError):
                    parse_vkey(PETER[start:stop])
    for at, character in enumerate(PETER):
        with pytest.raises(DocumentError):
            parse_vkey(PETER[:at] + chr(ord(character) + 1) + PETER[at + 1 :])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "++",
        "a b" + PETER,
        PETER + "\n",
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",  # both from note_test.go
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "x+00000000+" + base64.b64encode(b"\1" + bytes(32)).decode(),
        "\ud800+00000000+AQ==",
    ],
)
def test_other_verifier_keys_are_refused(text: str) -> None:
    with pytest.raises(DocumentError):
        parse_vkey(text)


@PROPERTY
@given(CHECKPOINTS)
def test_a_checkpoint_is_read_as_it_was_written(checkpoint: Checkpoint) -> None:
    text = checkpoint.to_text()
    assert Checkpoint.from_text(text) == checkpoint
    assert open_checkpoint(sign_checkpoint(checkpoint, KEY, "a"), KEY.public, checkpoint.origin, "a") == checkpoint


@PROPERTY
@given(NAME, st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=50))
def test_a_note_is_read_as_it_was_written(name: str, text: str) -> None:
    note = sign_note(text + "\n\n" + text + "\n", name, KEY)
    assert open_note(note, name, KEY.public) == text + "\n\n" + text + "\n"
    assert parse_vkey(vkey(name, KEY.public)) == (name, KEY.public)


@PROPERTY
@given(st.data())
def test_a_changed_checkpoint_is_refused(data: st.DataObject) -> None:
    text = sign_checkpoint(Checkpoint(ORIGIN, 7, hashlib.sha256(b"x").digest()), KEY)
    at = data.draw(st.integers(0, len(text) - 1))
    changed = text[:at] + data.draw(st.characters()) + text[at + 1 :]
    if changed != text:
        with pytest.raises(IntegrityError):
            open_checkpoint(changed, KEY.public, ORIGIN)


@PROPERTY
@given(st.text(max_size=100))
def test_garbage_is_refused(text: str) -> None:
    with pytest.raises(IntegrityError):
        open_checkpoint(text, KEY.public, ORIGIN)
    with pytest.raises(DocumentError):
        Checkpoint.from_text(text)


ROOT = base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    "text",
    [
        f"{ORIGIN}\n07\n{ROOT}\n",
        f"{ORIGIN}\n-7\n{ROOT}\n",
        f"{ORIGIN}\n٧\n{ROOT}\n",
        f"{ORIGIN}\n 7\n{ROOT}\n",
        f"{ORIGIN}\n{2**63}\n{ROOT}\n",
        f"{ORIGIN}\n{'9' * 100_000}\n{ROOT}\n",
        f"{ORIGIN}\n7\n{ROOT[:-4]}\n",
        f"{ORIGIN}\n7\n{ROOT}",
        f"{ORIGIN}\n7\n",
        f"\n7\n{ROOT}\n",
        f"{ORIGIN}\n7\n{ROOT}\n\n",
        f"{ORIGIN}\n7\n{ROOT}\nx\n\ny\n",
    ],
)
def test_what_is_signed_and_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(DocumentError):
        Checkpoint.from_text(text)
    if text.endswith("\n"):
        with pytest.raises(IntegrityError, match="not a checkpoint"):
            open_checkpoint(sign_note(text, ORIGIN, KEY), KEY.public, ORIGIN)


@pytest.mark.parametrize(
    ("origin", "size", "root"),
    [
        ("", 0, bytes(32)),
        ("a\nb", 0, bytes(32)),
        ("a\x07", 0, bytes(32)),
        ("a\ud800", 0, bytes(32)),
        ("a", -1, bytes(32)),
        ("a", 2**63, bytes(32)),
        ("a", 0, b""),
    ],
)
def test_what_could_not_be_read_back_is_no_checkpoint(origin: str, size: int, root: bytes) -> None:
    with pytest.raises(UsageError):
        Checkpoint(origin, size, root)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u00a0b", "a\nb", "a\x07", "\ud800"])
def test_some_names_cannot_sign(name: str) -> None:
    with pytest.raises(UsageError):
        sign_note(TEXT, name, KEY)
    with pytest.raises(UsageError):
        vkey(name, KEY.public)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "\ud800"])
def test_names_that_cannot_sign_have_signed_nothing(name: str) -> None:
    with pytest.raises(IntegrityError, match="not signed by the key"):
        open_note(sign_note(TEXT, "a", KEY), name, KEY.public)
    with pytest.raises(IntegrityError):
        open_checkpoint(SUMDB, KEY.public, name)


@pytest.mark.parametrize("text", ["", "abc", "a\tb\n", "\ud800\n"])
def test_some_texts_cannot_be_signed(text: str) -> None:
    with pytest.raises(UsageError):
        sign_note(text, "a", KEY)


def test_an_origin_with_spaces_needs_another_name() -> None:
    checkpoint = Checkpoint("go.sum database tree", 0, bytes(32))
    with pytest.raises(UsageError):
        sign_checkpoint(checkpoint, KEY)
    assert open_checkpoint(sign_checkpoint(checkpoint, KEY, "a"), KEY.public, checkpoint.origin, "a") == checkpoint


def test_a_key_whose_hash_is_the_same_does_not_sign_for_ours() -> None:
    other = PublicKey(hashlib.sha256(b"no such point, perhaps").digest())
    note = sign_note(TEXT, "a", KEY)
    forged = note.replace(note.split()[-1], base64.b64encode(_hash("a", other) + KEY.sign(TEXT.encode())).decode())
    with pytest.raises(IntegrityError, match="is not valid"):
        open_note(forged, "a", other)


def _hash(name: str, key: PublicKey) -> bytes:
    return bytes.fromhex(vkey(name, key).split("+")[1])


def test_a_large_note_ends_soon() -> None:
    started = time.monotonic()
    with pytest.raises(IntegrityError):
        open_note("\n" * 5_000_000, "a", KEY.public)
    with pytest.raises(IntegrityError):
        open_note("a\n\n" + "— a AAAA\n" * 90_000, "a", KEY.public)
    assert time.monotonic() - started < 2
