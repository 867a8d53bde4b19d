"""Hints beside the packages of a folder: small files that say what is where, checked on use."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from diadem.store.links import read_plain, refuse_links, through_link
from diadem.store.local_errors import or_else
from diadem.store.system import long_path, patiently

_MAX_HINT = 4096


def write_hint(private: Path, kind: str, key: str, name: str, content: str) -> None:
    """Write the hint `name` under a key, whole or not at all. Raises `OSError`."""
    folder = refuse_links(private.parent, private / kind / key)
    os.makedirs(long_path(folder), exist_ok=True)
    draft = folder / f".{uuid.uuid4().hex}"
    with or_else(lambda: os.unlink(long_path(draft))):
        with open(long_path(draft), "w", encoding="utf-8") as sink:
            sink.write(content)
            sink.flush()
            os.fsync(sink.fileno())
        patiently(lambda: os.replace(long_path(draft), long_path(folder / name)))


def renew_hint(private: Path, kind: str, key: str, name: str, content: str) -> None:
    """Write a hint unless it is there and right: a reindex does so for every package. Raises `OSError`."""
    folder = private / kind / key
    if through_link(private.parent, folder) is not None or _hint(folder, name) != content:
        write_hint(private, kind, key, name, content)


def hints(private: Path, kind: str, key: str) -> Iterator[tuple[str, str]]:
    """Names and contents of the hints under a key; those that cannot be read are none."""
    folder = private / kind / key
    if through_link(private.parent, folder) is not None:
        return
    try:
        names = sorted(os.listdir(long_path(folder)))
    except OSError:  # a hint that cannot be read is no hint
        return
    for name in names:
        if not name.startswith(".") and (content := _hint(folder, name)) is not None:
            yield name, content


def _hint(folder: Path, name: str) -> str | None:
    with contextlib.suppress(OSError):
        return read_plain(folder / name, _MAX_HINT).decode("utf-8", "replace").strip()
    return None


def drop_hint(private: Path, kind: str, key: str, name: str) -> None:
    """Remove a hint, and its folder if it was the last. Raises `OSError` where that is not allowed."""
    folder = private / kind / key
    if through_link(private.parent, folder) is not None:
        return
    with contextlib.suppress(FileNotFoundError):
        patiently(lambda: os.unlink(long_path(folder / name)))
    with contextlib.suppress(OSError):
        os.rmdir(long_path(folder))


def hinted_between(private: Path, moment: float, until: float) -> Iterator[str]:
    """The payloads of which a hint was written last between two moments, in seconds since 1970."""
    with contextlib.suppress(OSError), os.scandir(long_path(private / "by-payload")) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if moment <= entry.stat(follow_symlinks=False).st_mtime <= until:
                    yield entry.name


def drop_hints_to(private: Path, path: str) -> None:
    """Remove all hints that name a path, by looking through all of them. Raises `OSError`."""
    try:
        keys = os.listdir(long_path(private / "by-payload"))
    except FileNotFoundError:
        return
    for key in keys:
        for name, content in list(hints(private, "by-payload", key)):
            if content == path:
                drop_hint(private, "by-payload", key, name)
