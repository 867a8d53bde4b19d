"""Which known samples a session may be of, by its folder's name and by what its files call the sample. Only suggested:
a name in a file is what somebody typed, and a person says which sample it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from diadem.catalogue import Catalogue
from diadem.catalogue.samples import TITLE, NameRow
from diadem.catalogue.words import words
from diadem.model.display import Display
from diadem.model.plain_text import quoted
from diadem.model.samples import Sample

#: Words of a text that are looked at, and of a name in it.
_WORDS: Final = 60
_NAME: Final = 12
#: Suggestions that are made at most: with more none of them helps.
_MOST: Final = 5


@dataclass(frozen=True, slots=True)
class Suggestion(Display):
    """A sample that a session may be of.

    Attributes
    ----------
    sample : Sample
        The one.
    name : str
        Its name that was found: its identifier, or what another lab calls it.
    where : str
        Where: ``the name of the folder``, ``the files``.
    package : str or None
        The package; None before it is archived.
    """

    sample: Sample
    name: str
    where: str
    package: str | None = None

    @property
    def command(self) -> str:
        """What sets it: a whole command, or before the session is archived the option that does."""
        said = quoted(f"sample.identifier={self.sample.identifier}")
        return (
            f"diadem amend {self.package.removeprefix('diadem:')[:12]} --set {said}"
            if self.package
            else f"--set {said}"
        )

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "id": self.sample.id,
            "identifier": self.sample.identifier,
            "name": self.name,
            "where": self.where,
            "command": self.command,
        }


def suggest_for_package(catalogue: Catalogue, package: str, folder: str) -> list[Suggestion]:
    """Samples that an archived session may be of; none where it says for all its datasets which known one it is.

    Parameters
    ----------
    catalogue : Catalogue
        It has the package.
    package : str
        Its id.
    folder : str
        Name of what was archived.
    """
    if not catalogue.count_samples():
        return []
    said = catalogue.sample_texts(package)
    if _names_one(catalogue, [text for text, everywhere in said if everywhere]):
        return []
    texts = {"the files": [text for text, _ in said], "the name of the folder": [folder, catalogue.get(package).title]}
    return _suggestions(catalogue, texts, package)


def suggest_for_plan(catalogue: Catalogue, folder: str, metadata: Mapping[str, Any] | None) -> list[Suggestion]:
    """The same before anything is archived."""
    said = [str(text) for key in ("identifier", "name") if (text := (metadata or {}).get("sample", {}).get(key))]
    if not catalogue.count_samples() or _names_one(catalogue, said):
        return []
    return _suggestions(catalogue, {"the metadata": said, "the name of the folder": [folder]}, None)


def _names_one(catalogue: Catalogue, texts: Iterable[str]) -> bool:
    """Whether a text is the whole name of a known sample: then a search finds it by any name."""
    return any(row.kind != TITLE for row in catalogue.samples_named([words(text) for text in texts]))


def _suggestions(catalogue: Catalogue, texts: Mapping[str, Sequence[str]], package: str | None) -> list[Suggestion]:
    found: dict[str, tuple[NameRow, str]] = {}
    for where, some in texts.items():
        for text in dict.fromkeys(some):
            for row in _longest(catalogue, words(text)[:_WORDS]):
                found.setdefault(row.sample, (row, where))
    samples = {one.id: one for one in catalogue.samples(found)}
    made = [Suggestion(samples[key], row.text, where, package) for key, (row, where) in found.items()]
    return made if len(made) <= _MOST else []


def _longest(catalogue: Catalogue, text: Sequence[str]) -> Iterator[NameRow]:
    """Names of samples that stand in a text as whole words; none that is part of a longer one there."""
    runs = {
        (start, end): tuple(text[start:end])
        for start in range(len(text))
        for end in range(start + 1, min(start + _NAME, len(text)) + 1)
    }
    telling = {run for run in runs.values() if _is_telling(run)}
    named: dict[tuple[str, ...], list[NameRow]] = {}
    for row in catalogue.samples_named(telling):
        if row.kind != TITLE:
            named.setdefault(row.words, []).append(row)
    hits = {place for place, run in runs.items() if run in named}
    for start, end in sorted(hits):
        if not any(first <= start and end <= last and (first, last) != (start, end) for first, last in hits):
            yield from named[runs[start, end]]


def _is_telling(run: Sequence[str]) -> bool:
    """Whether words could be the name of a sample in a text: numbers alone are dates and counters."""
    joined = "".join(run)
    return len(joined) > 1 and not joined.isdigit()
