"""Passwords that the keyring of this machine keeps for servers."""

from __future__ import annotations

from typing import Final

#: The service under which they are kept: ``keyring set diadem-catalogue postgresql://diadem@db.example.org/diadem``.
SERVICE: Final = "diadem-catalogue"


def kept_password(server: str) -> str:
    """The password that the keyring keeps for a server, by its address; "" where there is none, or no keyring."""
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        return ""
    try:
        return keyring.get_password(SERVICE, server) or ""
    except (KeyringError, RuntimeError):
        return ""
