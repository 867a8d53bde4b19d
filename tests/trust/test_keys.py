"""Ed25519 keys against the published vectors, and everything that is not quite a key or a signature."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diadem.errors import DocumentError
from diadem.trust.keys import PRIME, PrivateKey, PublicKey

PROPERTY = settings(max_examples=50, derandomize=True, deadline=None)

#: RFC 8032 section 7.1, tests 1 to 3: seed, public key, message, signature.
RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]
#: Cases of ed25519-speccheck (Chalkias, Garillot, Nikolaenko, "Taming the many EdDSAs", eprint 2020/1244):
#: message, public key, signature, whether a strict verifier may accept it.
SPECCHECK = [
    # a key of small order, R of small order, S = 0: holds for many messages
    (
        "8c93255d71dcab10e8f379c26200f3c7bd5f09d9bc3068d3ef4edeb4853022b6",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a0000000000000000000000000000000000000000000000000000000000000000",
        "weak key",
    ),
    # a key of small order, R mixed
    (
        "9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04",
        "weak key",
    ),
    # S is larger than the order of the group: a second signature made from a first
    (
        "85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40",
        "442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623",
        "e96f66be976d82e60150baecff9906684aebb1ef181f67a7189ac78ea23b6c0e547f7690a0e2ddcd04d87dbc3490dc19b3b3052f7ff0538cb68afb369ba3a514",
        "no",
    ),
    (
        "85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40",
        "442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623",
        "8ce5b96c8f26d0ab6c47958c9e68b937104cd36e13c33566acd2fe8d38aa19427e71f98a473474f2f13f06f97c20d58cc3f54b8bd0d272f42b695dd7e89a8c22",
        "no",
    ),
    # holds only where the cofactor is multiplied away: RFC 8032 leaves it open, OpenSSL refuses
    (
        "e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c",
        "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
        "160a1cb0dc9c0258cd0a7d23e94d8fa878bcb1925f2c64246b2dee1796bed5125ec6bc982a269b723e0668e540911a9a6a58921d6925e434ab10aa7940551a09",
        "no",
    ),
    # R is written with y >= p
    (
        "fdaebc429f4a735932a160da1301080c13280eea8bc280d1b392c6b9e6ba3a5a",
        "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f454d370c8d9fc323a41450f8d513eafeb5b0697390c1e505a0d4ddc71f566607",
        "no",
    ),
]
SEEDS = st.binary(min_size=32, max_size=32)


@pytest.mark.parametrize(("seed", "public", "message", "signature"), RFC_8032)
def test_signatures_are_those_of_the_rfc(seed: str, public: str, message: str, signature: str) -> None:
    key = PrivateKey.from_seed(bytes.fromhex(seed))
    assert key.public.raw.hex() == public
    assert key.public.key_id == hashlib.sha256(bytes.fromhex(public)).hexdigest()
    assert key.sign(bytes.fromhex(message)).hex() == signature
    assert key.public.verify(bytes.fromhex(signature), bytes.fromhex(message))
    assert not key.public.verify(bytes.fromhex(signature), bytes.fromhex(message) + b"\0")


@pytest.mark.parametrize(("message", "public", "signature", "verdict"), SPECCHECK)
def test_dubious_keys_and_signatures_are_refused(message: str, public: str, signature: str, verdict: str) -> None:
    if verdict == "weak key":
        with pytest.raises(DocumentError, match="proves nothing"):
            PublicKey(bytes.fromhex(public))
    else:
        assert not PublicKey(bytes.fromhex(public)).verify(bytes.fromhex(signature), bytes.fromhex(message))


def _add(p: tuple[int, int], q: tuple[int, int]) -> tuple[int, int]:
    """Sum of two points of the curve -x² + y² = 1 + d x² y² (RFC 8032 section 5.1)."""
    d = -121665 * pow(121666, -1, PRIME) % PRIME
    (x1, y1), (x2, y2) = p, q
    k = d * x1 * x2 * y1 * y2 % PRIME
    x = (x1 * y2 + x2 * y1) * pow(1 + k, -1, PRIME) % PRIME
    y = (y1 * y2 + x1 * x2) * pow(1 - k, -1, PRIME) % PRIME
    return x, y


def _eight_torsion() -> set[tuple[int, int]]:
    """All points whose order divides 8, from one of order 8: the multiples of it."""
    y = int.from_bytes(bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "little")
    d = -121665 * pow(121666, -1, PRIME) % PRIME
    square = (y * y - 1) * pow(d * y * y + 1, -1, PRIME) % PRIME
    x = pow(square, (PRIME + 3) // 8, PRIME)
    if x * x % PRIME != square:
        x = x * pow(2, (PRIME - 1) // 4, PRIME) % PRIME
    assert x * x % PRIME == square
    points, point = set(), (0, 1)
    for _ in range(8):
        point = _add(point, (x, y))
        points.add(point)
    assert point == (0, 1)
    return points


def test_every_point_of_small_order_is_refused_in_every_spelling() -> None:
    points = _eight_torsion()
    assert len(points) == 8
    for x, y in points:
        for spelling in [y, y + PRIME] if y + PRIME < 1 << 255 else [y]:
            for sign in (x & 1, 1 - (x & 1)):
                with pytest.raises(DocumentError):
                    PublicKey((spelling | sign << 255).to_bytes(32, "little"))


def test_a_number_with_a_second_spelling_is_refused() -> None:
    with pytest.raises(DocumentError):
        PublicKey((PRIME + 3).to_bytes(32, "little"))


@PROPERTY
@given(SEEDS, st.binary(max_size=200))
def test_a_signature_holds_for_its_bytes_and_key_alone(seed: bytes, data: bytes) -> None:
    key = PrivateKey.from_seed(seed)
    other = PrivateKey.from_seed(hashlib.sha256(seed).digest())
    signature = key.sign(data)
    assert key.public.verify(signature, data)
    assert not key.public.verify(signature, data + b"x")
    assert not other.public.verify(signature, data)
    assert PublicKey.from_text(key.public.to_text()) == key.public


@PROPERTY
@given(st.binary(max_size=100), st.binary(max_size=40))
def test_verification_never_raises(signature: bytes, data: bytes) -> None:
    assert not PrivateKey.from_seed(bytes(32)).public.verify(signature, data)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_lengths_are_checked(size: int) -> None:
    with pytest.raises(DocumentError, match="32 bytes"):
        PublicKey(b"\x07" * size)
    with pytest.raises(DocumentError, match="32 bytes"):
        PrivateKey.from_seed(b"\x07" * size)


TEXT = PrivateKey.from_seed(bytes(32)).public.to_text()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ed25519:",
        TEXT.removeprefix("ed25519:"),
        "rsa:" + TEXT.removeprefix("ed25519:"),
        TEXT + "\n",
        " " + TEXT,
        TEXT[:-1],
        TEXT.replace("=", "", 1),
        TEXT[:-2] + chr(ord(TEXT[-2]) + 1) + "=",  # the same bytes by a lenient decoder: bits are left over
        "ed25519:" + "é" * 44,
        "ed25519:" + "A" * 100_000,
    ],
)
def test_only_the_one_text_of_a_key_is_read(text: str) -> None:
    with pytest.raises(DocumentError):
        PublicKey.from_text(text)


def test_a_private_key_does_not_show_itself() -> None:
    key = PrivateKey.generate()
    assert key.seed.hex() not in repr(key)
    assert repr(key.seed) not in repr(key)
    assert PrivateKey.generate().public != key.public
