"""Errors of PostgreSQL in our words, by its SQLSTATE (PostgreSQL's documentation, appendix A)."""

from __future__ import annotations

from typing import Final

import psycopg

from diadem.errors import DiademError, IntegrityError, NotFound, Refused, StoreError, Unreachable

_SAFE: Final = "Packages and log are not affected: what was archived is in the stores."
_AWAY: Final = (
    f"Start the server, or look at the network, then try again. {_SAFE} For a catalogue in a file: "
    "diadem reindex --into file"
)
_PASSWORD: Final = "Keep the password in ~/.pgpass (one line, host:port:database:user:password) or in PGPASSWORD."  # noqa: S105
#: The words of a server that lets nobody in: before a session there is no SQLSTATE.
_NO_ENTRY: Final = ("password", "authentication", "pg_hba", "role ", "permission")


def translate(error: BaseException, where: str) -> DiademError:
    """The error that says what happened and what to do."""
    if isinstance(error, DiademError):
        return error
    state, said = getattr(error, "sqlstate", None) or "", _plain(error)
    if state in ("28000", "28P01") or (not state and any(word in said for word in _NO_ENTRY)):
        return Refused(f"the server of the catalogue refuses the login: {said}", where=where, next=_PASSWORD)
    if state == "3D000" or (not state and "does not exist" in said):
        again = "Make the database: createdb --encoding=UTF8 NAME"
        return NotFound(f"the server of the catalogue has no such database: {said}", where=where, next=again)
    if state == "55P03":
        again = "Wait until the other process is done, then try again."
        return Refused("another process has held the catalogue for a minute", where=where, next=again)
    if state == "53100":
        return StoreError("the disk of the catalogue's server is full", where=where, next="Make room, then try again.")
    if state in ("42501", "25006"):
        again = (
            "Give the role its rights: GRANT CREATE, CONNECT ON DATABASE name TO role. A standby cannot be written to."
        )
        return StoreError(f"the catalogue cannot be written to: {said}", where=where, next=again)
    if state in ("3F000", "42P01"):
        again = "It is a cache, and can be rebuilt. Run: diadem reindex"
        return NotFound(f"there is no catalogue, or a part of it is gone: {said}", where=where, next=again)
    if _is_away(error, state):
        return Unreachable(f"the server of the catalogue does not answer: {said}", where=where, next=_AWAY)
    return damaged(where, said)


def _is_away(error: BaseException, state: str) -> bool:
    """No connection, a server that starts or stops, or one that has too many to do."""
    if state:
        return state[:2] in ("08", "53", "57", "58")
    return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)


def damaged(where: str, said: str) -> IntegrityError:
    """A catalogue that is none any more."""
    again = "It is a cache, and can be rebuilt. Run: diadem reindex"
    return IntegrityError(f"the catalogue is damaged: {said}", where=where, next=again)


def _plain(error: BaseException) -> str:
    """One line of what the server says."""
    return " ".join(str(error).split())[:300]
