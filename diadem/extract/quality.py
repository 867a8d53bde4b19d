"""Checks that plugins make of a dataset, each on its own; what they find are issues under their names."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, get_args, get_type_hints

from diadem.extract.extraction import issue
from diadem.hooks.offers import Described, Issue, target

#: Issues of one check that are kept, and characters of a message.
MOST_ISSUES: Final = 20
LONGEST: Final = 1000
#: When a check may look at the data.
ASSESS: Final = "assess"
_CODE: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")
_SEVERITIES: Final = get_args(get_type_hints(Issue)["severity"])


def examine(
    path: str,
    files: Sequence[str],
    result: Mapping[str, Any],
    offers: Sequence[Mapping[str, Any]],
    tell: Callable[[str, str], None],
    arrays: Mapping[str, Any] | None = None,
) -> Iterator[dict[str, Any]]:
    """Run every check on a dataset.

    Parameters
    ----------
    path : str
        Of the file or folder that names the dataset.
    files : sequence of str
        All files of the dataset.
    result : mapping
        What is known of it: ``format, signals, fields, extensions, issues``.
    offers : sequence of mapping
        ``name, check, when, by`` each.
    tell : callable
        Told of kind and name of what runs now.
    arrays : mapping of str to array, optional
        The data by the id of a signal, for checks that are there to look at them.

    Yields
    ------
    dict
        Issues; a check that fails is one, and hides no other.
    """
    for offer in offers:
        tell("checks", offer["name"])
        try:
            looked_at = (arrays or {}) if offer.get("when") == ASSESS else {}
            yield from _found(target(offer["check"])(path, files, _described(result, looked_at)), offer)
        except Exception as error:  # a plugin's own fault, or a file that it has not foreseen
            text = " ".join(str(error).split())[:300]
            message = f"the check '{offer['name']}' failed: {type(error).__name__}: {text}"
            yield issue("check-failed", message, severity="info", by=offer["by"])


def _described(result: Mapping[str, Any], arrays: Mapping[str, Any]) -> Described:
    """A copy for each check, so that none changes what the next one sees."""
    known = {key: copy.deepcopy(result[key]) for key in ("signals", "fields")}
    extensions = {item["namespace"]: copy.deepcopy(item["data"]) for item in result.get("extensions", ())}
    issues = copy.deepcopy(list(result.get("issues", ())))
    return Described(result["format"], **known, extensions=extensions, issues=issues, arrays=arrays)


def _found(issues: Iterable[Any] | None, offer: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for number, item in enumerate(islice(issues or (), MOST_ISSUES + 1)):
        if number == MOST_ISSUES:
            message = f"the check '{offer['name']}' finds more than {MOST_ISSUES} things; the first are listed"
            yield issue("check-failed", message, severity="info", by=offer["by"])
        elif fault := _fault(item):
            message = f"the check '{offer['name']}' returns what is no issue: {fault}"
            yield issue("check-failed", message, severity="info", by=offer["by"])
        else:
            more = {"severity": item.severity, "next": item.next[:LONGEST], "by": offer["by"]}
            yield issue(f"{offer['name']}-{item.code}", item.message[:LONGEST], **more)


def _fault(item: Any) -> str:
    """What is wrong with an issue, or ""."""
    if not isinstance(item, Issue):
        return f"{repr(item)[:80]} is no Issue"
    if not isinstance(item.code, str) or not _CODE.match(item.code):
        return f"the code {item.code!r} is not lower case with dashes"
    if not isinstance(item.message, str) or not item.message.strip():
        return f"'{item.code}' has no message"
    if item.severity not in _SEVERITIES or not isinstance(item.next, str):
        return f"'{item.code}' has the severity {item.severity!r}, which is none of {', '.join(_SEVERITIES)}"
    return ""
