"""What every store keeps of the node: settings, what people wrote, what others signed, sealed keys, the catalogue.

The log has its own mirror, batch by batch (`diadem.custody.log_mirrors`). Everything here is small, is written whole,
and lets a lost node be made again, or another PC search the store."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from diadem.custody.remedies import copy_command
from diadem.errors import DiademError, Refused, StoreError, Unreachable, line_of
from diadem.node.config import FILE, StoreSettings, parse_settings, read_settings
from diadem.node.context import POLICY_FILE, Context
from diadem.node.instruments import INSTRUMENTS_FILE
from diadem.serialization.toml_text import person_text
from diadem.store.own_files import home_of
from diadem.store.system import translated
from diadem.store.whole import write_whole

if TYPE_CHECKING:
    from diadem.store.contract import Store


SEALED_KEYS = "identities.age"
#: Saved searches, see `diadem.node.saved_searches`.
QUERIES_FILE = "queries.toml"
#: What a person wants of single sessions in watched folders, see `diadem.node.watch.plan`.
PLAN_FILE: Final = "watch/plan.csv"
#: What people write beside the settings and the policy.
WRITTEN: Final = (QUERIES_FILE, INSTRUMENTS_FILE, PLAN_FILE)
#: In the node's folder: what other nodes signed about transfers, ``<transfer>/<node>.json``.
KEPT_CHAINS: Final = "network/chains"
#: The same in a store, with its bytes in the key: of two chains the one with more bytes says more (ADR 0024).
_CHAINS: Final = "chains"
_CHAIN: Final = re.compile(r"([0-9a-f-]{8,80})/([0-9a-f]{64})-([1-9][0-9]{0,11})\.json")
#: Beside them in the node's folder: the stores that were given all of them. A chain that comes removes it.
MIRRORED: Final = "mirrored.json"
SNAPSHOT = "catalogue.sqlite"
#: SHA-256 of the snapshot: who has it need not fetch it again.
SNAPSHOT_DIGEST = "catalogue.sha256"
#: In the node's folder: what the last snapshot knew, see `_Snapshot`.
_NOTE: Final = "snapshot.json"
#: There too, while it is written into the stores.
_SCRATCH: Final = ".snapshot.sqlite"
#: A snapshot that takes longer than these seconds is made more rarely: this part of the time is spent on it at most.
_QUICK, _SHARE = 1.0, 0.01


def mirror(context: Context) -> None:
    """Bring the mirrors in the stores up to date, of a node that stays open."""
    with contextlib.suppress(DiademError, OSError):
        size = context.ledger.size
        if context.writable and (size != context.mirrored_at or _owes_chains(context)):
            context.mirrored_at = size
            _mirror(context)
        elif context.writable and (size != context.opened_at or _lacks_datasets(context)):
            _mirror_catalogue_if_due(context)  # it may not have been due when the log grew


def _mirror(context: Context) -> None:
    """What was done is done: a store or a disk that fails now gets its part the next time."""
    for step in (lambda _: context.ledger.mirrors.push(), _mirror_edited, _mirror_chains, _mirror_catalogue_if_due):
        with contextlib.suppress(DiademError, OSError):
            step(context)


def close(context: Context) -> None:
    """Bring the mirrors up to date if there is something new, and release everything."""
    with contextlib.ExitStack() as closing:
        for release in (context.catalogue.close, context.ledger.close, context.close_kept):
            closing.enter_context(contextlib.suppress(DiademError, OSError))
            closing.callback(release)
        with contextlib.suppress(DiademError, OSError):
            grown = context.ledger.size != context.opened_at
            if context.writable and (grown or _owes_chains(context) or _lacks_datasets(context)):
                _mirror(context)
        with contextlib.suppress(DiademError, OSError):
            if context.writable:
                context.stores.note_answers(context.folder, context.clock())


def mirror_everything(context: Context) -> None:
    """Write all of it into the stores that answer: one was added, or lies elsewhere now."""
    mirror_settings(context)
    context.ledger.mirrors.push()
    with contextlib.suppress(DiademError, OSError):
        (context.folder / KEPT_CHAINS / MIRRORED).unlink(missing_ok=True)
        _mirror_chains(context)
    mirror_catalogue(context)


def forget_mirror(context: Context, known: StoreSettings) -> None:
    """Count what lies at the place of a store as kept no longer: it is given up, or lies elsewhere now."""
    from diadem.store import open_store

    with contextlib.suppress(DiademError):  # an address that nothing here understands, or a log that is only read
        context.ledger.mirrors.forget(open_store(known.url, context.stores.options(known.name)).url)


# -- what people write, and sealed keys --------------------------------------------------------------------------------


def mirror_settings(context: Context) -> None:
    """Write settings, policy, searches and sealed keys into the stores that answer, as they are on the disk now."""
    from diadem.node.recovery_file import seal_keys

    # Where this machine's disk fails, what was changed here is changed. Of two processes that changed something the
    # last writes what is so in the end.
    with contextlib.suppress(StoreError, Unreachable), context.locked("mirror"):
        settings, files = read_settings(context.folder), _edited(context)
        if settings.recovery_recipient:
            files[SEALED_KEYS] = seal_keys(dict(context.keys.files()), settings.recovery_recipient)
        _put(context, files)


def _mirror_edited(context: Context) -> None:
    """Write what people edit into the stores that have it otherwise: no command sees them do it."""
    with context.locked("mirror"):  # who changes the settings meanwhile writes them after this
        _put(context, _edited(context), changed=True)


def _put(context: Context, files: Mapping[str, bytes], *, changed: bool = False) -> None:
    """Write files into the stores that answer; with `changed` only those that a store has otherwise."""
    for _, store in context.stores.opened():
        for name, data in files.items():
            key = f"{home_of(context.settings.id)}/{name}"
            with contextlib.suppress(DiademError):  # what a store does not take now it gets the next time
                if not changed or store.get(key) != data:
                    store.put(key, data)


def _edited(context: Context) -> dict[str, bytes]:
    """Settings and policy, if they can be read, and what people wrote: what cannot takes the place of no copy."""
    from diadem.policy.policy_text import read_policy

    files = {}
    with contextlib.suppress(DiademError, OSError):
        data = (context.folder / FILE).read_bytes()
        parse_settings(person_text(data, FILE), where=FILE)
        files[FILE] = data
    with contextlib.suppress(DiademError):
        policy = context.policy_bytes()
        if policy and read_policy(person_text(policy, POLICY_FILE)):
            files[POLICY_FILE] = policy
    for name in WRITTEN:
        with contextlib.suppress(OSError):
            files[name] = (context.folder / name).read_bytes()
    return {name: data for name, data in files.items() if data.strip()}


def require_policy(context: Context) -> None:
    """Refuse to give anything up while nobody knows what the group agreed on."""
    from diadem.policy.node_rules import POLICY_AGAIN

    context.require_writable()
    if lost := context.policy_lost():
        raise Refused(
            f"policy.toml {lost}: nothing is dropped or deleted until the rules of the group are known",
            where=str(context.folder / POLICY_FILE),
            next=policy_back(context) or POLICY_AGAIN,
        )


def policy_back(context: Context) -> str:
    """The command that puts a store's copy of the policy back; "" where no store that answers has one.

    Of a store that is not a folder, it says where the copy lies: there is no command for that.
    """
    key = f"{home_of(context.settings.id)}/{POLICY_FILE}"
    for _, store in sorted(context.stores.opened(), key=lambda item: not item[1].is_folder):
        with contextlib.suppress(DiademError):
            if store.get(key) is not None:
                target = context.folder / POLICY_FILE
                if store.is_folder:
                    return copy_command(Path(store.url) / ".diadem" / key, target)
                return f"fetch {store.url}/.diadem/{key} to {target}"
    return ""


# -- what other nodes signed -------------------------------------------------------------------------------------------


def _owes_chains(context: Context) -> bool:
    """Whether a chain came that no store was given yet."""
    folder = context.folder / KEPT_CHAINS
    return folder.is_dir() and not (folder / MIRRORED).exists()


def _mirror_chains(context: Context) -> None:
    """Write what other nodes signed about transfers into the stores that lack it; a longer chain replaces a shorter."""
    folder, place = context.folder / KEPT_CHAINS, f"{home_of(context.settings.id)}/{_CHAINS}"
    if not folder.is_dir():
        return
    given: set[str] = set()
    with contextlib.suppress(OSError, ValueError, TypeError):
        given = {str(name) for name in json.loads((folder / MIRRORED).read_bytes())}
    if {one.id for one in context.settings.stores} <= given:
        return
    write_whole(folder / MIRRORED, json.dumps(sorted(given)).encode())  # a chain that comes from now on removes it
    here = {(path.parent.name, path.stem): (path.stat().st_size, path) for path in folder.glob("*/*.json")}
    for one, store in context.stores.opened():
        with contextlib.suppress(DiademError, OSError):  # a store that does not answer gets it the next time
            if one.id not in given:
                _give(store, place, here)
                given.add(one.id)
    if (folder / MIRRORED).exists():
        write_whole(folder / MIRRORED, json.dumps(sorted(given)).encode())


def _give(store: Store, place: str, here: Mapping[tuple[str, str], tuple[int, Path]]) -> None:
    there = _sizes(store, place)
    for (transfer, node), (size, path) in here.items():
        known = there.get((transfer, node), [])
        if size not in known and size > max(known, default=0):
            store.put(f"{place}/{transfer}/{node}-{size}.json", path.read_bytes())
        for shorter in (one for one in known if one < size):
            store.delete(f"{place}/{transfer}/{node}-{shorter}.json")


def _sizes(store: Store, place: str) -> dict[tuple[str, str], list[int]]:
    """Bytes of the chains that a store has, by transfer and node; the longest first."""
    found: dict[tuple[str, str], list[int]] = {}
    for key in store.keys(place):
        if (told := _CHAIN.fullmatch(key.removeprefix(f"{place}/"))) is not None:
            found.setdefault((told[1], told[2]), []).append(int(told[3]))
    return {name: sorted(sizes, reverse=True) for name, sizes in found.items()}


def bring_chains(store: Store, place: str, folder: Path) -> tuple[list[str], list[str]]:
    """Put the chains that a store keeps into a node's folder, where they are not, or are shorter.

    A shorter one stays beside it. Returns which were put there, and what could not be, in words.
    """
    brought: list[str] = []
    failed: list[str] = []
    try:
        found = _sizes(store, f"{place}/{_CHAINS}")
    except (DiademError, OSError) as error:
        return brought, [f"what other nodes signed about transfers was not brought back: {line_of(error)}"]
    for (transfer, node), sizes in found.items():
        name = f"{KEPT_CHAINS}/{transfer}/{node}.json"
        path = folder / name
        here = path.stat().st_size if path.is_file() else 0
        for size in (one for one in sizes if one > here):
            try:
                data = store.get(f"{place}/{_CHAINS}/{transfer}/{node}-{size}.json")
                if data is None or len(data) != size:
                    continue
                for part in reversed(path.relative_to(folder).parents[:-1]):
                    (folder / part).mkdir(mode=0o700, exist_ok=True)
                if here:
                    shutil.copyfile(path, path.with_suffix(f".{here}"))
                write_whole(path, data, mode=0o600)
            except (DiademError, OSError) as error:
                failed.append(f"what node {node[:16]} signed was not brought back: {line_of(error)}")
            else:
                brought.append(name)
                break
    return brought, failed


# -- the catalogue -----------------------------------------------------------------------------------------------------


def _mirror_catalogue_if_due(context: Context) -> None:
    """Write a snapshot where the log has grown since the last one, unless that was just now and took long.

    A catalogue of 100,000 packages has gigabytes: whoever archives a session does not wait for two copies of it each
    time. What a snapshot does not know yet, a lost node has from the log and the packages.
    """
    last = _last_snapshot(context)
    pause = 0.0 if last.seconds < _QUICK else last.seconds / _SHARE
    behind = last.statements != context.ledger.total or _lacks_datasets(context)
    if behind and not 0 <= time.time() - last.at < pause:
        mirror_catalogue(context)


class _Snapshot(NamedTuple):
    """What the note of the last snapshot says: when it was made, and how long that took."""

    statements: int = -1
    at: float = 0.0
    seconds: float = 0.0
    #: Packages whose datasets were still to be entered then.
    owed: int = 0


def _last_snapshot(context: Context) -> _Snapshot:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        note = json.loads((context.folder / _NOTE).read_bytes())
        return _Snapshot(int(note["statements"]), float(note["at"]), float(note["seconds"]), int(note.get("owed", 0)))
    return _Snapshot()


def _lacks_datasets(context: Context) -> bool:
    """Whether datasets were entered that the last snapshot has not got: the log does not grow by that."""
    owed = _last_snapshot(context).owed
    return bool(owed) and owed != len(context.catalogue.owed())


def mirror_catalogue(context: Context) -> None:
    """Write a snapshot of the catalogue into the stores that answer; one that fails keeps the snapshot that it has."""
    begun = time.time()
    of_this_machine = contextlib.suppress(StoreError, Unreachable)  # a store that fails is passed over below
    # Beside the catalogue, where there is room for one: a folder for temporary files may be of memory.
    path, place = context.folder / _SCRATCH, home_of(context.settings.id)
    with of_this_machine, context.locked("mirror"), translated(str(path)), ExitStack() as end:
        end.callback(_remove_scratch, context.folder)
        _remove_scratch(context.folder)  # of a process that was killed
        statements, owed = context.ledger.total, len(context.catalogue.owed())
        context.catalogue.snapshot(path)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        for _, store in context.stores.opened():
            with contextlib.suppress(DiademError):
                store.put_file(f"{place}/{SNAPSHOT}", path)
                store.put(f"{place}/{SNAPSHOT_DIGEST}", f"{digest}\n".encode())
        took = round(time.time() - begun, 3)
        note = {"statements": statements, "at": time.time(), "seconds": took, "owed": owed}
        write_whole(context.folder / _NOTE, json.dumps(note).encode())


def _remove_scratch(folder: Path) -> None:
    """Remove the node's own copy of the snapshot, and drafts of the note about it."""
    with contextlib.suppress(OSError):
        for pattern in (f"{_SCRATCH}*", f".{_SCRATCH}.*", f".{_NOTE}.*"):
            for path in folder.glob(pattern):
                path.unlink()
