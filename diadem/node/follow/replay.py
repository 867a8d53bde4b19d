"""The catalogue follows the log: what each statement means for packages and copies.

Live verbs and a reindex go through the same function, so that the two cannot differ. Every effect may be applied twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import groupby
from typing import Any

from diadem.catalogue import Catalogue, CopyEntry, StatementEntry
from diadem.custody.entries import Entry
from diadem.errors import DocumentError
from diadem.model.assessments import Assessment
from diadem.model.lineage import Derivation
from diadem.model.manifest import PREFIX
from diadem.model.ownership import Succession
from diadem.model.replicas import DROPPED, MISSING, PRESENT, PROOFS, SUSPECT
from diadem.model.statement_kinds import COPY_KINDS
from diadem.model.times import read_time
from diadem.node.follow.sample_following import follow_sample
from diadem.serialization.validation import validate_statement

#: The code of a finding that says that nothing of a copy is there.
COPY_MISSING = "copy-missing"


def apply(catalogue: Catalogue, entry: Entry, *, only: str | None = None) -> None:
    """Let the catalogue follow one statement.

    Parameters
    ----------
    catalogue : Catalogue
        Packages that it does not know are passed over.
    entry : Entry
        Of the log.
    only : str, optional
        A package id: effects on other packages are left out.
    """
    statement, predicate = entry.statement, entry.statement.predicate
    if statement.kind in COPY_KINDS:
        _written(catalogue, [entry], only)
        return
    packages = [one for one in _packages(entry) if only in (None, one)]
    about = sorted(catalogue.known(packages)) if packages else []
    effect = statement.known.effect if statement.known else ""
    if about and effect in _EFFECTS:
        _EFFECTS[effect](catalogue, about, predicate, entry.statement_id)
    if effect == "sample":
        with catalogue.together():  # it is known and followed, or neither
            _note(catalogue, [entry])
            follow_sample(catalogue, statement)
        return
    _note(catalogue, [entry])
    if effect == "succession" and predicate.get("successor"):
        succession = Succession(str(predicate["successor"]), entry.place, entry.statement_id)
        catalogue.succeed(str(predicate["name"]), succession)
    if effect in _SAID and _counts(catalogue, entry):
        _SAID[effect](catalogue, about, entry)


def apply_all(catalogue: Catalogue, entries: Iterable[Entry]) -> None:
    """Let the catalogue follow statements in their order: those of copies that follow one another in one go."""
    for writes, run in groupby(entries, key=lambda entry: entry.statement.kind in COPY_KINDS):
        if writes:
            _written(catalogue, list(run))
        else:
            for entry in run:
                apply(catalogue, entry)


def _packages(entry: Entry) -> list[str]:
    return [subject.name for subject in entry.statement.subjects if subject.name.startswith(PREFIX)]


def _note(catalogue: Catalogue, entries: Sequence[Entry]) -> None:
    catalogue.add_statements(
        [
            StatementEntry(
                epoch=entry.epoch,
                index=entry.index,
                statement_id=entry.statement_id,
                kind=entry.statement.kind,
                subjects=[subject.sha256 for subject in entry.statement.subjects],
                time=read_time(str(entry.statement.predicate["time"])),
                line=entry.line,
            )
            for entry in entries
        ]
    )


def _counts(catalogue: Catalogue, entry: Entry) -> bool:
    """Whether a user's statement is understood, and by whom it says."""
    try:
        validate_statement(entry.statement)
    except DocumentError:  # of a later version; custody shows it
        return False
    if entry.statement.kind == "corrections":  # the node's own word: it has proven who signed them
        return True
    return catalogue.speaks_for(entry.signers, str(entry.statement.predicate.get("by", "")))


def places_said(package: str, entries: Iterable[Entry]) -> dict[str, str]:
    """By store, the path at which the log says that a copy of a package is, whole or not.

    Parameters
    ----------
    package : str
        Its id: a statement of others too may say what is missing of them.
    entries : iterable of Entry
        All that the log says of the package.
    """
    places: dict[str, str] = {}
    for entry in entries:
        kind, said = entry.statement.kind, entry.statement.predicate
        if kind in COPY_KINDS:
            places[str(said["store"])] = str(said.get("path", ""))
        elif kind == "drop" or any(
            finding["code"] == COPY_MISSING and finding["package"] == package for finding in said.get("findings", ())
        ):
            places.pop(str(said["store"]), None)
        elif kind == "tombstone":
            places.clear()
    return places


def places_kept(entries: Iterable[Entry]) -> set[tuple[str, str]]:
    """Store and path of every copy that the log says was written and does not say was given up, whatever it has lost.

    Parameters
    ----------
    entries : iterable of Entry
        Of the log, in order, on any packages.
    """
    kept: dict[str, set[tuple[str, str]]] = {}
    for entry in entries:
        kind, said = entry.statement.kind, entry.statement.predicate
        for subject in entry.statement.subjects:
            if kind in COPY_KINDS:
                kept.setdefault(subject.name, set()).add((str(said["store"]), str(said.get("path", ""))))
            elif kind == "drop":
                kept[subject.name] = {one for one in kept.get(subject.name, ()) if one[0] != said["store"]}
            elif kind == "tombstone":
                kept.pop(subject.name, None)
    return set[tuple[str, str]]().union(*kept.values())


def _written(catalogue: Catalogue, entries: Sequence[Entry], only: str | None = None) -> None:
    """Copies are there: `ingest` and `replicate`."""
    copies, times = [], dict[str, datetime]()
    for entry in entries:
        said = entry.statement.predicate
        at = read_time(str(said["time"]))
        for package in _packages(entry):
            if only in (None, package):
                copies.append(_copy(package, at, entry))
                if entry.statement.kind == "ingest":
                    times.setdefault(package, at)
    catalogue.note_ingests(times)
    catalogue.add_copies(copies)
    _note(catalogue, entries)


def _copy(package: str, at: datetime, entry: Entry) -> CopyEntry:
    said = entry.statement.predicate
    return CopyEntry(
        package,
        str(said["store"]),
        str(said.get("path", "")),
        at,
        level=str(said.get("proof", "")),
        statement_id=entry.statement_id,
        adopted=bool(said.get("adopted")),
        place=str(said["place"]) if said.get("place") else None,
    )


def _checked(catalogue: Catalogue, packages: list[str], said: Mapping[str, Any], statement_id: str) -> None:
    """Copies were read: `fixity`."""
    at, store, level = read_time(str(said["time"])), str(said["store"]), str(said["level"])
    proven = set(said.get("proven", ())) & set(packages)
    if level in PROOFS:
        catalogue.add_proofs(sorted(proven), store, level=level, at=at, ok=True, statement_id=statement_id)
    codes: dict[str, set[str]] = {}
    for finding in said.get("findings", ()):
        codes.setdefault(str(finding["package"]), set()).add(str(finding["code"]))
    for package in packages:
        if package in codes:
            state = MISSING if COPY_MISSING in codes[package] else SUSPECT
            _restate(catalogue, package, store, state)
            catalogue.add_proof(package, store, level=level, at=at, ok=False, statement_id=statement_id)
        elif package in proven:
            _restate(catalogue, package, store, PRESENT)


def _received(catalogue: Catalogue, packages: list[str], said: Mapping[str, Any], _: str) -> None:
    """A package came from another node: it was taken in then, unless it was before."""
    catalogue.note_ingests(dict.fromkeys(packages, read_time(str(said["time"]))))


def _dropped(catalogue: Catalogue, packages: list[str], said: Mapping[str, Any], _: str) -> None:
    for package in packages:
        _restate(catalogue, package, str(said["store"]), DROPPED)


def _deleted(catalogue: Catalogue, packages: list[str], said: Mapping[str, Any], statement_id: str) -> None:
    for package in packages:
        for replica in catalogue.replicas(package):
            if not replica.adopted:
                _restate(catalogue, package, replica.store, DROPPED)
        catalogue.tombstone(
            package, reason=str(said["reason"]), at=read_time(str(said["time"])), statement_id=statement_id
        )


def _restate(catalogue: Catalogue, package: str, store: str, state: str) -> None:
    """Another state for a copy that is known and was not given up."""
    for replica in catalogue.replicas(package):
        if replica.store == store and replica.state != state and (replica.state != DROPPED or state == DROPPED):
            catalogue.set_replica(package, store, replica.path, state=state)


def _assessed(catalogue: Catalogue, packages: list[str], entry: Entry) -> None:
    """Somebody judged data: it counts in the search."""
    for package in packages:
        catalogue.add_assessment(package, Assessment.of(entry.statement_id, entry.place, entry.statement.predicate))


def _corrected(catalogue: Catalogue, packages: list[str], _: Entry) -> None:
    """A package came with corrections, or somebody has made some: what is found is what holds now."""
    for package in packages:
        catalogue.restate_record(package)


def _derived(catalogue: Catalogue, _: list[str], entry: Entry) -> None:
    """Something was made from packages, some of which may lie elsewhere; what a chain does not show does not count."""
    made = Derivation.of(entry.statement_id, entry.place, entry.statement.predicate)
    shown = {subject.name for subject in entry.statement.subjects}
    if made.result in shown:
        catalogue.add_derivation(replace(made, sources=tuple(one for one in made.sources if one.package in shown)))


#: What is done with packages that the catalogue knows, and with what users say of any, which counts only where the
#: signature is theirs: by the effects of `diadem.model.statement_kinds`. The others stand in `apply`.
_EFFECTS = {
    "copies checked": _checked,
    "package received": _received,
    "copy dropped": _dropped,
    "package deleted": _deleted,
}
_SAID = {"judged": _assessed, "corrected": _corrected, "derived": _derived}
