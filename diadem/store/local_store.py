"""Packages on a file system: stage → seal → publish by one rename, and the hints that find what is already there.

::

    <store>/2026/20260314-zno-s12-1f0c9a77d2e4/     a package
    <store>/.diadem/stage/<random>/                 one being written, with its lock beside it
    <store>/.diadem/by-payload/<payload id>/<id>    hint: the path of the package with this payload
    <store>/.diadem/by-tree/<digest>/<payload id>   hint: a payload with these paths and sizes
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from diadem.errors import StoreError
from diadem.model.ids import PackageId
from diadem.model.manifest import TAGMANIFEST
from diadem.package.examine import LIMITS
from diadem.package.names import unsafe
from diadem.store.bundle import LocalBundle
from diadem.store.links import read_plain, refuse_links, through_link
from diadem.store.local_errors import or_else, store_error, translated
from diadem.store.local_hints import hinted_between, hints, write_hint
from diadem.store.numbering import numbered
from diadem.store.stage import Stage, Swept, lock_path, restrict, sweep
from diadem.store.system import FileLock, flush_folder, long_path, patiently

#: Room kept for what DIADEM derives, beside the payload: page, crate, record, tag files.
RESERVE = 16 << 20


class LocalStore:
    """A folder that holds packages.

    Parameters
    ----------
    root : Path
        The folder; made when the first package is written.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.abspath(root))
        self.private = self.root / ".diadem"

    @property
    def url(self) -> str:
        """The folder as text."""
        return str(self.root)

    # -- writing ---------------------------------------------------------------------------------------------------

    def check_space(self, needed: int) -> None:
        """Raise `StoreError` if the store cannot be written, or its disk cannot hold `needed` more bytes."""
        with translated(self.url):
            folder = next(path for path in (self.root, *self.root.parents) if path.is_dir())
            if not os.access(folder, os.W_OK):
                raise store_error(OSError(errno.EROFS, ""), str(folder))
            free = shutil.disk_usage(folder).free
        if needed + RESERVE > free:
            raise StoreError(
                f"the disk has {free:,} bytes free; the payload needs {needed:,}, the rest up to {RESERVE:,}",
                where=self.url,
                next="Free space, or choose another store.",
            )

    def stage(self) -> Stage:
        """Open a stage.

        Raises
        ------
        StoreError
            If the store cannot be written.
        """
        with translated(self.url):
            os.makedirs(long_path(refuse_links(self.root, self.private / "stage")), exist_ok=True)
            while True:
                folder = self.private / "stage" / uuid.uuid4().hex
                lock = FileLock(lock_path(folder))
                if lock.acquire():  # else a sweeper looked at the new lock in this very moment
                    break
            stage = Stage(folder, lock)
            with or_else(stage.discard):
                os.makedirs(long_path(stage.bag))
        return stage

    def publish(
        self, stage: Stage, name: str, package: PackageId, payload: str, tree: str, is_sound: Callable[[Path], bool]
    ) -> tuple[Path, bool]:
        """Give a sealed stage its final name, unless another writer was faster.

        Parameters
        ----------
        stage : Stage
            Sealed.
        name : str
            ``<yyyy>/<date>-<slug>-<12 hex>``.
        package, payload, tree : str
            Ids of the package, of its payload, and the digest of paths and sizes (see `tree_digest`).
        is_sound : callable
            Tells whether a package that is there already is whole; a damaged one does not stop this one.

        Returns
        -------
        (Path, bool)
            The folder, and whether this call made it. Where it is False the stage has been dropped.
        """
        judged: dict[tuple[PackageId, Path], bool] = {}
        # Judged before the lock is taken: a package that is damaged is read to its end, and nobody waits for that.
        while (present := self._sound(payload, judged, is_sound)) is None:
            with translated(self.url), FileLock(self.private / "publish.lock"):
                if any(found not in judged for found in self.find_payload(payload)):  # another writer was faster
                    continue
                folder = self._publish(stage, name, package, payload, tree)
            break
        # From the rename on the package is there: what is left to tidy must not look like a failure.
        with contextlib.suppress(OSError):
            stage.discard()
        return (present, False) if present is not None else (folder, True)

    def _sound(
        self, payload: str, judged: dict[tuple[PackageId, Path], bool], is_sound: Callable[[Path], bool]
    ) -> Path | None:
        """A package with this payload that is whole; each is read once."""
        for found in self.find_payload(payload):
            if found not in judged:
                judged[found] = is_sound(found[1])
            if judged[found]:
                return found[1]
        return None

    def _publish(self, stage: Stage, name: str, package: PackageId, payload: str, tree: str) -> Path:
        target = self._free_name(name)
        refuse_links(self.root, target.parent)
        os.makedirs(long_path(target.parent), exist_ok=True)
        write_hint(self.private, "by-payload", payload, package.hex, target.relative_to(self.root).as_posix())
        write_hint(self.private, "by-tree", tree, payload, "")
        flush_folder(long_path(self.root))
        patiently(lambda: os.rename(long_path(stage.bag), long_path(target)))
        _settle(target)
        return target

    def _free_name(self, name: str) -> Path:
        """The name, or the name with a number where a damaged package or a stranger has it."""
        for candidate in numbered(name):
            target = self.root / candidate
            if not os.path.lexists(long_path(target)):
                return target
        raise StoreError(f"every name like {name} is taken", where=self.url)

    # -- finding ---------------------------------------------------------------------------------------------------

    def packages_since(self, moment: float, until: float) -> Iterator[tuple[PackageId, Path]]:
        """Packages that a writer here has published between two moments, in seconds since 1970, by the hints alone.

        The packages themselves are not listed: a large store has many, and a hint is written for each before it is
        visible. What somebody copied in has none.
        """
        for payload in hinted_between(self.private, moment, until):
            yield from self.find_payload(payload)

    def find_payload(self, payload: str) -> Iterator[tuple[PackageId, Path]]:
        """Packages that hold this payload, where the hint is true: it is there and has the id it is said to have."""
        for name, content in hints(self.private, "by-payload", payload):
            if not content or unsafe(content):
                continue
            folder = self.root / content
            try:
                tagmanifest = read_plain(folder / TAGMANIFEST, LIMITS[TAGMANIFEST])
            except (OSError, ValueError):
                continue
            if through_link(self.root, folder) is not None:
                continue
            if hashlib.sha256(tagmanifest).hexdigest() == name:
                yield PackageId(name), folder

    def bundles(self, payload: str) -> Iterator[LocalBundle]:
        """The same, to be read."""
        return (LocalBundle(folder) for _, folder in self.find_payload(payload))

    def knows_tree(self, tree: str) -> bool:
        """Whether some package has these paths and sizes."""
        return any(True for _ in hints(self.private, "by-tree", tree))

    # -- cleaning --------------------------------------------------------------------------------------------------

    def sweep(self) -> list[Swept]:
        """Remove stages whose writer is dead, and say which; see `diadem.store.stage.sweep`."""
        return sweep(self.private / "stage")


def tree_digest(files: Iterable[tuple[str, int]]) -> str:
    """SHA-256 of the sorted lines ``<size> <stored path>``: what a tree looks like before anything is read."""
    digest = hashlib.sha256()
    for name, size in sorted(files):
        digest.update(f"{size} {name}\n".encode())
    return digest.hexdigest()


def _settle(target: Path) -> None:
    """Seal a package that has just got its name and force the name to disk, as far as the system lets us."""
    with contextlib.suppress(OSError):
        restrict(str(target))
    for folder in (target.parent, target.parent.parent):
        with contextlib.suppress(OSError):
            flush_folder(long_path(folder))
