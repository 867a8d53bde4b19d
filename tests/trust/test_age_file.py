"""age files of our own, held against another implementation, pyrage (Rust); and every byte of one is looked after."""

from __future__ import annotations

import os

import pyrage
import pytest

from diadem.trust import age_file
from diadem.trust.age_file import CHUNK, Damaged, SomebodyElses, WrongKey, decrypt, encrypt, key_of

# One whose key has a k, which has a twin outside ASCII.
IDENTITY = next(one for _ in range(1000) if "k" in str((one := pyrage.x25519.Identity.generate()).to_public()))
RECIPIENT, SECRET = str(IDENTITY.to_public()), str(IDENTITY)


@pytest.mark.parametrize("first", [0, 1, 200, CHUNK - 1, CHUNK, CHUNK + 1])
@pytest.mark.parametrize("rest", [0, 1, CHUNK - 200, CHUNK - 1, CHUNK, 2 * CHUNK, 2 * CHUNK + 1])
def test_both_open_what_either_sealed(first: int, rest: int) -> None:
    one, two = os.urandom(first), os.urandom(rest)
    assert pyrage.decrypt(bytes(encrypt(one, two, RECIPIENT)), [IDENTITY]) == one + two
    assert decrypt(encrypt(one, memoryview(two), RECIPIENT), [SECRET]) == one + two
    assert decrypt(pyrage.encrypt(one + two, [IDENTITY.to_public()]), [SECRET]) == one + two


def test_other_stanzas_and_other_keys_are_passed_over() -> None:
    others = [pyrage.x25519.Identity.generate() for _ in range(3)]
    sealed = pyrage.encrypt(b"here", [*(one.to_public() for one in others), IDENTITY.to_public()])
    assert decrypt(sealed, [str(others[0])]) == decrypt(sealed, [SECRET]) == b"here"
    assert decrypt(encrypt(b"", b"here", RECIPIENT), [str(others[0]), SECRET]) == b"here"
    with pytest.raises(SomebodyElses):
        decrypt(encrypt(b"", b"here", RECIPIENT), [str(one) for one in others])


def test_a_byte_that_is_changed_anywhere_and_every_cut_are_noticed() -> None:
    sealed = encrypt(b"header", os.urandom(300), RECIPIENT)
    for at in range(len(sealed)):
        for bit in (0x01, 0x20, 0x80):
            changed = bytearray(sealed)
            changed[at] ^= bit
            with pytest.raises((Damaged, SomebodyElses)):
                decrypt(changed, [SECRET])
    for stop in range(len(sealed)):
        with pytest.raises((Damaged, SomebodyElses)):
            decrypt(sealed[:stop], [SECRET])
    with pytest.raises(Damaged):
        decrypt(sealed + b"\0", [SECRET])


@pytest.mark.parametrize("count", [1, 2, 3])
def test_every_cut_and_every_rest_at_the_edge_of_a_chunk_is_noticed(count: int) -> None:
    for size in (count * CHUNK, (count - 1) * CHUNK + 20):
        sealed = encrypt(b"", os.urandom(size), RECIPIENT)
        body = len(sealed) - size - count * age_file.TAG
        for edge in {body + number * (CHUNK + age_file.TAG) for number in range(count + 1)} | {len(sealed)}:
            for stop in range(edge - 40, min(edge + 40, len(sealed))):
                with pytest.raises(Damaged):
                    decrypt(sealed[:stop], [SECRET])
        for more in range(1, 40):
            with pytest.raises(Damaged):
                decrypt(sealed + bytes(more), [SECRET])


@pytest.mark.parametrize(
    "stanza", [b"-> x\nAB\n", b"-> x\nA\n", b"-> x\n" + b"A" * 64 + b"\nA\n", b"-> scrypt a 1\n\n"]
)
def test_a_header_of_another_form_is_refused_though_its_sealer_signed_it(
    stanza: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As what age and pyrage refuse; only who knows the file key can make it."""
    monkeypatch.setattr(age_file, "_VERSION", (version := age_file._VERSION) + stanza)
    sealed = encrypt(b"", b"here", RECIPIENT)
    monkeypatch.setattr(age_file, "_VERSION", version)
    with pytest.raises(Damaged):
        decrypt(sealed, [SECRET])


def test_chunks_are_neither_left_out_nor_moved_nor_added() -> None:
    sealed = encrypt(b"", os.urandom(3 * CHUNK), RECIPIENT)
    body = len(sealed) - 3 * (CHUNK + age_file.TAG)
    chunks = [bytes(sealed[body + n * (CHUNK + 16) : body + (n + 1) * (CHUNK + 16)]) for n in range(3)]
    for order in ([0, 1], [0, 2], [1, 0, 2], [0, 1, 1], [0, 1, 2, 2], [0, 1, 1, 2]):
        with pytest.raises(Damaged):
            decrypt(bytes(sealed[:body]) + b"".join(chunks[number] for number in order), [SECRET])


def test_only_keys_of_age_are_keys() -> None:
    assert len(key_of(RECIPIENT, "age")) == len(key_of(SECRET, "age-secret-key-")) == 32
    assert key_of(SECRET.lower(), "age-secret-key-") == key_of(SECRET, "age-secret-key-")
    wrong = ["", "age1", RECIPIENT[:-1], RECIPIENT + "q", RECIPIENT.replace("age1", "agf1"), RECIPIENT.title(), SECRET]
    swapped = RECIPIENT[:-2] + ("qp" if RECIPIENT[-2:] != "qp" else "pq")
    for text in (
        *wrong,
        swapped,
        f"{RECIPIENT[:10]}ü{RECIPIENT[11:]}",
        RECIPIENT.upper().replace("K", "\u212a"),
        "age1" + "b" * 58,
    ):
        with pytest.raises(WrongKey):
            key_of(text, "age")
    with pytest.raises(WrongKey):
        encrypt(b"", b"", "age1" + "q" * 58)
