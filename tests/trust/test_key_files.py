"""Key files: readable by OpenSSL, closed by a passphrase, and never another key than was written."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diadem.errors import DiademError, DocumentError, IntegrityError, Refused, UsageError
from diadem.trust.keys import PrivateKey

PROPERTY = settings(max_examples=50, derandomize=True, deadline=None)

KEY = PrivateKey.from_seed(bytes(range(32)))
PASSPHRASE = "Schlüssel für den Schrank"
#: RFC 8410 section 10.3, the first private key, and section 10.1, its public key.
RFC_8410 = b"""-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
"""
RFC_8410_PUBLIC = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1"


@pytest.fixture(scope="module")
def closed() -> bytes:
    return KEY.to_pem(PASSPHRASE)


def test_the_key_of_the_rfc_is_read() -> None:
    assert PrivateKey.from_pem(RFC_8410, None).public.raw.hex() == RFC_8410_PUBLIC
    assert PrivateKey.from_pem(RFC_8410.replace(b"\n", b"\r\n"), None).public.raw.hex() == RFC_8410_PUBLIC


def test_what_is_written_is_read(closed: bytes) -> None:
    assert PrivateKey.from_pem(KEY.to_pem(None), None).seed == KEY.seed
    assert PrivateKey.from_pem(KEY.to_pem(None), "not needed").seed == KEY.seed
    assert PrivateKey.from_pem(closed, PASSPHRASE).seed == KEY.seed


def test_an_umlaut_typed_on_another_system_is_the_same(closed: bytes) -> None:
    assert PrivateKey.from_pem(closed, PASSPHRASE.replace("ü", "u\u0308")).seed == KEY.seed


def test_a_wrong_or_missing_passphrase_is_refused(closed: bytes) -> None:
    with pytest.raises(Refused, match="does not open"):
        PrivateKey.from_pem(closed, "Schlussel")
    with pytest.raises(Refused, match="protected by a passphrase"):
        PrivateKey.from_pem(closed, None)
    with pytest.raises(UsageError, match="protects nothing"):
        KEY.to_pem("")


def test_a_closed_file_shows_the_public_key_and_not_the_secret(closed: bytes) -> None:
    assert KEY.public.to_text().encode() in closed
    assert base64.b64encode(KEY.seed)[:20] not in closed
    assert closed != KEY.to_pem(PASSPHRASE)  # salt and start are random


@pytest.mark.skipif(os.name == "nt" or shutil.which("openssl") is None, reason="no OpenSSL program here")
def test_openssl_reads_and_writes_the_same_keys(tmp_path: Path, closed: bytes) -> None:
    ours, theirs = tmp_path / "ours.pem", tmp_path / "theirs.pem"
    ours.write_bytes(closed)
    secret = f"pass:{PASSPHRASE}"
    read = subprocess.run(
        ["openssl", "pkey", "-in", ours, "-passin", secret, "-pubout", "-outform", "DER"],
        capture_output=True,
        check=True,
    )
    assert read.stdout[-32:] == KEY.public.raw
    for form in (["-scrypt"], ["-v2", "aes-256-cbc", "-iter", "10000"]):
        command = ["openssl", "pkcs8", "-topk8", *form, "-in", str(ours), "-passin", secret, "-passout", secret]
        subprocess.run([*command, "-out", str(theirs)], capture_output=True, check=True)
        assert PrivateKey.from_pem(theirs.read_bytes(), PASSPHRASE).seed == KEY.seed


def test_a_changed_file_is_never_another_key() -> None:
    data = bytearray(KEY.to_pem(None))
    opened = 0
    for index in range(len(data)):
        for bit in (1, 4, 32):
            changed = bytearray(data)
            changed[index] ^= bit
            try:
                assert PrivateKey.from_pem(bytes(changed), None).seed == KEY.seed
                opened += 1
            except DiademError:
                pass
    assert opened < 200  # the words of the first line, and white space, may change


def test_a_file_of_another_key_is_noticed() -> None:
    other = PrivateKey.from_seed(bytes(32))
    mixed = KEY.to_pem(None).split(b"\n", 1)[0] + b"\n" + other.to_pem(None).split(b"\n", 1)[1]
    with pytest.raises(IntegrityError, match="another key"):
        PrivateKey.from_pem(mixed, None)


@PROPERTY
@given(st.binary(max_size=300))
def test_garbage_is_no_key(data: bytes) -> None:
    pem = b"-----BEGIN %bPRIVATE KEY-----\n%b\n-----END PRIVATE KEY-----\n"
    for text in (data, pem % (b"", base64.b64encode(data)), pem % (b"ENCRYPTED ", base64.b64encode(data))):
        with pytest.raises(DocumentError):
            PrivateKey.from_pem(text, "passphrase")


def _der_of(pem: bytes) -> bytes:
    lines = pem.decode().splitlines()
    return base64.b64decode("".join(line for line in lines if "-" not in line and ":" not in line))


def _pem_of(der: bytes) -> bytes:
    return b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n%b\n-----END ENCRYPTED PRIVATE KEY-----\n" % base64.b64encode(der)


def test_a_file_cannot_ask_for_hours_of_hashing(closed: bytes) -> None:
    der = _der_of(closed)
    numbers = bytes.fromhex("02024000020108020105")
    assert der.count(numbers) == 1
    for greedy in ("02024000020108020111", "02024000020109020105", "02080000000000000000"):
        hostile = der.replace(numbers, bytes.fromhex(greedy))
        started = time.monotonic()
        with pytest.raises((DocumentError, Refused)):
            PrivateKey.from_pem(_pem_of(hostile), PASSPHRASE)
        assert time.monotonic() - started < 5


def test_rounds_of_another_program_are_bounded() -> None:
    oid = bytes.fromhex("06092a864886f70d01050c")
    salt = bytes.fromhex("0408") + bytes(8)
    for rounds in ("02047fffffff", "0208" + "7f" * 8):
        body = salt + bytes.fromhex(rounds)
        with pytest.raises(DocumentError, match="hashed"):
            PrivateKey.from_pem(_pem_of(b"\x30\x40" + oid + bytes([0x30, len(body)]) + body), "x")


def test_large_and_endless_files_are_not_parsed() -> None:
    head = b"-----BEGIN PRIVATE KEY-----\n"
    for data in (b"A" * 20_000, head + b" " * 16_000, head * 500, RFC_8410 * 2, b""):
        started = time.monotonic()
        with pytest.raises(DocumentError, match="one private key"):
            PrivateKey.from_pem(data, None)
        assert time.monotonic() - started < 1


def test_a_key_of_another_kind_is_named() -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    pem = X25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(DocumentError, match="another kind"):
        PrivateKey.from_pem(pem, None)
