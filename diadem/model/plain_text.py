"""Text from anywhere made fit for a crate or a page: no character that breaks a parser or misleads a reader."""

from __future__ import annotations

import html
import os
import re
import shlex
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

#: Controls, surrogates and noncharacters: no XML, HTML or RDF may hold them. Line feed and tab may stay.
_UNFIT = "\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef" + "".join(
    chr(plane + 0xFFFE) + "-" + chr(plane + 0xFFFF) for plane in range(0, 0x110000, 0x10000)
)
#: Marks that turn the reading direction (Unicode UAX 9) or end a line unseen: harmless in data, misleading in a name.
_TURNING = "\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069"
#: What a terminal obeys (C0, delete, C1), what it cannot show, and what turns the reading.
_OBEYED_PATTERN = re.compile(f"[\x00-\x1f\x7f-\x9f\ud800-\udfff{_TURNING}]")
_UNFIT_PATTERN = re.compile(f"[{_UNFIT}]")
_MARKED_PATTERN = re.compile(f"[{_UNFIT}{_TURNING}]")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_WINDOWS = os.name == "nt"
_SIZES = ("bytes", "kB", "MB", "GB", "TB", "PB", "EB")


def fit(text: object) -> str:
    """The text with U+FFFD for every character that JSON-LD cannot carry."""
    return _UNFIT_PATTERN.sub("\ufffd", str(text))


def marked(text: object, limit: int = 300) -> str:
    """The text for a person to see: of `limit` characters, and nothing in it that hides or turns others.

    A longer text loses its middle, so that the suffix of a file name stays; characters that cannot stand in HTML, or
    that mislead, are written ``[U+202E]``.
    """
    plain = str(text)
    if len(plain) > limit:
        plain = f"{plain[: limit - limit // 4 - 1]}…{plain[-(limit // 4) :]}"
    return _MARKED_PATTERN.sub(lambda match: f"[U+{ord(match[0]):04X}]", plain)


def escaped(text: object, limit: int = 300) -> str:
    """The text for HTML, as content or quoted attribute; see `marked`."""
    return html.escape(marked(text, limit))


def printable(text: str, *, kept: str = "") -> str:
    """The text as every terminal, log and JSON document can hold it.

    Bytes that are not UTF-8, control characters (a bag could name a file after a terminal's command) and marks that
    turn what is read are written as ``\\u001b``; the characters in `kept` stay.
    """
    return _OBEYED_PATTERN.sub(lambda match: match[0] if match[0] in kept else f"\\u{ord(match[0]):04x}", text)


def one_line(text: str, longest: int = 200) -> str:
    """A text of someone else as part of a sentence: nothing that turns what is read, no length without end."""
    clean = "".join(character if character.isprintable() else " " for character in text)
    return clean if len(clean) <= longest else clean[: longest - 1] + "…"


def size_text(size: int) -> str:
    """A number of bytes as people write it, in powers of 1000: ``3.2 GB``."""
    if size < 1000:
        return count_text(size, "byte")
    power, value = 0, float(size)
    while value >= 999.5 and power < len(_SIZES) - 1:
        power, value = power + 1, value / 1000
    return f"{value:,.0f} {_SIZES[power]}" if value >= 999.5 else f"{value:.3g} {_SIZES[power]}"


def count_text(count: int, singular: str, plural: str = "") -> str:
    """A number with its noun: ``1 file``, ``20,000 files``."""
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"


def first_of(texts: Iterable[str], most: int, between: str = ", ") -> str:
    """The first of several texts, each once, and how many more there are."""
    each = list(dict.fromkeys(texts))
    return between.join(each[:most]) + (f" and {len(each) - most} more" if len(each) > most else "")


def duration_words(span: timedelta) -> str:
    """A duration in the largest unit of which it is a whole number: ``90 days``, ``10 min``."""
    seconds = round(span.total_seconds())
    for unit, length in (("day", 86400), ("h", 3600), ("min", 60)):
        if seconds and not seconds % length:
            return f"{seconds // length} {unit}" + ("s" if unit == "day" and seconds != length else "")
    return f"{seconds} s"


def slug(text: str) -> str:
    """A text as a name that stands in addresses: ``My Group (Köln)`` is ``my-group-koeln``."""
    plain = text.lower().translate({ord("ä"): "ae", ord("ö"): "oe", ord("ü"): "ue", ord("ß"): "ss"})
    plain = unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:64].rstrip("-")


def quoted(argument: object, *, windows: bool = _WINDOWS) -> str:
    """A path or another word of advice so that it can be pasted into the shell of this system as one argument.

    On Windows that is PowerShell or cmd, which share double quotation marks. What PowerShell would fill in there,
    ``$name``, stands in single ones, which cmd does not know.
    """
    text = str(argument)
    if not windows:
        return shlex.quote(text)
    if re.fullmatch(r"[\w:\\/.+~-]+", text):
        return text
    if re.search(r"\$[\w({?^:$]|[`“”„]", text):
        return "'" + text.replace("'", "''") + "'"
    # Programs take backslashes before a quotation mark for pairs (Microsoft's C runtime, parsing of arguments).
    doubled = re.sub(r'(\\+)(?="|\Z)', r"\1\1", text)
    return f'"{doubled.replace(chr(34), 2 * chr(34))}"'


def date_text(moment: str) -> str:
    """An ISO 8601 date or time in words: ``14 March 2026, 10:05 (UTC+01:00)``; anything else as it is."""
    try:
        time = datetime.fromisoformat(moment)
    except ValueError:
        return moment
    day = f"{time.day} {_MONTHS[time.month - 1]} {time.year}"
    if len(moment) <= len("2026-03-14"):
        return day
    return f"{day}, {time:%H:%M} ({time.tzname()})" if time.tzinfo else f"{day}, {time:%H:%M}"


def value_text(value: Any) -> str:
    """A value of the record's session, sample or instrument in one line."""
    if isinstance(value, dict):
        return "; ".join(f"{key}: {value_text(item)}" for key, item in sorted(value.items()))
    if isinstance(value, (list, tuple)):
        return ", ".join(value_text(item) for item in value)
    return str(value)


def without_surrogates(text: str) -> str:
    r"""A text without surrogates, which no file can hold: bytes that are no UTF-8 are written ``\xff``."""
    if text.isascii():
        return text
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()


def query_text(words: Sequence[str]) -> str:
    """The query of several arguments; one with a space and no operator was quoted for the shell, and means a phrase."""
    if len(words) == 1:
        return words[0]
    return " ".join(
        f'"{word}"' if " " in word and not any(mark in word for mark in '"<>=:()') else word for word in words
    )
