"""The listener's key: known by its hash, which a new certificate keeps and another key does not have."""

from __future__ import annotations

import datetime
import ssl

import pytest

from diadem.errors import DocumentError
from diadem.trust.keys import PrivateKey
from diadem.trust.tls_key import (
    RENEW_BEFORE,
    VALID,
    is_due,
    new_certificate,
    new_tls_key,
    pin_of_certificate,
    pin_of_key,
)

NOW = datetime.datetime(2026, 11, 27, tzinfo=datetime.UTC)


def der(pem: bytes) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pem.decode())


def test_a_renewed_certificate_keeps_the_pin_and_another_key_has_another() -> None:
    key, other = new_tls_key(), new_tls_key()
    certificate = new_certificate(key, name="hu-berlin", now=NOW)
    later = new_certificate(key, name="hu-berlin", now=NOW + VALID)
    assert certificate != later
    assert pin_of_key(key) == pin_of_certificate(der(certificate)) == pin_of_certificate(der(later))
    assert pin_of_key(other) != pin_of_key(key)


def test_a_certificate_is_due_before_it_ends_and_where_it_is_not_this_keys() -> None:
    key = new_tls_key()
    certificate = new_certificate(key, name="hu-berlin", now=NOW)
    assert not is_due(certificate, key, now=NOW)
    assert is_due(certificate, key, now=NOW + VALID - RENEW_BEFORE)
    assert is_due(certificate, new_tls_key(), now=NOW)
    assert is_due(b"nonsense", key, now=NOW)


@pytest.mark.parametrize("key", [b"", b"nonsense", PrivateKey.from_seed(bytes(32)).to_pem(None)])
def test_another_file_is_no_tls_key(key: bytes) -> None:
    with pytest.raises(DocumentError):
        pin_of_key(key)


def test_what_is_no_certificate_has_no_pin() -> None:
    with pytest.raises(DocumentError):
        pin_of_certificate(b"nonsense")
