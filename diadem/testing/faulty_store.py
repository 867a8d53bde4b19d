"""A real store that fails when it is told to: what networks, disks and servers do, on purpose and repeatably."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from diadem.errors import StoreError, Unreachable
from diadem.model.manifest import LEAF_SIZE, FileEntry
from diadem.model.ports import Bundle, BundleAround, Listener, Listing, RangeReader, ReaderAround, silent
from diadem.model.report import Level
from diadem.package.examine import TagFiles
from diadem.store.contract import Added, Capabilities, Draft, Pace, Store, Stored, Swept

T = TypeVar("T")
Kind = Literal["unreachable", "full", "lost", "flip", "torn", "slow"]

#: Operations that can fail: methods of `Store`, and ``read`` for reading from its packages.
OPERATIONS = frozenset({
    "add", "capabilities", "check", "delete", "draft", "get", "keys", "packages", "put", "put_readme", "read", "remove",
    "replace_file", "replace_leaf", "sweep", "write_hints",
})  # fmt: skip
#: Faults that only these operations can have.
_ONLY: dict[str, frozenset[str]] = {
    "flip": frozenset({"put", "add", "replace_leaf", "replace_file", "read"}),
    "torn": frozenset({"put", "add", "replace_leaf", "replace_file"}),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One way in which a store fails.

    Attributes
    ----------
    operation : str
        A method of `Store`, ``read`` for reading from its packages, or ``*`` for all of them.
    kind : str
        ``unreachable`` and ``full`` raise and do nothing; ``lost`` does it and raises, as if the answer were lost;
        ``flip`` does it and then changes one byte of what was written (or read); ``torn`` does half and raises;
        ``slow`` waits first.
    skip : int
        Calls that are let through before.
    times : int or None
        Calls that fail; None for all that come.
    chance : float
        How likely a call fails that could.
    seconds : float
        How long ``slow`` waits.
    """

    operation: str
    kind: Kind
    skip: int = 0
    times: int | None = 1
    chance: float = 1.0
    seconds: float = 0.05

    def __post_init__(self) -> None:
        """Refuse what can never happen, so that no test passes because its fault had a wrong name."""
        if self.operation not in OPERATIONS | {"*"}:
            raise ValueError(f"there is no operation '{self.operation}'; one of {', '.join(sorted(OPERATIONS))}, *")
        if self.kind in _ONLY and self.operation not in _ONLY[self.kind]:
            raise ValueError(f"'{self.kind}' can happen to {', '.join(sorted(_ONLY[self.kind]))} only")


class FaultyStore(Store):
    """A store around a store.

    Parameters
    ----------
    store : Store
        The real one, which does everything.
    faults : sequence of Fault
        The first that applies to a call happens.
    seed : int
        For chances, and for which byte is flipped: the same calls fail the same way again.

    Attributes
    ----------
    calls : list of (operation, argument)
        Every call, in order.
    happened : list of (operation, kind)
        Every fault that happened, in order: a test that counts on one can ask for it.
    """

    def __init__(self, store: Store, faults: Sequence[Fault] = (), *, seed: int = 0) -> None:
        self.store = store
        self.calls: list[tuple[str, str]] = []
        self.happened: list[tuple[str, str]] = []
        self._lock = threading.Lock()
        self._random = random.Random(seed)  # noqa: S311  faults are no secret
        self._left: list[tuple[Fault, list[int]]] = []
        self.fail(*faults)

    def fail(self, *faults: Fault) -> None:
        """Add faults."""
        self._left += [(fault, [fault.skip, -1 if fault.times is None else fault.times]) for fault in faults]

    def heal(self) -> None:
        """Forget all faults."""
        self._left.clear()

    # -- what it is ------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """That of the store."""
        return self.store.url

    @property
    def is_folder(self) -> bool:
        return self.store.is_folder

    @property
    def recheck(self) -> Level:
        return self.store.recheck

    def check(self) -> None:
        self._do("check", "", self.store.check)

    def capabilities(self) -> Capabilities:
        return self._do("capabilities", "", self.store.capabilities)

    def free(self) -> int | None:
        return self.store.free()

    def total(self) -> int | None:
        return self.store.total()

    def place(self) -> str | None:
        return self.store.place()

    # -- packages --------------------------------------------------------------------------------------------------

    def packages(self) -> Iterator[Stored]:
        yield from self._do("packages", "", self.store.packages)

    def bundle(self, path: str) -> Bundle:
        return FaultyBundle(self.store.bundle(path), self._reading)

    def add(
        self,
        source: Bundle,
        opened: TagFiles,
        path: str,
        *,
        listener: Listener = silent,
        pace: Pace | None = None,
    ) -> Added:

        def flip(added: Added) -> None:
            self._flip_in_package(added.path, [entry for entry in opened.manifest if entry.size])

        def tear() -> None:
            half = sum(entry.size for entry in opened.manifest) // 2
            self.store.add(TornBundle(source, half), opened, path, listener=listener, pace=pace)

        return self._do(
            "add", path, lambda: self.store.add(source, opened, path, listener=listener, pace=pace), flip, tear
        )

    def draft(self) -> Draft:
        return self._do("draft", "", self.store.draft)

    def knows_tree(self, tree: str) -> bool:
        return self.store.knows_tree(tree)

    def bundles(self, payload: str) -> Iterator[Bundle]:
        return (FaultyBundle(bundle, self._reading) for bundle in self.store.bundles(payload))

    def flush_name(self, path: str) -> None:
        self.store.flush_name(path)

    def replace_leaf(self, path: str, entry: FileEntry, leaf: int, data: bytes, *, leaf_size: int = LEAF_SIZE) -> None:

        def write(content: bytes) -> None:
            self.store.replace_leaf(path, entry, leaf, content, leaf_size=leaf_size)

        def tear() -> None:
            with self.store.bundle(path).open(entry.path) as file:
                old = file.read_at(leaf * leaf_size, len(data))
            write(data[: len(data) // 2] + old[len(data) // 2 :])

        self._do("replace_leaf", entry.path, lambda: write(data), lambda _: write(self._flipped(data)), tear)

    def replace_file(self, path: str, file: str, blocks: Iterable[bytes], size: int, mtime_ns: int | None) -> None:

        def write(content: Iterable[bytes]) -> None:
            self.store.replace_file(path, file, content, size, mtime_ns)

        def flip(_: None) -> None:
            write([self._flipped(self.store.bundle(path).read(file, size))])

        def tear() -> None:
            data = b"".join(blocks)
            write([data[: size // 2] + bytes(size - size // 2)])

        self._do("replace_file", file, lambda: write(blocks), flip, tear)

    def remove(self, path: str) -> None:
        self._do("remove", path, lambda: self.store.remove(path))

    def sweep(self, *, keep: Container[str] = ()) -> list[Swept]:
        return self._do("sweep", "", lambda: self.store.sweep(keep=keep))

    def write_hints(self, opened: TagFiles, path: str) -> None:
        self._do("write_hints", path, lambda: self.store.write_hints(opened, path))

    # -- own files -------------------------------------------------------------------------------------------------

    def get(self, key: str) -> bytes | None:
        return self._do("get", key, lambda: self.store.get(key))

    def put(self, key: str, data: bytes, *, create: bool = False) -> bool:

        def flip(_: bool) -> None:
            if self.store.get(key) == data:
                self.store.put(key, self._flipped(data))

        def tear() -> None:
            self.store.put(key, data[: len(data) // 2], create=create)

        return self._do("put", key, lambda: self.store.put(key, data, create=create), flip, tear)

    def put_file(self, key: str, source: Path) -> None:
        """See `Store.put_file`. It fails as `put` does."""

        def flip(_: None) -> None:
            self.store.put(key, self._flipped(self.store.get(key) or b""))

        def tear() -> None:
            data = source.read_bytes()
            self.store.put(key, data[: len(data) // 2])

        self._do("put", key, lambda: self.store.put_file(key, source), flip, tear)

    def get_file(self, key: str, target: Path) -> bool:
        """See `Store.get_file`. It fails as `get` does."""
        return self._do("get", key, lambda: self.store.get_file(key, target))

    def keys(self, prefix: str) -> Iterator[str]:
        yield from self._do("keys", prefix, lambda: self.store.keys(prefix))

    def delete(self, key: str) -> None:
        self._do("delete", key, lambda: self.store.delete(key))

    def put_readme(self, text: str) -> None:
        self._do("put_readme", "", lambda: self.store.put_readme(text))

    # -- faults ----------------------------------------------------------------------------------------------------

    def _do(
        self,
        operation: str,
        argument: str,
        action: Callable[[], T],
        flip: Callable[[T], None] | None = None,
        tear: Callable[[], None] | None = None,
    ) -> T:
        """Do something, or what a fault makes of it."""
        fault = self._due(operation, argument)
        kind = fault.kind if fault is not None else ""
        if fault is not None and kind == "slow":
            time.sleep(fault.seconds)
        if kind == "unreachable":
            raise _away(f"{self.url}/{argument}", "the store does not answer")
        if kind == "full":
            raise StoreError("the store is full (on purpose)", where=self.url, next="Free space.")
        if kind == "torn" and tear is not None:
            tear()
            raise _away(f"{self.url}/{argument}", "the line broke in the middle")
        result = action()
        if kind == "lost":
            raise _away(f"{self.url}/{argument}", "the answer was lost")
        if kind == "flip" and flip is not None:
            flip(result)
        return result

    def _reading(self, path: str, read: Callable[[], bytes]) -> bytes:
        """What is read from a package, or what a fault makes of it."""
        flipped: list[int] = []
        data = self._do("read", path, read, lambda _: flipped.append(1))
        return self._flipped(data) if flipped and data else data

    def _due(self, operation: str, argument: str) -> Fault | None:
        with self._lock:
            self.calls.append((operation, argument))
            for fault, left in self._left:
                if fault.operation not in (operation, "*") or not left[1] or self._random.random() >= fault.chance:
                    continue
                if left[0]:
                    left[0] -= 1
                    continue
                left[1] -= 1
                self.happened.append((operation, fault.kind))
                return fault
        return None

    def _flip_in_package(self, path: str, entries: Sequence[FileEntry]) -> None:
        entry = self._random.choice(entries)
        data = self._flipped(self.store.bundle(path).read(entry.path, entry.size))
        self.store.replace_file(path, entry.path, [data], entry.size, entry.mtime_ns)

    def _flipped(self, data: bytes) -> bytes:
        if not data:
            return data
        place = self._random.randrange(len(data))
        return data[:place] + bytes([data[place] ^ (1 << self._random.randrange(8))]) + data[place + 1 :]


def _away(where: str, what: str) -> Unreachable:
    return Unreachable(f"{what} (on purpose)", where=where, next="Run the same command again.")


# -- what is read of its packages --------------------------------------------------------------------------------------

#: Does a read of some path, or fails in its place.
Reading = Callable[[str, Callable[[], bytes]], bytes]


class FaultyBundle(BundleAround):
    """A bag whose every read goes through a function."""

    def __init__(self, bundle: Bundle, reading: Reading) -> None:
        super().__init__(bundle)
        self._reading = reading

    def listing(self) -> Listing:
        """What the bag lists; a fault that changes bytes does nothing here."""
        found: list[Listing] = []

        def look() -> bytes:
            found.append(self._bundle.listing())
            return b""

        self._reading("", look)
        return found[0]

    def read(self, path: str, limit: int) -> bytes:
        """One read."""
        return self._reading(path, lambda: self._bundle.read(path, limit))

    def open(self, path: str) -> FaultyReader:
        """A file whose every read goes through the function."""
        return FaultyReader(self._bundle.open(path), path, self._reading)


class FaultyReader(ReaderAround):
    """A file of a `FaultyBundle`."""

    def __init__(self, reader: RangeReader, path: str, reading: Reading) -> None:
        super().__init__(reader)
        self._path, self._reading = path, reading

    def read_at(self, offset: int, length: int) -> bytes:
        """One read."""
        return self._reading(self._path, lambda: self._reader.read_at(offset, length))

    def readinto_at(self, offset: int, buffer: memoryview) -> int:
        """One read."""
        data = self.read_at(offset, len(buffer))
        buffer[: len(data)] = data
        return len(data)


class TornBundle(FaultyBundle):
    """A bag on a line that breaks after some bytes and stays broken: `Unreachable`, or what `error` makes."""

    def __init__(self, bundle: Bundle, after: int, error: Callable[[], BaseException] | None = None) -> None:
        super().__init__(bundle, self._count)
        self._left = after
        self._lock = threading.Lock()
        self._error = error or (lambda: Unreachable("the line broke in the middle (on purpose)", where=bundle.url))

    def _count(self, path: str, read: Callable[[], bytes]) -> bytes:  # noqa: ARG002
        data = read()
        with self._lock:
            self._left -= len(data)
            if self._left < 0:
                raise self._error()
        return data
