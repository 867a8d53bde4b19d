"""What options of the command line say of a sample, as `node.samples` takes it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from diadem.errors import UsageError

if TYPE_CHECKING:
    from diadem.node.sample_saying import SampleWords

_DATED = re.compile(r"(?P<date>\d{4}-\d{2}-\d{2})\s+(?P<step>\S.*)\Z")


def sample_words(
    name: str | None,
    called: list[str] | None,
    ids: list[str] | None,
    parents: list[str] | None,
    how: str,
    maker: str | None,
    lab: str | None,
    ror: str | None,
    orcid: str | None,
    composition: str | None,
    elements: str | None,
    steps: list[str] | None,
    comment: str | None,
) -> SampleWords:
    """What was said with options; what was not is left out."""
    said: dict[str, Any] = {
        "name": name,
        "names": _called(called) if called is not None else None,
        "identifiers": _ids(ids) if ids is not None else None,
        "parents": [one for one in parents if one] if parents is not None else None,
        "maker": maker,
        "lab": lab,
        "ror": ror,
        "orcid": orcid,
        "composition": composition,
        "elements": [one.strip() for one in elements.split(",") if one.strip()] if elements is not None else None,
        "preparation": [_step(one) for one in steps if one] if steps is not None else None,
        "comment": comment,
    }
    given = {key: value for key, value in said.items() if value is not None}
    return cast("SampleWords", given | {"how": how} if parents else given)


def _called(texts: list[str]) -> Mapping[str, list[str]]:
    """``K-2026-007@NMI`` as lab and name; ``@NMI`` takes a lab's names back."""
    found: dict[str, list[str]] = {}
    for text in texts:
        name, at, lab = (part.strip() for part in text.rpartition("@"))
        if not at or not lab:
            raise UsageError(f"'{text}' names no lab", next="Write the name, @ and the lab: K-2026-007@NMI")
        found.setdefault(lab, []).append(name)
    return found


def _ids(texts: list[str]) -> Mapping[str, str]:
    """``igsn=10.60510/x1`` as kind and name."""
    pairs = [[part.strip() for part in text.partition("=")] for text in texts]
    for (kind, sign, _), text in zip(pairs, texts, strict=True):
        if not kind or not sign:
            raise UsageError(f"'{text}' does not say what it is", next="Example: --id igsn=10.60510/x1")
    return {kind: name for kind, _, name in pairs}


def _step(text: str) -> str | Mapping[str, str]:
    dated = _DATED.match(text.strip())
    return dated.groupdict() if dated else text.strip()
