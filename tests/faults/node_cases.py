"""What else can be lost: the catalogue, the log, a store, the whole machine; and a session that comes again."""

from __future__ import annotations

import shutil
import sqlite3
import uuid
from collections.abc import Callable
from pathlib import Path

import diadem
from diadem.errors import DiademError, IntegrityError
from diadem.testing.faults import overwrite, remove, truncate
from tests.faults.case import Case
from tests.faults.disk_case import faults, put_right, search
from tests.faults.laboratory import KIB, SESSIONS, STORES, write_files
from tests.faults.promises import judge_claims, judge_log, judge_status, judge_untouched, log_lines
from tests.faults.scenarios import find_new
from tests.faults.sealed import Sealed, wounds


def catalogue_case(case: Case) -> None:
    """The catalogue is gone, damaged, or of an earlier day; files of the stores are damaged too."""
    found, lines = search(case), log_lines(case)
    case.close()
    place = case.place.node / "catalogue.sqlite"
    how = case.chance.choice(["lost", "cut", "overwritten", "of an earlier day"])
    if how == "lost":
        for path in case.place.node.glob("catalogue.sqlite*"):
            path.unlink()
    elif how == "cut":
        truncate(place, case.chance.randrange(place.stat().st_size))
    elif how == "overwritten":
        start = case.chance.randrange(place.stat().st_size // 4096) * 4096
        overwrite(place, start, case.chance.randbytes(4096))
    else:
        shutil.copy(case.laboratory.early("catalogue.sqlite"), place)
    case.did("damaged catalogue", how)
    hurt = case.chance.random() < 0.5
    if hurt:
        faults(case, case.chance.randrange(1, 3))
    if how == "overwritten":
        case.rebuild()
    judge_log(case, lines)
    known = {copy for copy, wounds in case.hurt(case.world()).items() if wounds}
    judge_claims(case, case.world(), known=known, both=False)
    case.require(set(search(case)) == set(found), f"the search finds other packages: {search(case)}")
    case.require(len(search(case)) == len(case.sealed), "packages are missing from the catalogue")
    put_right(case)


def store_case(case: Case) -> None:
    """A disk is unplugged, another one lies in its place, or it is gone for good."""
    name = case.chance.choice(STORES)
    case.close()
    case.put_aside(name)
    instead = case.chance.choice(["nothing", "an empty folder", "the store of another node", "gone for good"])
    case.did("lost store", f"{name}: {instead}")
    if instead == "an empty folder":
        case.place.store(name).mkdir()
    elif instead == "the store of another node":
        _of_another(case.place.store(name))
    strange = _content(case.place.store(name))
    if case.chance.random() < 0.5:
        faults(case, 1, allowed=lambda kind: "both" not in kind)
    _while_it_is_away(case, name)
    case.require(_content(case.place.store(name)) == strange, "something was written where the store is not")
    case.close()
    if instead == "gone for good":
        _gone_for_good(case, name)
        return
    if case.place.store(name).exists():
        remove(case.place.store(name))
    case.put_back(name)
    put_right(case)
    hurt = {copy: wounds for copy, wounds in case.hurt(case.world()).items() if wounds}
    whole = {package for store, package in case.hurt(case.world()) if (store, package) not in hurt}
    case.require(whole == set(case.sealed), f"no whole copy any more: {set(case.sealed) - whole}")


def _while_it_is_away(case: Case, name: str) -> None:
    """Everything that can be done is done, and nothing is said of copies that nobody can read."""
    before = case.world()
    states = {copy: state for copy, state in case.states().items() if copy[0] == name}
    scrubbed = case.node.scrub()
    case.require([store for store, _ in scrubbed.unread] == [name], f"the store is away; unread: {scrubbed.unread}")
    case.require(not scrubbed.ok, "the scrub says that all is well, and a store is away")
    source = case.place.source("while away")
    write_files(source, {"x.bin": 30 * KIB}, seed=str(case.seed))
    archived = case.node.archive(source, now=True, as_one=True)
    case.require([debt.store for debt in archived.debts] == [name], f"debts while a store is away: {archived.debts}")
    case.node.repair()
    judge_untouched(case, before, case.world())
    from tests.faults.scenarios import find_new

    find_new(case, case.world(), source)
    judge_claims(case, case.world(), both=False, away=[name])
    judge_status(case, case.world(), away=[name])
    now = {copy: state for copy, state in case.states().items() if copy[0] == name}
    case.require(now.items() >= states.items(), "copies in a store that is away have another state")


def _gone_for_good(case: Case, name: str) -> None:
    """The node is told, a new disk is added, and everything is copied from what is left."""
    before = case.world()
    remove(case.place.root / f"{name}-unplugged")
    case.node.stores.lose(name, reason="the disk died")
    case.node.stores.add(str(case.place.store("third")), name="third", place="a third disk")
    case.stores = (next(store for store in STORES if store != name), "third")
    repaired = case.node.repair()
    left = {one.package for one in repaired.left} | {debt.package for debt in repaired.debts}
    judge_untouched(case, {store: folders for store, folders in before.items() if store != name}, case.world())
    hurt = case.hurt(case.world())
    for package in case.sealed.keys() - left:
        case.require(hurt.get(("third", package)) == [], f"no whole copy on the new disk: {package}")
    put_right(case)


def _of_another(folder: Path) -> None:
    (folder / ".diadem").mkdir(parents=True)
    other = uuid.uuid4()
    text = f'{{"format": "diadem-store/1", "store": "{other}", "name": "main", "node": "{"0" * 64}", "node_name": "x"}}'
    (folder / ".diadem" / "store.json").write_text(text)


def _content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def node_case(case: Case) -> None:
    """The machine is lost: the node is made again from one store, and the log goes on where the mirror ends."""
    lines, found = log_lines(case), search(case)
    case.close()
    name = case.chance.choice(STORES)
    remove(case.place.node)
    hurt = case.chance.random() < 0.5
    if hurt:
        faults(case, 1, allowed=lambda kind: "mirror" not in kind and "both" not in kind)
    node = diadem.Node.recover(case.place.node, str(case.place.store(name)), recovery_file=case.place.recovery)
    node.close()
    case.did("lost node", f"made again from {name}")
    judge_log(case, lines)
    case.require(case.node.context.ledger.epoch == 2, "the log did not begin a new epoch")
    case.require(set(search(case)) == set(found), f"the search finds other packages: {search(case)}")
    put_right(case)


def backup_case(case: Case) -> None:
    """The node's folder is put back from a backup: the stores know more than it does, and nothing may be said."""
    lines = log_lines(case)
    case.close()
    remove(case.place.node)
    shutil.copytree(case.laboratory.early(""), case.place.node)
    case.did("node of an earlier day")
    before = case.world()
    mirrors = {name: _content(case.place.store(name) / ".diadem" / "nodes") for name in STORES}
    source = case.place.source("after the backup")
    write_files(source, {"y.bin": 20 * KIB}, seed=str(case.seed))
    package = next(one for one in case.packages if b"Diadem-Continues" not in one.files["bag-info.txt"])  # known then
    verbs: list[Callable[[diadem.Node], object]] = [
        lambda node: node.archive(source, now=True, as_one=True),
        lambda node: node.scrub(),
        lambda node: node.repair(),
        lambda node: node.drop(package.id, "main", reason="a trial", below_minimum=True),
        lambda node: node.delete(package.id, reason="a trial"),
    ]
    for verb in case.chance.sample(verbs, 3):
        try:
            with diadem.open_node(case.place.node) as node:
                size = node.context.ledger.total
                verb(node)
                case.require(node.context.ledger.total == size, "A SECOND HISTORY WAS BEGUN: the log was appended to")
        except DiademError as error:
            case.require("mirror" in error.message or "holds" in error.message, f"refused for another reason: {error}")
    judge_untouched(case, before, case.world())
    for name in STORES:
        now = _content(case.place.store(name) / ".diadem" / "nodes")
        same = all(now.get(path) == data for path, data in mirrors[name].items() if path.endswith(".jsonl"))
        case.require(same, f"THE MIRROR IN {name} WAS OVERWRITTEN")
    remove(case.place.node)
    diadem.Node.recover(case.place.node, str(case.place.store("second")), recovery_file=case.place.recovery).close()
    judge_log(case, lines)
    put_right(case)


def log_case(case: Case) -> None:
    """Bytes of the log's file are other ones: it is noticed, or nothing is lost by it."""
    lines = log_lines(case)
    case.close()
    place = case.place.node / "log" / "log.sqlite"
    size = place.stat().st_size
    how = case.chance.choice(["flipped", "cut", "page"])
    if how == "flipped":
        start = case.chance.randrange(size)
        overwrite(place, start, case.chance.randbytes(1))
    elif how == "cut":
        truncate(place, case.chance.randrange(size))
    else:
        overwrite(place, case.chance.randrange(size // 4096) * 4096, case.chance.randbytes(4096))
    case.did("damaged log", how)
    before = case.world()
    try:
        with diadem.open_node(case.place.node) as node:
            node.scrub()
            problems = node.context.ledger.check()
            if problems:  # as `diadem doctor` says
                raise IntegrityError(problems[0])
            now = [entry.line for entry in node.context.ledger.all_entries()]
        case.require(now[: len(lines)] == lines, "the log is another one, and nobody noticed")
    except DiademError:
        case.counts["damaged log: noticed"] += 1
        remove(case.place.node)
        diadem.Node.recover(case.place.node, str(case.place.store("main")), recovery_file=case.place.recovery).close()
        now = log_lines(case)
        case.require(now[: len(lines)] == lines, f"the log of {len(lines)} entries came back with {len(now)}")
    except sqlite3.Error as error:
        case.broken(f"an error that is not DIADEM's: {error!r}")
        return
    judge_untouched(case, before, case.world())
    put_right(case)


# -- a session that comes again ------------------------------------------------------------------------------------


def again_case(case: Case) -> None:
    """Damage that nobody knows of; then the same session comes again, and is whole afterwards wherever that is said.

    "Already archived" means that the source may be deleted.
    """
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
    files = SESSIONS[name]
    found = [
        one
        for one in case.packages
        if len(files) + 3 == len(one.payload)
        and all(f"data/{file}" in one.files for file in files if file.isascii() and file != "CON.bin")
    ]
    return found[0] if len(found) == 1 else None
