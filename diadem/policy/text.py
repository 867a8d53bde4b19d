"""`policy.toml` to `Policy`. The schema in `schemas/policy` says what is allowed; what it refuses is told by line."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from datetime import date, time
from typing import Any

from diadem.errors import DocumentError
from diadem.model.policy import (
    Access,
    AllowedTransfer,
    Archiving,
    Copies,
    Hub,
    Incoming,
    Parity,
    Policy,
    Quality,
    RequiredMetadata,
    Retention,
    Scheme,
    Scrub,
    Stores,
    Transfers,
    Watching,
)
from diadem.policy.default import DEFAULT_POLICY
from diadem.policy.faults import first_fault
from diadem.policy.measures import read_duration, read_size

__all__ = ["DEFAULT_POLICY", "MAX_CHARACTERS", "read_policy"]

#: Largest `policy.toml` that is read; the default one has 3 kB.
MAX_CHARACTERS = 1 << 20


def read_policy(text: str, *, where: str = "policy.toml", stores: Collection[str] | None = None) -> Policy:
    """The policy that a TOML text states; what it does not say has its default.

    Parameters
    ----------
    text : str
        The text of a `policy.toml`. An empty one is the default policy.
    where : str
        Its path, for messages.
    stores : collection of str, optional
        The names of the node's stores: another name in it is a mistake. Default: any name may be right.

    Raises
    ------
    DocumentError
        Names the line, the rule, what is allowed and an example.
    """
    document = _parsed(text, where)
    if fault := first_fault(document, text, stores):
        raise DocumentError(fault.message, where=where, next=fault.next)
    return _policy(document)


def _parsed(text: str, where: str) -> dict[str, Any]:
    advice = "Correct the line; `diadem status` reads the file again."
    if len(text) > MAX_CHARACTERS:
        raise DocumentError(f"a policy of {len(text):,} characters is not read", where=where, next="Is it this file?")
    try:
        document: dict[str, Any] = _plain(tomllib.loads(text.removeprefix("\ufeff")))
    except RecursionError:
        raise DocumentError("the tables are nested too deep", where=where, next=advice) from None
    except ValueError as error:  # TOMLDecodeError, and integers of thousands of digits
        raise DocumentError(f"this is not TOML: {error}", where=where, next=advice) from None
    return document


def _plain(value: Any) -> Any:
    """JSON types; what JSON has not (dates, times, infinities, huge numbers) as text, which no key of ours admits."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, int | float) and not abs(value) < 2**53:
        return f"{value:.3g}" if isinstance(value, float) else "a number of more than 15 digits"
    return value


def _policy(document: Mapping[str, Any]) -> Policy:
    """The policy of a document that the schema admits."""
    return Policy(
        copies=Copies(**_whole(document.get("copies", {}), "minimum", kinds=_counts)),
        stores=Stores(**_converted(document.get("stores", {}), unseen=read_duration)),
        scrub=Scrub(**_converted(document.get("scrub", {}), interval=read_duration, kinds=_intervals)),
        parity=Parity(**_converted(document.get("parity", {}), stores=tuple)),
        metadata=RequiredMetadata(**_converted(document.get("metadata", {}), required=tuple)),
        retention=Retention(**_whole(document.get("retention", {}), "years")),
        archive=Archiving(**_converted(document.get("archive", {}), quiet=read_duration)),
        watch=Watching(**_converted(document.get("watch", {}), waiting=read_duration)),
        access=Access(**document.get("access", {})),
        transfer=Transfers(**_converted(document.get("transfer", {}), allow=_allowed)),
        incoming=Incoming(
            **_whole(document.get("incoming", {}), "max_per_day", max_size=read_size, max_waiting=read_size)
        ),
        hub=Hub(
            **_whole(
                document.get("hub", {}),
                "max_objects",
                "max_messages",
                max_size=read_size,
                max_per_spoke=read_size,
                keep=read_duration,
                free=read_size,
            )
        ),
        quality=Quality(**_converted(document.get("quality", {}), schemes=_schemes)),
    )


def _converted(section: Mapping[str, Any], **converters: Any) -> dict[str, Any]:
    return {key: converters[key](value) if key in converters else value for key, value in section.items()}


def _whole(section: Mapping[str, Any], *numbers: str, **converters: Any) -> dict[str, Any]:
    """The same, where ``2.0``, which JSON Schema takes for a whole number, becomes one."""
    return _converted(section, **dict.fromkeys(numbers, int), **converters)


def _counts(kinds: Mapping[str, float]) -> dict[str, int]:
    return {kind: int(count) for kind, count in kinds.items() if count}


def _intervals(kinds: Mapping[str, str]) -> dict[str, Any]:
    return {kind: read_duration(text) for kind, text in kinds.items()}


def _allowed(items: list[Mapping[str, str]]) -> tuple[AllowedTransfer, ...]:
    return tuple(AllowedTransfer(**item) for item in items)


def _schemes(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, Scheme]:
    return {name: Scheme(table["purpose"], tuple(table["criteria"])) for name, table in tables.items()}
