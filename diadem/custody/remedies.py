"""What brings a lost or damaged file of a node back: the command, with what the node itself still knows filled in.

Nothing here raises: it is asked where something else has failed already.
"""

from __future__ import annotations

import os
import sqlite3
import tomllib
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diadem.errors import DiademError
from diadem.model.plain_text import quoted
from diadem.store.addresses import local_path
from diadem.store.own_files import home_of
from diadem.store.sqlite_file import SQLITE_FAULTS


@dataclass(frozen=True, slots=True)
class _Known:
    """What can still be read of a node: its id, the addresses of its stores, where its recovery file lies."""

    node: str = ""
    stores: tuple[str, ...] = ()
    recovery: str = ""


def recover_command(folder: object = "FOLDER", store: object = "STORE", file: object = "FILE") -> str:
    """The command that makes a lost node again from a store; words in capitals are the reader's to fill in."""
    return f"diadem init {quoted(folder)} --recover {quoted(store)} --recovery-file {quoted(file)}"


def recover_here(folder: Path) -> str:
    """The command that brings back what a node has lost, in its own folder."""
    known = _known(folder)
    files = [Path(one) for one in (known.recovery, f"{folder}-recovery.txt") if one]
    file = next((str(one) for one in files if one.is_file()), "FILE")
    store = next((one for one in known.stores if _home(one, known.node).is_dir()), next(iter(known.stores), "STORE"))
    return recover_command(folder, store, file)


def copy_back(folder: Path, name: str) -> str:
    """The command that puts back the copy of a plain file of the node that a store has."""
    known = _known(folder)
    copies = (_home(store, known.node) / name for store in known.stores if known.node)
    copy = next((one for one in copies if one.is_file()), None)
    return copy_command(copy, folder / name) if copy else recover_here(folder)


def copy_command(source: Path, target: Path) -> str:
    """The command of this system that copies a file."""
    return f"{'copy' if os.name == 'nt' else 'cp'} {quoted(source)} {quoted(target)}"


def aside_command(path: Path) -> str:
    """The command of this system that moves a damaged file aside; it is made anew, empty."""
    return f"{'move' if os.name == 'nt' else 'mv'} {quoted(path)} {quoted(f'{path}.damaged')}"


def _home(store: str, node: str) -> Path:
    """The folder of the node in a store; of a store that is not a folder, one that is not there."""
    try:
        place = local_path(store)
    except DiademError:
        place = None
    return (place or Path(os.devnull)) / ".diadem" / home_of(node)


def _known(folder: Path) -> _Known:
    """From the settings, as far as they can be read, and from the log, which knows its mirrors."""
    document: dict[str, Any] = {}
    with suppress(OSError, ValueError):
        document = tomllib.loads((folder / "node.toml").read_text("utf-8-sig"))
    tables = [table for table in _listed(document.get("stores")) if isinstance(table, dict)]
    stores, node = [str(table["url"]) for table in tables if table.get("url")], str(document.get("id", ""))
    recovery = document.get("recovery")
    with suppress(*SQLITE_FAULTS), closing(sqlite3.connect(read_only_uri(folder / "log/log.sqlite"), uri=True)) as log:
        stores += [str(row[0]) for row in log.execute("SELECT url FROM mirrors")]
        found = log.execute("SELECT value FROM about WHERE name = 'node'").fetchone()
        node = str(found[0]) if found else node
    return _Known(
        node, tuple(dict.fromkeys(stores)), str(recovery.get("file", "")) if isinstance(recovery, dict) else ""
    )


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def read_only_uri(path: Path) -> str:
    """An SQLite file's address under which nothing is written in it."""
    return f"{path.absolute().as_uri()}?mode=ro"
