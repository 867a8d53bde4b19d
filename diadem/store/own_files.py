"""A folder store's own files below `.diadem/`: each is there whole, or not at all, also after a loss of power."""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from diadem.errors import PackageError
from diadem.store.bundle import open_below
from diadem.store.links import read_plain, refuse_links, through_link
from diadem.store.local_errors import translated
from diadem.store.own_keys import LARGEST, checked_folder, is_own, refuse_key, refuse_size, require_room
from diadem.store.sink import discard
from diadem.store.system import flush_folder, long_path, patiently
from diadem.store.whole import give_name, make_folders, write_draft, write_whole

_BLOCK = 8 << 20
#: Seconds after which a draft has no writer any more.
_OLD_DRAFT = 24 * 3600


class OwnFiles:
    """The files below one folder, by their keys.

    Parameters
    ----------
    private : Path
        The folder, made when it is first written to.
    """

    def __init__(self, private: Path) -> None:
        self._private = private
        self._drafts = private / "drafts"

    def get(self, key: str) -> bytes | None:
        """The content of a file, or None."""
        refuse_key(key)
        target = self._path(key)
        with translated(str(target), "it was not read"):
            try:
                data = read_plain(target, LARGEST + 1)
            except (FileNotFoundError, NotADirectoryError):
                return None
            except OSError:
                if os.path.isdir(long_path(target)):
                    return None
                raise
        refuse_size(len(data), str(target))
        return data

    def put(self, key: str, data: bytes, *, create: bool = False) -> bool:
        """Write a file; with `create`, only if it is not there. False: it is there with other content."""
        refuse_key(key)
        target = self._path(key)
        with translated(str(target), "it was not written"):
            draft = self._draft(data)
            try:
                make_folders(target.parent)
                if create and not give_name(draft, target, lock=self._private / "publish.lock"):
                    return self.get(key) == data
                if not create:
                    patiently(lambda: os.replace(long_path(draft), long_path(target)))
                flush_folder(long_path(target.parent))
            finally:
                with contextlib.suppress(OSError):
                    os.unlink(long_path(draft))
        return True

    def put_file(self, key: str, source: Path) -> None:
        """Write a file from one that lies elsewhere."""
        refuse_key(key)
        target = self._path(key)
        with open(long_path(source), "rb") as content, translated(str(target), "it was not written"):
            os.makedirs(long_path(refuse_links(self._private.parent, self._drafts)), exist_ok=True)
            draft = self._drafts / uuid.uuid4().hex
            try:
                write_draft(draft, iter(lambda: content.read(_BLOCK), b""))
                make_folders(target.parent)
                patiently(lambda: os.replace(long_path(draft), long_path(target)))
                flush_folder(long_path(target.parent))
            finally:
                with contextlib.suppress(OSError):
                    os.unlink(long_path(draft))

    def get_file(self, key: str, target: Path) -> bool:
        """Copy a file to somewhere else; whether it was there."""
        refuse_key(key)
        path = self._path(key)
        try:
            with open_below(long_path(path.parent), [path.name], key) as content:
                require_room(target, content.size)
                write_whole(target, (content.read_at(start, _BLOCK) for start in range(0, content.size, _BLOCK)))
        except (FileNotFoundError, NotADirectoryError):
            return False
        except PackageError:
            if os.path.isdir(long_path(path)):
                return False
            raise
        return True

    def keys(self, prefix: str) -> Iterator[str]:
        """Keys of the files below a folder, sorted."""
        top = refuse_links(self._private.parent, self._private.joinpath(*checked_folder(prefix).split("/")))
        found = []
        for folder, folders, files in os.walk(long_path(top)):
            below = os.path.relpath(folder, long_path(self._private)).replace(os.sep, "/")
            start = "" if below == "." else below + "/"
            folders[:] = [name for name in folders if is_own(start + name)]
            found += [start + name for name in files if is_own(start + name)]
        yield from sorted(found)

    def delete(self, key: str) -> None:
        """Remove a file, and the folders above it that are empty then."""
        refuse_key(key)
        target = self._path(key)
        with translated(str(target), "it was not removed"):
            if not os.path.lexists(long_path(target)):
                return
            patiently(lambda: discard(str(target)))
            flush_folder(long_path(target.parent))
        with contextlib.suppress(OSError):
            for folder in target.parents:
                if folder == self._private:
                    break
                os.rmdir(long_path(folder))

    def sweep(self) -> None:
        """Remove drafts of dead writers."""
        if through_link(self._private.parent, self._drafts) is not None:
            return
        with contextlib.suppress(OSError), os.scandir(long_path(self._drafts)) as entries:
            for entry in entries:
                if time.time() - entry.stat(follow_symlinks=False).st_mtime > _OLD_DRAFT:
                    os.unlink(entry.path)

    def _draft(self, data: bytes) -> Path:
        """The data on the disk, under a name that nobody looks for."""
        os.makedirs(long_path(refuse_links(self._private.parent, self._drafts)), exist_ok=True)
        draft = self._drafts / uuid.uuid4().hex
        write_draft(draft, (data,))
        return draft

    def _path(self, key: str) -> Path:
        """Where a file is; raises `StoreError` where a link leads there. The file itself may be one, to be replaced."""
        path = self._private.joinpath(*key.split("/"))
        refuse_links(self._private.parent, path.parent)
        return path
