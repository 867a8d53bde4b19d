"""From what a person calls a sample to the sample: by its identifier, its id, or a name that another lab uses."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from diadem.catalogue import Catalogue
from diadem.catalogue.samples import OTHER, OWN, TITLE, NameRow
from diadem.catalogue.words import words
from diadem.errors import NotFound, UsageError
from diadem.model.plain_text import count_text, quoted
from diadem.model.samples import PREFIX, Sample, is_sample_id

#: Samples whose identifiers are compared with one that is not known.
_COMPARED = 5_000


def find_samples(catalogue: Catalogue, name: str) -> list[Sample]:
    """The samples that a name may mean: mostly one.

    Parameters
    ----------
    catalogue : Catalogue
        Where samples are known.
    name : str
        An identifier goes before the names that other labs use, and these before what a sample is; or a whole id.

    Raises
    ------
    NotFound
        None is called so.
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
    """The one sample that a name means.

    Raises
    ------
    NotFound, UsageError
        None is called so, or several are: the message names them.
    """
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
    """That no other sample, nor one of some that are to be, has an identifier that a search cannot tell from this one.

    Raises
    ------
    UsageError
        One has, or there is no letter or digit in it.
    """
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


def shared_names(catalogue: Catalogue, names: Sequence[NameRow], same: Sequence[str]) -> list[NameRow]:
    """Names that other samples have too, as rows of the others: who asks for one finds both."""
    asked = {row.words for row in names if row.kind != TITLE}
    return [row for row in catalogue.samples_named(asked) if row.kind != TITLE and row.sample not in same]


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
