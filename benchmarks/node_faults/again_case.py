"""A session is archived again while its copies are damaged: "already archived" means that the source may be deleted."""

from __future__ import annotations

from node_faults.case import Case
from node_faults.disk_case import faults, put_right
from node_faults.judging import judge_log, judge_untouched, log_lines
from node_faults.laboratory import SESSIONS
from node_faults.scenarios import find_new
from node_faults.sealed import Sealed, wounds


def again_case(case: Case) -> None:
    """Damage that nobody knows of; then the same session comes again, and is whole afterwards wherever that is said."""
    name = case.chance.choice([one for one in SESSIONS if _package(case, one) is not None])
    package = _package(case, name)
    assert package is not None
    if case.chance.random() < 0.4:
        faults(case, 1, allowed=lambda kind: "hints" in kind)
    faults(case, case.chance.randrange(1, 4), packages=[package])
    before, lines = case.world(), log_lines(case)
    source = case.place.source(name)
    archived = case.node.archive(source, now=True, as_one=True)
    case.did("archived again", f"{name}: {archived.what}, {[copy.to_dict() for copy in archived.copies]}")
    world = case.world()
    judge_untouched(case, before, world)
    judge_log(case, lines)
    new = {
        store: {path: files for path, files in folders.items() if files != before[store].get(path)}
        for store, folders in world.items()
    }
    find_new(case, new, source)
    case.unsaid.clear()
    whole = 0
    for copy in archived.copies:
        known = case.sealed.get(str(archived.package.id))
        hurt = (
            wounds(known, world.get(copy.store, {}).get(copy.path)) if known else [f"{archived.package.id} is unknown"]
        )
        whole += not hurt
        told = copy.created or copy.proof in ("written", "read-back", "server")
        case.require(not (told and hurt), f"said to be there, and is not whole: {copy} {hurt[:3]}")
    case.require(whole, "SAID TO BE ARCHIVED, AND NO COPY IS WHOLE: the source may be deleted now")
    case.node.scrub()
    put_right(case)


def _package(case: Case, name: str) -> Sealed | None:
    """The package of a session that is in one package only."""
    files = set(SESSIONS[name])
    found = [one for one in case.packages if len(files) + 3 == len(one.payload) and _holds(one, name)]
    return found[0] if len(found) == 1 else None


def _holds(package: Sealed, name: str) -> bool:
    return all(f"data/{file}" in package.files for file in SESSIONS[name] if file.isascii() and file != "CON.bin")
