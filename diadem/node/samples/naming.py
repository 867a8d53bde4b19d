"""From what a person calls a sample to the sample: by its identifier, its id, or a name that another lab uses.

And which known samples a session may be of, by its folder's name and by what its files call the sample. Only suggested:
a name in a file is what somebody typed, and a person says which sample it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

from diadem.catalogue import Catalogue
from diadem.catalogue.known_samples import OTHER, OWN, TITLE, NameRow
from diadem.catalogue.words import words
from diadem.errors import NotFound, UsageError
from diadem.model.display import Display
from diadem.model.plain_text import count_text, quoted
from diadem.model.samples import PREFIX, Sample, is_sample_id
from diadem.policy.commands import short

#: Samples whose identifiers are compared with one that is not known.
_COMPARED = 5_000


def find_samples(catalogue: Catalogue, name: str) -> list[Sample]:
    """The samples that a name, or a whole id, may mean: mostly one.

    An identifier goes before the names that other labs use, and these before what a sample is.
    """
    plain = name.strip()
    given = plain.lower() if plain.lower().startswith(PREFIX) else PREFIX + plain.lower()
    if is_sample_id(given) and (found := catalogue.samples([given])):
        return found
    rows = catalogue.samples_named([words(plain)])
    for kind in (OWN, OTHER, TITLE):
        if ids := {row.sample for row in rows if row.kind == kind}:
            return catalogue.samples(ids)
    raise _unknown(catalogue, plain)


def the_sample(catalogue: Catalogue, name: str) -> Sample:
    """The one sample that a name means."""
    found = find_samples(catalogue, name)
    if len(found) > 1:
        called = ", ".join(f"{one} [{one.id}]" for one in found[:5])
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        raise UsageError(
            f"{len(found)} samples are called '{name}': {called}{more}",
            next=f"Name one by its own identifier: {found[0].identifier}; or by its id.",
        )
    return found[0]


def require_free(catalogue: Catalogue, identifier: str, *, but: str = "", among: Sequence[str] = ()) -> None:
    """That no sample but one, nor any that is to be, has an identifier that a search cannot tell from this one."""
    if not words(identifier):
        raise UsageError(
            f"'{identifier}' is not an identifier: there is no letter or digit in it", next="Example: S-12"
        )
    if words(identifier) in [words(one) for one in among]:
        raise UsageError(f"'{identifier}' is named twice", next="Name each sample once.")
    taken = [row for row in catalogue.samples_named([words(identifier)]) if row.kind == OWN and row.sample != but]
    if taken:
        raise UsageError(
            f"there is a sample '{taken[0].text}' already, and a search cannot tell '{identifier}' from it",
            where=taken[0].sample,
            next=f"See: diadem sample show {taken[0].text}",
        )


def _unknown(catalogue: Catalogue, name: str) -> NotFound:
    known = [one.identifier for one in catalogue.samples()] if catalogue.count_samples() <= _COMPARED else []
    close = get_close_matches(name, known, n=3, cutoff=0.6)
    if (told := catalogue.search(f'sample="{name}"', limit=1).total if words(name) and '"' not in name else 0) > 0:
        verb = "names" if told == 1 else "name"
        return NotFound(
            f"no sample is called '{name}', and {count_text(told, 'package')} {verb} it",
            next=f"Make it a sample: diadem sample add {quoted(name)}   (the packages: diadem search "
            f"{quoted(f'sample:{name}')})",
        )
    advice = (
        f"Did you mean {' or '.join(close)}?"
        if close
        else f"See: diadem sample ls; a new one: diadem sample add {quoted(name)}"
    )
    return NotFound(f"no sample is called '{name}'", next=advice)


#: What an export tells of a sample; where the thing is, and what was noted of it, stays in the house.
_GIVEN: Final = ("id", "identifier", "name", "identifiers", "composition", "elements", "preparation")


def samples_of(catalogue: Catalogue, package: str) -> list[dict[str, Any]]:
    """What is known of the samples that a package names; see `diadem.hooks.exporters.ExportedPackage`.

    A name that several samples have, which are not one thing, says nothing.
    """
    called: dict[str, list[str]] = {}
    for text, _ in catalogue.sample_texts(package) if catalogue.count_samples() else ():
        rows = [row for row in catalogue.samples_named([words(text)]) if row.kind != TITLE]
        meant = sorted({row.sample for row in rows if row.kind == OWN} or {row.sample for row in rows})
        if meant and set(meant) <= set(catalogue.family(meant[0]).same):
            called.setdefault(meant[0], []).append(text)
    return [{**_given(catalogue, one), "called": called[one.id]} for one in catalogue.samples(called)]


def _given(catalogue: Catalogue, sample: Sample) -> dict[str, Any]:
    """What is told of a sample: of names and parents those of the same thing, whichever of its names they are of."""
    said = sample.to_dict()
    found: dict[str, Any] = {key: said[key] for key in _GIVEN if key in said}
    same = catalogue.family(sample.id).same
    names = {(row.text, row.lab): row for row in catalogue.names_of_samples(same) if row.kind != TITLE}
    own = (sample.identifier, *sample.identifiers.values())
    found["names"] = [{"name": text, "lab": lab} for text, lab in names if text not in own]
    how = {parent.sample: parent.how for one in catalogue.samples(same) for parent in one.parents}
    short = ("id", "identifier", "name", "identifiers")
    parents = [{key: value for key, value in one.to_dict().items() if key in short} for one in catalogue.samples(how)]
    found["parents"] = [{**one, "how": how[one["id"]]} for one in parents]
    return {key: value for key, value in found.items() if value}


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
        return f"diadem amend {short(self.package)} --set {said}" if self.package else f"--set {said}"

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
    """Samples that an archived session may be of; none where it says for all its datasets which known one it is."""
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
