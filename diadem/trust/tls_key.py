"""The key and the self-signed certificate of a listener: others know it by the SHA-256 of its public key.

No authority vouches for it. A peer compares the hash with the one in the ticket or the endpoint note, right after the
handshake and before it sends a byte; names and dates in the certificate mean nothing to it. The key is ECDSA P-256,
which every TLS 1.3 implementation must know (RFC 8446 section 9.1).
"""

from __future__ import annotations

import datetime
import hashlib
from typing import TYPE_CHECKING, Final

from diadem.errors import DocumentError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

#: How long a certificate is valid, and when a new one is made for the same key.
VALID: Final = datetime.timedelta(days=825)
RENEW_BEFORE: Final = datetime.timedelta(days=90)
_SERVER_AUTH: Final = "1.3.6.1.5.5.7.3.1"


def new_tls_key() -> bytes:
    """A new private key as PKCS #8 in PEM."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def new_certificate(key: bytes, *, name: str, now: datetime.datetime) -> bytes:
    """A self-signed certificate of a key, as PEM.

    Parameters
    ----------
    key : bytes
        What `new_tls_key` made.
    name : str
        The node's name, for people who look.
    now : datetime
        Valid from a day before.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509.oid import NameOID

    private = _loaded(key)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([x509.ObjectIdentifier(_SERVER_AUTH)]), critical=False)
        .sign(private, hashes.SHA256())
    )
    return certificate.public_bytes(Encoding.PEM)


def is_due(certificate: bytes, key: bytes, *, now: datetime.datetime) -> bool:
    """Whether a new certificate must be made: this one ends soon, or is of another key, or cannot be read."""
    from cryptography import x509

    try:
        found = x509.load_pem_x509_certificate(certificate)
    except ValueError:
        return True
    return found.public_key() != _loaded(key).public_key() or found.not_valid_after_utc - RENEW_BEFORE <= now


def pin_of_key(key: bytes) -> str:
    """64 hex digits: SHA-256 of the public key (SubjectPublicKeyInfo) of a private key in PEM."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = _loaded(key).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(public).hexdigest()


def pin_of_certificate(der: bytes) -> str:
    """The same of a certificate in DER, as a handshake shows it.

    Raises
    ------
    DocumentError
        It is no certificate.
    """
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    try:
        public = x509.load_der_x509_certificate(der).public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise DocumentError("the server presents something that is not a certificate") from None
    return hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _loaded(key: bytes) -> EllipticCurvePrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    advice = "Move it away: the next start makes a new one, and peers must be told of it."
    try:
        found = load_pem_private_key(key, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise DocumentError("not a TLS key", where="keys/tls.pem", next=advice) from None
    if not isinstance(found, EllipticCurvePrivateKey):
        raise DocumentError("a TLS key of another kind than ECDSA", where="keys/tls.pem", next=advice)
    return found
