"""Removing a package from a folder: it vanishes by one rename; what is left to delete is a stage like any other."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
from collections.abc import Container
from functools import partial
from pathlib import Path

from diadem.errors import DiademError, NotFound, Refused
from diadem.model.manifest import TAGMANIFEST
from diadem.package.examine import TagFiles, open_tag_files
from diadem.store.bundle import LocalBundle
from diadem.store.links import read_plain, refuse_links, through_link
from diadem.store.local_errors import or_else, translated
from diadem.store.local_hints import drop_hint, drop_hints_to, hints
from diadem.store.local_store import LocalStore
from diadem.store.own_files import make_folders
from diadem.store.stage import Swept, remove_tree
from diadem.store.system import allow, flush_folder, long_path, patiently
from diadem.store.taking import refuse_path, tree_of
from diadem.store.whole import write_whole


def remove(store: LocalStore, path: str) -> None:
    """Remove a package, its hints, and the folder of its year if nothing else is in it.

    Raises
    ------
    NotFound
        If nothing is there.
    Refused
        If it is no package.
    StoreError
        If the store cannot be written.
    """
    refuse_path(path)
    folder = refuse_links(store.root, store.root.joinpath(*path.split("/")))
    if not os.path.isdir(long_path(folder)):
        raise NotFound("there is no package", where=str(folder), next="Nothing to do.")
    if not os.path.isfile(long_path(folder / TAGMANIFEST)):
        raise Refused("it has no tag manifest, so it is not a package", where=str(folder), next="Remove it by hand.")
    _drop_hints(store, folder, path)
    with translated(str(folder), "the package may still be there"):
        _take_away(store, folder)
        _prune(store.root, folder)


def remove_empty(root: Path, path: str) -> None:
    """Remove what is left of a package that somebody has emptied: folders, and no file.

    Parameters
    ----------
    root : Path
        The store.
    path : str
        Path of the package in the store.

    Raises
    ------
    StoreError
        If the store cannot be written, or there is a file after all.
    """
    refuse_path(path)
    folder = refuse_links(root, root.joinpath(*path.split("/")))
    with translated(str(folder), "the empty folder may still be there"):
        for inner, _, _ in os.walk(long_path(folder)):
            allow(inner, stat.S_IRWXU)
        for inner, _, _ in os.walk(long_path(folder), topdown=False):
            patiently(partial(os.rmdir, inner))
        _prune(root, folder)


def _prune(root: Path, folder: Path) -> None:
    """Remove the folder of a package's year, if nothing else is in it."""
    with contextlib.suppress(OSError):
        for parent in folder.relative_to(root).parents:
            if parent.parts:
                os.rmdir(long_path(root / parent))


def _take_away(store: LocalStore, folder: Path) -> None:
    stage = store.stage()
    with or_else(stage.discard):
        os.rmdir(long_path(stage.bag))
        mode = stat.S_IMODE(os.stat(long_path(folder)).st_mode)
        allow(long_path(folder), mode | stat.S_IRWXU)
        try:
            patiently(lambda: os.rename(long_path(folder), long_path(stage.bag)))
        except OSError:  # Windows, while another program has a file of it open
            _remove_in_place(store, folder)
        flush_folder(long_path(folder.parent))
    with contextlib.suppress(OSError):  # the package is gone; what is left of it is swept
        stage.discard()


def _remove_in_place(store: LocalStore, folder: Path) -> None:
    """The tag manifest first, after a note that lets `finish_removals` go on where a crash stopped."""
    note = _note(store, folder)
    make_folders(note.parent)
    write_whole(note, json.dumps({"path": folder.relative_to(store.root).as_posix()}).encode())
    if os.name == "nt":
        os.chmod(long_path(folder / TAGMANIFEST), stat.S_IWRITE)
    patiently(lambda: os.unlink(long_path(folder / TAGMANIFEST)))
    flush_folder(long_path(folder))
    remove_tree(folder)
    patiently(lambda: os.unlink(long_path(note)))


def finish_removals(store: LocalStore, keep: Container[str] = ()) -> list[Swept]:
    """Go on with removals that were begun in place and not ended; a package that is whole again, or known, stays."""
    swept = []
    notes = store.private / "removals"
    if through_link(store.root, notes) is not None:
        return []
    try:
        names = sorted(os.listdir(long_path(notes)))
    except OSError:
        return []
    for name in names:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, DiademError):
            note = notes / name
            path = str(json.loads(read_plain(note, 4096))["path"])
            refuse_path(path)
            folder = refuse_links(store.root, store.root.joinpath(*path.split("/")))
            begun = os.path.isdir(long_path(folder)) and not os.path.lexists(long_path(folder / TAGMANIFEST))
            if begun and path not in keep:
                swept.append(Swept(str(folder), remove_tree(folder)))
            os.unlink(long_path(note))
    return swept


def _note(store: LocalStore, folder: Path) -> Path:
    name = hashlib.sha256(folder.relative_to(store.root).as_posix().encode()).hexdigest()
    return store.private / "removals" / f"{name}.json"


def _drop_hints(store: LocalStore, folder: Path, path: str) -> None:
    """Hints to this place. Where the package is too damaged to say which, all are looked through."""
    opened = _opened(folder)
    with contextlib.suppress(OSError):
        if opened is None:
            drop_hints_to(store.private, path)
            return
        _drop_known_hint(store, opened, path)


def _drop_known_hint(store: LocalStore, opened: TagFiles, path: str) -> None:
    payload = opened.payload_id
    for name, content in list(hints(store.private, "by-payload", payload)):
        if content == path:
            drop_hint(store.private, "by-payload", payload, name)
    if not any(True for _ in hints(store.private, "by-payload", payload)):
        drop_hint(store.private, "by-tree", tree_of(opened), payload)


def _opened(folder: Path) -> TagFiles | None:
    try:
        return open_tag_files(LocalBundle(folder))
    except (DiademError, OSError):
        return None
