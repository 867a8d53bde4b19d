"""Signed requests: as RFC 9421 and another implementation have them, in one form, and nothing else."""

from __future__ import annotations

import base64
import datetime
from typing import Any

import pytest
from http_message_signatures import (
    HTTPMessageSigner,
    HTTPMessageVerifier,
    HTTPSignatureComponentResolver,
    HTTPSignatureKeyResolver,
    algorithms,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from diadem.errors import DocumentError
from diadem.trust.http_signature import (
    AHEAD,
    EMPTY_DIGEST,
    LIFETIME,
    MAX_HEADER,
    ClockWrong,
    SignedHead,
    body_digest,
    check_time,
    holds,
    read,
    sign,
    signature_base,
)
from diadem.trust.keys import PrivateKey

PROPERTY = settings(max_examples=60, derandomize=True, deadline=None)
KEY, OTHER = (PrivateKey.from_seed(bytes([number]) * 32) for number in (1, 2))
TO = "ab" * 32
NOW = 1_790_000_000
PATH, QUERY, BODY = "/diadem/v1/messages", "wait=30", b'{"a":1}'


def lower(headers: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def signed(**changes: Any) -> dict[str, str]:
    given = {"digest": body_digest(BODY), "to": TO, "key": KEY, "now": NOW, **changes}
    return lower(sign("POST", PATH, QUERY, **given))


def test_the_base_is_that_of_the_rfc() -> None:
    # RFC 9421 appendix B.1.4 (the key) and B.2.6
    seed = base64.urlsafe_b64decode("n4Ni-HpISpVObnQMW0wOhCKROaIKqKtW_2ZYb2p9KcU=")
    expected = "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="
    components = [
        ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
        ("@method", "POST"),
        ("@path", "/foo"),
        ("@authority", "example.com"),
        ("content-type", "application/json"),
        ("content-length", "18"),
    ]
    names = " ".join(f'"{name}"' for name, _ in components)
    base = signature_base(components, f'({names});created=1618884473;keyid="test-key-ed25519"')
    assert base64.b64encode(PrivateKey.from_seed(seed).sign(base)).decode() == expected


class Message:
    """A request as the other implementation wants it."""

    def __init__(self, method: str, url: str, headers: dict[str, str]) -> None:
        self.method, self.url, self.headers = method, url, headers


class Keys(HTTPSignatureKeyResolver):
    """One key."""

    def resolve_public_key(self, key_id: str) -> Any:
        assert key_id == KEY.public.key_id
        return KEY.public._native

    def resolve_private_key(self, key_id: str) -> Any:
        assert key_id == KEY.public.key_id
        return KEY._native


COVERED = ("@method", "@path", "@query", "content-digest", "diadem-to")
URL = f"https://peer.example:7373{PATH}?{QUERY}"


def test_another_implementation_accepts_what_we_sign() -> None:
    now = int(datetime.datetime.now(datetime.UTC).timestamp())
    message = Message("POST", URL, sign("POST", PATH, QUERY, digest=body_digest(BODY), to=TO, key=KEY, now=now))
    verifier = HTTPMessageVerifier(
        signature_algorithm=algorithms.ED25519,
        key_resolver=Keys(),
        component_resolver_class=HTTPSignatureComponentResolver,
    )
    (result,) = verifier.verify(message, max_age=datetime.timedelta(days=1), expect_tag="diadem-v1")
    assert [name.strip('"') for name in result.covered_components][: len(COVERED)] == list(COVERED)


def test_our_base_is_what_another_implementation_signs() -> None:
    ours = signed()
    message = Message("POST", URL, {"Content-Digest": ours["content-digest"], "Diadem-To": TO})
    signer = HTTPMessageSigner(
        signature_algorithm=algorithms.ED25519,
        key_resolver=Keys(),
        component_resolver_class=HTTPSignatureComponentResolver,
    )
    created = datetime.datetime.fromtimestamp(NOW, datetime.UTC)
    signer.sign(
        message,
        key_id=KEY.public.key_id,
        created=created,
        expires=created + datetime.timedelta(seconds=60),
        nonce="A" * 22,
        label="diadem",
        tag="diadem-v1",
        covered_component_ids=COVERED,
        use_existing_digest=True,
    )
    theirs = lower(message.headers)
    values = ("POST", PATH, f"?{QUERY}", ours["content-digest"], TO)
    params = theirs["signature-input"].removeprefix("diadem=")
    base = signature_base(list(zip(COVERED, values, strict=True)), params)
    assert KEY.public.verify(base64.b64decode(theirs["signature"].removeprefix("diadem=:")[:-1]), base)


def test_what_is_signed_holds_for_exactly_this_request() -> None:
    head = read(signed())
    check_time(head, now=NOW)
    assert holds(head, "POST", PATH, QUERY, key=KEY.public)
    assert (head.digest, head.to, head.key_id) == (body_digest(BODY), TO, KEY.public.key_id)
    assert not holds(head, "PUT", PATH, QUERY, key=KEY.public)
    assert not holds(head, "POST", PATH + "/x", QUERY, key=KEY.public)
    assert not holds(head, "POST", PATH, "wait=31", key=KEY.public)
    assert not holds(head, "POST", PATH, QUERY, key=OTHER.public)


TAMPER: dict[str, Any] = {
    "digest": EMPTY_DIGEST,
    "to": "cd" * 32,
    "params": read(signed(now=NOW + 1)).params,
    "signature": bytes(64),
    "key_id": OTHER.public.key_id,
}


@pytest.mark.parametrize("part", TAMPER)
def test_no_part_can_be_changed(part: str) -> None:
    head = read(signed())
    values = {name: getattr(head, name) for name in SignedHead.__slots__}
    assert values[part] != TAMPER[part]
    assert not holds(SignedHead(**values | {part: TAMPER[part]}), "POST", PATH, QUERY, key=KEY.public)


@PROPERTY
@given(st.data())
def test_a_changed_character_of_a_header_is_noticed(data: st.DataObject) -> None:
    headers = signed(nonce="n" * 22)
    name = data.draw(st.sampled_from(sorted(headers)))
    at = data.draw(st.integers(0, len(headers[name]) - 1))
    other = data.draw(st.characters(min_codepoint=32, max_codepoint=0x2FF).filter(lambda c: c != headers[name][at]))
    headers[name] = headers[name][:at] + other + headers[name][at + 1 :]
    try:
        head = read(headers)
    except DocumentError:
        return
    assert not holds(head, "POST", PATH, QUERY, key=KEY.public)


@PROPERTY
@given(st.text(st.characters(codec="utf-8"), max_size=40), st.text(st.characters(codec="utf-8"), max_size=40))
def test_a_path_or_query_of_any_kind_breaks_nothing(path: str, query: str) -> None:
    assert not holds(read(signed()), "POST", path, query, key=KEY.public)


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value.replace('"@method" "@path"', '"@path" "@method"'),
        lambda value: value.replace(' "diadem-to"', ""),
        lambda value: value.replace(";alg=", ";extra=1;alg="),
        lambda value: value.replace("diadem=", "sig1="),
        lambda value: value + ", " + value.replace("diadem=", "sig1="),
        lambda value: value.replace("created=", "created=0"),
        lambda value: value.replace("diadem-v1", "diadem-v2"),
        lambda value: value + "\n",
        lambda value: value + " " * MAX_HEADER,
        lambda value: value[:0],
    ],
)
def test_another_form_of_a_signature_is_not_read(change: Any) -> None:
    headers = signed()
    headers["signature-input"] = change(headers["signature-input"])
    with pytest.raises(DocumentError):
        read(headers)


def test_a_signature_holds_for_a_time() -> None:
    head = read(signed())
    for now in (NOW - AHEAD, NOW, NOW + LIFETIME):
        check_time(head, now=now)
    for now in (NOW - AHEAD - 1, NOW + LIFETIME + 1, NOW + 3 * 86_400):
        with pytest.raises(ClockWrong):
            check_time(head, now=now)


@pytest.mark.parametrize("expires", [NOW, NOW - 1, NOW + LIFETIME + 1, NOW + 10**9])
def test_no_signature_holds_for_longer(expires: int) -> None:
    headers = signed()
    stated = f"expires={NOW + LIFETIME};"
    headers["signature-input"] = headers["signature-input"].replace(stated, f"expires={expires};")
    with pytest.raises(DocumentError):
        check_time(read(headers), now=NOW)
