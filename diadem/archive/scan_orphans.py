"""Files of one dataset that are apart: a side file without its primary, a primary without its data. Names only."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from diadem.extract.survey import STEM, DatasetPlan, groups_of, missing_parts
from diadem.hooks.offers import ReaderOffer

#: Endings that many programs write: such a file alone is nobody's lost side file.
_COMMON = (".txt", ".csv", ".log", ".xml", ".raw", ".h5", ".mrc", ".ser", ".dat")


class Orphans:
    """Finds side files without their primary.

    Parameters
    ----------
    readers : sequence of ReaderOffer
        What the plugins offer: their groups say which names belong together.
    """

    def __init__(self, readers: Sequence[ReaderOffer]) -> None:
        self._offers: Mapping[str, ReaderOffer] = {offer.name: offer for offer in readers}
        found: dict[str, list[str]] = {}
        for offer in readers:
            for group in groups_of(offer):
                for pattern in (*group.parts, *group.sidecars):
                    if _telling(pattern):
                        found.setdefault(pattern.lower(), []).append(group.primary)
        self._patterns: dict[str, list[tuple[re.Pattern[str], list[str]]]] = {}
        for pattern, primaries in sorted(found.items(), key=lambda item: -len(item[0])):
            self._patterns.setdefault(pattern.rpartition(".")[2], []).append((_compiled(pattern), primaries))

    def lost_primary(self, plan: DatasetPlan) -> str | None:
        """Where the only file of a dataset looks like a side file: the names of the primary that it would belong to."""
        if len(plan.files) > 1:
            return None
        name = plan.primary.path.rpartition("/")[2]
        return next(self._primaries(name), None)

    def _primaries(self, name: str) -> Iterator[str]:
        """``scan.mib, .tif or .tiff``; longest pattern first."""
        for pattern, primaries in self._patterns.get(name.rpartition(".")[2].lower(), ()):
            if match := pattern.fullmatch(name):
                first, *others = dict.fromkeys(primaries)
                names = [first.replace(STEM, match["stem"]), *(other.replace(STEM, "") for other in others)]
                yield " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))

    def lost_parts(self, plan: DatasetPlan, format_: str) -> str | None:
        """Where a primary lacks its data files: the pattern of their names."""
        if plan.entry != plan.primary.path:
            return None
        named = (format_,) if format_ in self._offers else plan.offers[:1]
        return next((found for name in named if (found := missing_parts(plan, self._offers[name]))), None)


def _telling(pattern: str) -> bool:
    """Whether a name that fits the pattern says enough: it has a stem, no wildcard, and an ending of its own."""
    lower = pattern.lower()
    return lower.startswith(STEM) and not re.search(r"[*?\[/]", lower) and not lower.endswith(_COMMON)


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile("(?P<stem>.+)" + re.escape(pattern.removeprefix(STEM)), re.IGNORECASE | re.DOTALL)
