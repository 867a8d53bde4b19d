"""Some files of a package, by names as people write them; what belongs to one of them comes along."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase

from diadem.errors import DocumentError, NotFound, UsageError
from diadem.model.manifest import FileEntry
from diadem.model.record import Record

#: Names that an error proposes.
_PROPOSED = 5


@dataclass(frozen=True, slots=True)
class Selection:
    """What was chosen.

    Attributes
    ----------
    matched : tuple of str
        Stored names of the files that the patterns mean.
    companions : tuple of str
        Those of the other files of their datasets.
    """

    matched: tuple[str, ...] = ()
    companions: tuple[str, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """All of them."""
        return frozenset((*self.matched, *self.companions))


def select(entries: Sequence[FileEntry], only: Sequence[str] | str, records: Iterable[Record]) -> Selection:
    """Choose files.

    Parameters
    ----------
    entries : sequence of FileEntry
        All files that there are.
    only : str or sequence of str
        Names, paths, ends of paths, folders, or ids of datasets; with ``*``, ``?`` and ``[…]`` for what is not said.
        Upper and lower case are the same.
    records : iterable of Record
        Say which files belong together.

    Raises
    ------
    NotFound
        A pattern matches nothing; names those that come close.
    UsageError
        A pattern is empty.
    """
    wanted = [only] if isinstance(only, str) else list(only)
    names = {entry.name: tuple(dict.fromkeys((_folded(entry.name), _folded(_original(entry))))) for entry in entries}
    groups = list(_groups(records))
    matched: dict[str, None] = {}
    for pattern in wanted:
        text = _folded(pattern.replace("\\", "/")).removeprefix("./").rstrip("/")
        if not text:
            raise UsageError("an empty name matches no file", next='Example: --only "HAADF*"')
        # A name with brackets means itself before it means a pattern; a folder of the session may be called data.
        ways = [(one, means) for one in dict.fromkeys((text, text.removeprefix("data/"))) for means in (_is, _fits)]
        found: list[str] = []
        for one, means in ways:
            found = found or [name for name, spelled in names.items() if any(means(one, each) for each in spelled)]
        found = found or [primary for id_, (primary, *_) in groups if id_ == text and primary in names]
        if not found:
            raise NotFound(f"no file is called '{pattern}'", next=_hint(text, names))
        matched |= dict.fromkeys(found)
    companions = dict.fromkeys(
        name for _, files in groups if not matched.keys().isdisjoint(files) for name in files if name in names
    )
    return Selection(tuple(matched), tuple(name for name in companions if name not in matched))


def _groups(records: Iterable[Record]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Id and files of every dataset, the primary first."""
    for record in records:
        for number in range(len(record.datasets)):
            try:
                dataset = record.datasets[number]
            except DocumentError:  # of a later version
                continue
            others = [one.path for one in dataset.files if one.path != dataset.path]
            yield dataset.id, (dataset.path, *others)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


def _original(entry: FileEntry) -> str:
    return entry.original_name.decode("utf-8", "replace")


def _is(text: str, path: str) -> bool:
    """Whether a text is a path, the end of one, or a folder in it."""
    whole = f"/{path}"
    return whole.endswith(f"/{text}") or f"/{text}/" in whole


def _fits(pattern: str, path: str) -> bool:
    """Whether a pattern fits a path, or the end of one."""
    return fnmatchcase(f"/{path}", f"*/{pattern}")


def _hint(text: str, names: dict[str, tuple[str, ...]]) -> str:
    last = text.rpartition("/")[2].strip("*?")
    holding = [name for name, spelled in names.items() if last and any(last in one for one in spelled)]
    near = holding or get_close_matches(text, [spelled[0] for spelled in names.values()], _PROPOSED, 0.5)
    near = near or get_close_matches(
        last, [spelled[0].rpartition("/")[2] for spelled in names.values()], _PROPOSED, 0.5
    )
    if not near:
        first = ", ".join(list(names)[:_PROPOSED])
        return f"It holds {first}{', …' if len(names) > _PROPOSED else ''}" if first else "It holds no file."
    more = ", …" if len(near) > _PROPOSED else ""
    stars = f' With * for what comes before and after: "*{last}*"' if holding and "*" not in text else ""
    return f"Did you mean {', '.join(near[:_PROPOSED])}{more}?{stars}"
