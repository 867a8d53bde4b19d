"""Whether a node kept its promises: what the harness knows by itself, held against what the node says."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from diadem.model.replicas import MISSING, SUSPECT
from diadem.model.report import Report, Severity
from tests.faults.case import Case, Copy
from tests.faults.sealed import (
    INDEX,
    LEAF,
    LEAVES,
    MANIFEST,
    TAGMANIFEST,
    Files,
    Sealed,
    World,
    Wound,
    identity,
    wounds,
)

if TYPE_CHECKING:
    from diadem.node.keep.scrub import Scrubbed

_NOTHING = object()


# -- every damage is found, and named ----------------------------------------------------------------------------------


def judge_scrub(case: Case, scrubbed: Scrubbed, world: World, *, away: Collection[str] = ()) -> None:
    """Every damage that lies there is named by package, store, file and leaf; nothing else is."""
    told = {(damage.store, damage.package): damage.report for damage in scrubbed.damaged}
    case.require({store for store, _ in scrubbed.unread} == set(away), f"unread stores: {scrubbed.unread}")
    for copy, hurt in case.hurt(world).items():
        if copy[0] in away:
            continue
        if not hurt:
            case.require(copy not in told, f"a good copy is said to be damaged: {copy} {_words(told.get(copy))}")
            continue
        if copy not in told:
            case.broken(f"damage not found: {copy} {hurt[:3]}")
            continue
        found = world.get(copy[0], {}).get(case.paths()[copy]) or {}
        _judge_report(case, case.sealed[copy[1]], copy, hurt, told[copy], found)
    case.require(scrubbed.ok == (not scrubbed.damaged and not away), "the scrub's own verdict does not fit")


def _judge_report(case: Case, sealed: Sealed, copy: Copy, hurt: list[Wound], report: Report, found: Files) -> None:
    for wound in hurt:
        how = _named(report, wound, sealed, found)
        case.counts[f"damage named by {how}"] += 1
        case.require(how != "nobody", f"damage not named: {copy} {wound} {_words(report)}")
    if _sound(sealed, found, TAGMANIFEST, INDEX, LEAVES):
        paths = {wound.path for wound in hurt}
        leaves = {(wound.path, wound.leaf) for wound in hurt if wound.leaf is not None}
        for finding in report.findings:
            wrong = finding.severity is Severity.ERROR and (finding.path or "").startswith("data/")
            if wrong and finding.path not in paths:
                case.broken(f"a good file is accused: {copy} {finding.path} {finding.code}")
            if wrong and finding.code == "leaf-mismatch" and any(path == finding.path for path, _ in leaves):
                case.require((finding.path, finding.leaf) in leaves, f"a good leaf is accused: {copy} {finding}")


def _named(report: Report, wound: Wound, sealed: Sealed, found: Files) -> str:
    """By what a report names a wound: "leaf", "file", "copy" (its tag files are damaged too), or "nobody"."""
    errors = [finding for finding in report.findings if finding.severity is Severity.ERROR]
    if wound.kind == "copy" or not _sound(sealed, found, TAGMANIFEST):
        return "copy" if errors else "nobody"
    by_leaf, by_file = _sound(sealed, found, INDEX, LEAVES), _sound(sealed, found, MANIFEST)
    if wound.leaf is not None and by_leaf:
        return "leaf" if any((one.path, one.leaf) == (wound.path, wound.leaf) for one in errors) else "nobody"
    if any(finding.path == wound.path for finding in errors):
        return "file"
    known = by_leaf or by_file or (wound.path in sealed.files and not wound.path.startswith("data/"))
    if wound.kind in ("extra", "missing"):
        known = known or _sound(sealed, found, INDEX)
    return "nobody" if known or not errors else "copy"


def _sound(sealed: Sealed, found: Files, *names: str) -> bool:
    return all(found.get(name) == sealed.files[name] for name in names)


def _words(report: Report | None) -> str:
    return "; ".join(f"{one.code} {one.path} {one.leaf}" for one in report.findings[:6]) if report else "–"


# -- never "good" on what is not ---------------------------------------------------------------------------------------


def judge_claims(
    case: Case, world: World, *, known: Collection[Copy] = (), both: bool = True, away: Collection[str] = ()
) -> None:
    """What the catalogue calls proven is whole; with `both`, what is whole is not called damaged.

    `known` are copies of which nobody could know yet.
    """
    for package in case.node.context.catalogue.package_states():
        sealed = case.sealed.get(package.id)
        if package.tombstoned:
            continue
        if sealed is None:
            case.broken(f"the catalogue has a package that nobody sealed: {package.id} {package.title}")
            continue
        for replica in package.replicas:
            copy = (replica.store, package.id)
            if replica.store in away or replica.store not in case.stores or copy in known:
                continue
            hurt = wounds(sealed, world.get(replica.store, {}).get(replica.path))
            if replica.proven and hurt:
                case.broken(f"called proven, and is not whole: {copy} at {replica.path}: {hurt[:3]}")
            if both and replica.state in (SUSPECT, MISSING) and not hurt:
                case.broken(f"called {replica.state}, and is whole: {copy}")


def judge_status(case: Case, world: World, *, away: Collection[str] = ()) -> None:
    """The status is good only where every package has its two whole copies."""
    status = case.node.status()
    paths = case.paths()
    whole: dict[str, int] = {}
    for (store, package), path in paths.items():
        if package in case.sealed and store not in away:
            whole[package] = whole.get(package, 0) + (not wounds(case.sealed[package], world[store].get(path)))
    deleted = {one.id for one in case.node.context.catalogue.package_states() if one.tombstoned}
    expected = case.sealed.keys() - deleted - case.unsaid
    poor = [package for package in expected if whole.get(package, 0) < 2]
    if poor:
        case.require(not status.ok, f"the status is good, and {poor} have less than two whole copies")


# -- never a good copy lost --------------------------------------------------------------------------------------------


def judge_untouched(case: Case, before: World, after: World, *, gone: Collection[Copy] = ()) -> None:
    """No byte that was right is another now, and a wrong one is as it was or right; `gone` are copies given up."""
    for store, folders in before.items():
        for folder, files in folders.items():
            whose = _whose(case, folder, files)
            if whose is None or (store, whose.id) in gone:
                continue
            now = after.get(store, {}).get(folder, {})
            for path, data in files.items():
                _judge_file(case, whose, f"{store}/{folder}/{path}", path, data, now)
            for path in now.keys() - files.keys():
                right = whose.files.get(path)
                case.require(now[path] == right, f"a file appeared that is not right: {store}/{folder}/{path}")


def _judge_file(case: Case, whose: Sealed, where: str, path: str, data: bytes | None, now: Files) -> None:
    right, there = whose.files.get(path), now.get(path, _NOTHING)
    if right is None:
        case.require(there == data or _is_aside(case, data), f"a stranger vanished: {where}")
    elif data == right:
        case.require(there == data, f"A GOOD FILE WAS LOST: {where}")
    elif there is _NOTHING:
        forgotten = data is None and any(name.startswith("power cut") for name in case.counts)
        case.require(forgotten, f"a damaged file vanished: {where}")  # the disk that loses power knows no links
    elif there not in (data, right):
        told = f"a damaged file became another damaged file: {where}"
        case.require(_leaf_by_leaf(data, there, right, ended=_ended(case, where.partition("/")[0])), told)


def _ended(case: Case, store: str) -> str:
    """What ended the mending of a leaf in a store, where the note of it is there: ``power``, ``space``; else ""."""
    if not any((case.place.store(store) / ".diadem" / "mending").glob("*.json")):
        return ""
    ends = {"power cut in repair": "power", "no space in repair": "space"}
    return next((end for name in case.counts for begun, end in ends.items() if name.startswith(begun)), "")


def _leaf_by_leaf(before: bytes | None, now: object, right: bytes, *, ended: str) -> bool:
    """Whether each leaf is as it was, or right; or was damaged, and was being written when that was `ended`.

    What a leaf is mended with is proven first and kept elsewhere, so a torn one is mended again. A full disk leaves
    each byte as it was, or right; the power, anything.
    """
    if before is None or not isinstance(now, bytes) or not len(before) == len(now) == len(right):
        return False
    places = [slice(start, start + LEAF) for start in range(0, len(now), LEAF)]
    torn = [place for place in places if now[place] not in (before[place], right[place])]
    if ended == "power":
        return all(before[place] != right[place] for place in torn)
    if ended == "space":
        return all(byte in both for byte, *both in zip(now, before, right, strict=True))
    return not torn


def _is_aside(case: Case, data: bytes | None) -> bool:
    """Whether something lies in a quarantine."""
    folders = [case.place.store(store) / ".diadem" / "quarantine" for store in case.stores]
    return any(path.is_file() and path.read_bytes() == data for folder in folders for path in folder.rglob("*"))


def _whose(case: Case, folder: str, files: Files) -> Sealed | None:
    """The package that lies, or should lie, in a folder."""
    if (known := case.sealed.get(identity(files) or "")) is not None:
        return known
    return next((one for one in case.packages if folder == one.path or folder.startswith(f"{one.path}-")), None)


def judge_outside(case: Case, before: Mapping[str, bytes]) -> None:
    """Nothing was written through a link, or under a second name."""
    case.require(case.outside() == before, "a file outside the stores was written")


# -- the log -----------------------------------------------------------------------------------------------------------


def log_lines(case: Case) -> list[bytes]:
    """Every entry of the log."""
    return [entry.line for entry in case.node.context.ledger.all_entries()]


def judge_log(case: Case, before: list[bytes]) -> None:
    """The log holds everything that it held, its tree is what its checkpoint says, and every signature holds."""
    from diadem.trust.envelope import Envelope
    from diadem.trust.keys import PublicKey
    from diadem.trust.note import open_checkpoint
    from diadem.trust.tree import leaf_hash, root_of

    context = case.node.context
    ledger, lines = context.ledger, log_lines(case)
    case.require(lines[: len(before)] == before, f"THE LOG LOST ENTRIES: {len(before)} before, {len(lines)} now")
    for epoch in ledger.epochs:
        entries = list(ledger.entries(epoch=epoch))
        text = ledger.checkpoint(epoch=epoch)
        checkpoint = open_checkpoint(text, ledger.log_key(epoch), text.partition("\n")[0])
        root = root_of([leaf_hash(entry.line) for entry in entries])
        fits = (checkpoint.size, checkpoint.root) == (len(entries), root)
        case.require(fits, f"the checkpoint of epoch {epoch} does not fit its entries")
    known = [context.keys.open("online").public, *(PublicKey.from_text(user.key) for user in context.settings.users)]
    for entry in ledger.all_entries():
        if entry.statement.kind not in ("key", "recovery"):
            case.require(Envelope.from_line(entry.line).signers(known), f"entry {entry.index} is signed by nobody")


def judge_mirrors(case: Case, *, hurt: Collection[str] = (), away: Collection[str] = ()) -> None:
    """Every mirror holds the whole log after a push, but those that were damaged by hand."""
    from diadem.custody.log_mirrors import log_folder, unpack_batch

    context = case.node.context
    failed = context.ledger.mirrors.push()
    lines = log_lines(case)
    for settings, store in context.stores.opened():
        if settings.name in hurt or settings.name in away:
            continue
        mirrored: list[bytes] = []
        for key in store.keys(log_folder(context.settings.id)):
            mirrored += unpack_batch(store.get(key) or b"", key)[0]
        case.require(
            mirrored == lines, f"the mirror in {settings.name} holds {len(mirrored)} of {len(lines)}: {failed}"
        )
