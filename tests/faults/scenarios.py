"""Verbs under which the ground is taken away: what is prepared, which verb runs, and what must be true in the end."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.case import Case, Copy
from tests.faults.disk_case import faults
from tests.faults.laboratory import KIB, MIB, SESSIONS, STORES, write_files
from tests.faults.sealed import DERIVED, MANIFEST, TAGMANIFEST, Files, Sealed, World, identity, wounds


@dataclass
class Scenario:
    """A verb, ready to be disturbed.

    Attributes
    ----------
    verb, arguments : str, mapping
        For `tests.faults.verbs`.
    gone : collection of (store, package)
        Copies that the verb may give up.
    known : collection of (store, package)
        Copies that were damaged and that nobody has looked at yet.
    source : Path or None
        The folder that is archived.
    settle : callable
        What must be true once everything was repaired.
    again : bool
        Whether `settle` does the verb again, so that it must hold without a repair before it.
    last : callable
        What is done just before the verb.
    """

    verb: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    gone: Collection[Copy] = ()
    known: Collection[Copy] = ()
    source: Path | None = None
    settle: Callable[[Case], None] = lambda _: None
    again: bool = False
    last: Callable[[Case], None] = lambda _: None


def archive_new(case: Case) -> Scenario:
    """A session that nobody has archived."""
    source = case.place.source("new session")
    sizes = [case.chance.choice([0, 1, 40 * KIB, 700 * KIB, MIB, 2 * MIB + 5]) for _ in range(3)]
    write_files(source, {f"new {number}.bin": size for number, size in enumerate([*sizes, 10])}, seed=str(case.seed))
    return Scenario(
        "archive", {"source": str(source)}, source=source, settle=lambda case: _archived(case, source), again=True
    )


def archive_more(case: Case) -> Scenario:
    """More files of a session that is archived."""
    source = case.place.source(case.chance.choice(sorted(SESSIONS)))
    write_files(source, {"more/of it.bin": case.chance.choice([9, 80 * KIB, MIB + 3])}, seed=str(case.seed))
    return Scenario(
        "archive", {"source": str(source)}, source=source, settle=lambda case: _archived(case, source), again=True
    )


def _archived(case: Case, source: Path) -> None:
    """Archiving again finds or makes it whole, in both stores, and once only."""
    before = len(case.sealed) - len(case.unsaid)
    archived = case.node.archive(source, now=True, as_one=True)
    world = case.world()
    find_new(case, world, source)
    case.require(str(archived.package.id) in case.sealed, f"the archived package is nowhere: {archived.to_dict()}")
    case.require(not archived.debts, f"copies are owed: {archived.debts}")
    case.require(len(case.sealed) <= before + 1, "it was archived twice")
    case.unsaid.clear()
    hurt = case.hurt(world)
    for store in STORES:
        case.require(
            hurt.get((store, str(archived.package.id))) == [], f"no whole copy in {store} after archiving again"
        )
    kinds = [
        entry.statement.kind
        for entry in case.node.context.ledger.of_subject(str(archived.package.id).removeprefix("diadem:"))
    ]
    case.require(kinds.count("ingest") == 1, f"it was taken in {kinds.count('ingest')} times")


def repair_damage(case: Case) -> Scenario:
    """Damage that is known, to be mended."""
    faults(case, case.chance.randrange(1, 4), allowed=lambda kind: "copy" not in kind and "packages" not in kind)
    case.node.scrub()
    return Scenario("repair")


def repair_copies(case: Case) -> Scenario:
    """Whole copies that are gone, and parity with them."""
    faults(case, case.chance.randrange(1, 3), allowed=lambda kind: kind in ("lost copy", "damaged parity"))
    case.node.scrub()
    return Scenario("repair")


def grow(case: Case) -> Scenario:
    """A third store, and a policy that wants three copies."""
    policy = case.place.node / "policy.toml"
    case.close()
    policy.write_text("[copies]\nminimum = 3\n" + policy.read_text("utf-8"), "utf-8")
    case.stores = (*STORES, "third")
    return Scenario("grow", {"url": str(case.place.store("third"))}, settle=_grown)


def _grown(case: Case) -> None:
    if "third" not in case.node.context.stores.names:
        case.node.stores.add(str(case.place.store("third")), name="third", place="a third disk")
    case.node.repair()
    hurt = case.hurt(case.world())
    for package in case.sealed:
        case.require(hurt.get(("third", package)) == [], f"no whole copy in the third store: {package}")


def scrub(case: Case) -> Scenario:
    """Damage that nobody knows of."""
    faults(case, case.chance.randrange(0, 3))
    hurt = {copy for copy, found in case.hurt(case.world()).items() if found}
    return Scenario("scrub", known=hurt)


def drop(case: Case) -> Scenario:
    """One of two copies; sometimes the other one is damaged, and nobody knows: then it must not be dropped."""
    package, store = case.chance.choice(case.packages), case.chance.choice(STORES)
    arguments = {"package": package.id, "store": store}
    if case.chance.random() < 0.4:
        other = next(name for name in STORES if name != store)
        faults(case, 1, packages=[package], stores=[other], allowed=lambda kind: "byte" in kind or "file" in kind)
        hurt = {copy for copy, found in case.hurt(case.world()).items() if found}
        if hurt:
            return Scenario("drop", arguments, known=hurt, settle=_still_there)
    return Scenario("drop", arguments, {(store, package.id)}, settle=_still_there)


def _still_there(case: Case) -> None:
    hurt = case.hurt(case.world())
    for package in case.sealed:
        whole = [store for store in STORES if hurt.get((store, package)) == []]
        case.require(whole, f"THE LAST COPY IS GONE: {package}")


def delete(case: Case) -> Scenario:
    """A package whose retention is over."""
    package = case.chance.choice(case.packages)
    gone = {(store, package.id) for store in STORES}
    return Scenario("delete", {"package": package.id}, gone, settle=lambda case: _deleted(case, package))


def _deleted(case: Case, package: Sealed) -> None:
    """All of it is there, or none."""
    said = case.node.context.ledger.of_subject(package.id.removeprefix("diadem:"))
    stated = any(entry.statement.kind == "tombstone" for entry in said)
    world = case.world()
    there = [store for store in STORES if package.path in world[store]]
    whole = [store for store in STORES if not wounds(package, world[store].get(package.path))]
    if stated:
        case.require(not there, f"deleted by the log, and still there: {there}")
        case.sealed.pop(package.id)
    else:
        case.require(len(whole) == len(STORES), f"not deleted by the log, and gone: whole in {whole}")


def reindex(case: Case) -> Scenario:
    """A catalogue that is built anew, over an old one or none."""
    return Scenario("reindex", last=_lose_catalogue if case.chance.random() < 0.5 else lambda _: None)


def _lose_catalogue(case: Case) -> None:
    for path in case.place.node.glob("catalogue.sqlite*"):
        path.unlink()


#: Every scenario, and how often it comes up beside the others.
SCENARIOS: Mapping[str, tuple[Callable[[Case], Scenario], int]] = {
    "archive": (archive_new, 4),
    "continuation": (archive_more, 2),
    "repair of damage": (repair_damage, 4),
    "repair of lost copies": (repair_copies, 2),
    "third store": (grow, 1),
    "scrub": (scrub, 1),
    "drop": (drop, 3),
    "delete": (delete, 2),
    "reindex": (reindex, 1),
}


# -- packages that a case made -----------------------------------------------------------------------------------------


def find_new(case: Case, world: World, source: Path) -> None:
    """Packages in the stores that were not there before: each must be a whole bag, its payload that of the source."""
    for store, folders in world.items():
        for path, files in folders.items():
            package = identity(files)
            if package in case.unsaid:
                partial = wounds(case.sealed[package], files)
                case.require(not partial, f"a package is visible and not whole: {store}/{path}: {partial[:3]}")
            if package in case.sealed or _is_known_damage(case, path, files):
                continue
            wrong = [*bag_faults(files), *_differences(case, files, source)]
            case.require(not wrong, f"a package is visible and not whole: {store}/{path}: {wrong[:3]}")
            if package is not None and not wrong:
                case.sealed[package] = _sealed(package, path, files, source)
                case.unsaid.add(package)


def _is_known_damage(case: Case, path: str, files: Files) -> bool:
    """Whether a folder is the place of a known package, and no whole bag."""
    return any(path == one.path for one in case.packages) and next(bag_faults(files), None) is not None


def _sealed(package: str, path: str, files: Files, source: Path) -> Sealed:
    plain = {name: data for name, data in files.items() if data is not None}
    places = {name: source / name.removeprefix("data/") for name in plain if name.startswith("data/")}
    times = {
        name: place.stat().st_mtime_ns for name, place in places.items() if place.is_file() and name not in DERIVED
    }
    return Sealed(package, path, plain, times)


def bag_faults(files: Files) -> Iterator[str]:
    """What is wrong with a bag by its own manifests, checked with nothing but SHA-256."""
    listed: dict[str, str] = {}
    for name in (TAGMANIFEST, MANIFEST):
        if files.get(name) is None:
            yield f"{name} is missing"
            return
        for line in (files[name] or b"").decode("utf-8", "replace").splitlines():
            digest, _, path = line.partition("  ")
            listed[path] = digest
    for path, digest in listed.items():
        data = files.get(path)
        if data is None or hashlib.sha256(data).hexdigest() != digest:
            yield f"{path} is missing or damaged"
    yield from (f"{path} is not listed" for path in files if path not in listed and path != TAGMANIFEST)


def _differences(case: Case, files: Files, source: Path) -> Iterator[str]:
    """Payload files that are not the source's, and the source's files that are in no package. Names may be mapped."""
    originals = {path.read_bytes(): path.name for path in source.rglob("*") if path.is_file()}
    payload = {name: data for name, data in files.items() if name.startswith("data/") and name not in DERIVED}
    yield from (f"{name} is not a file of the source" for name, data in payload.items() if data not in originals)
    earlier = {data for one in case.packages for data in one.files.values()}
    lacking = [name for data, name in originals.items() if data not in payload.values() and data not in earlier]
    yield from (f"{name} is in no package" for name in lacking)
