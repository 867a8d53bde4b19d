"""Moments as text: UTC, to the second, as statements and settings write them."""

from __future__ import annotations

import datetime

from diadem.errors import DocumentError


def time_text(moment: datetime.datetime) -> str:
    """``2026-03-14T09:26:53Z``; the moment must be aware of its zone."""
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_time(text: str) -> datetime.datetime:
    """The moment of such a text.

    Raises
    ------
    DocumentError
        It is no moment with a zone.
    """
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise DocumentError(f"'{text}' is not a moment in time", next="Write 2026-03-14T09:26:53Z.") from error
    if moment.tzinfo is None:
        raise DocumentError(f"'{text}' has no time zone", next="Write 2026-03-14T09:26:53Z.")
    return moment.astimezone(datetime.UTC)
