"""The promises of `diadem.store.contract.Store` about own files, each as a function that tries one."""

from __future__ import annotations

import os
import random
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from diadem.errors import DiademError, UsageError, line_of
from diadem.store.contract import Store

T = TypeVar("T")
#: Opens the store of a name: the same name leads to the same place, a new one to an empty place.
MakeStore = Callable[[str], Store]
#: One promise, tried. Its docstring is the promise.
Check = Callable[[MakeStore, str], None]


class Broken(Exception):
    """A promise that a store did not keep."""


def need(condition: object, message: str) -> None:
    """Raise `Broken` unless something holds."""
    if not condition:
        raise Broken(message)


def refuses(
    kind: type[BaseException] | tuple[type[BaseException], ...], action: Callable[[], object], what: str
) -> BaseException:
    """The error that `action` raises; `Broken` if it raises none, or another one."""
    wanted = kind.__name__ if isinstance(kind, type) else " or ".join(each.__name__ for each in kind)
    try:
        action()
    except kind as error:
        return error
    except Exception as error:
        raise Broken(f"{what}: {type(error).__name__} was raised, not {wanted}: {line_of(error)}") from error
    raise Broken(f"{what}: nothing was raised; it should be {wanted}")


def together(actions: Sequence[Callable[[], T]]) -> list[T]:
    """Do things at the same time, and return what each returned; the first error is raised."""
    start = threading.Barrier(len(actions))
    results: dict[int, T] = {}
    errors: list[BaseException] = []

    def work(number: int) -> None:
        start.wait()
        try:
            results[number] = actions[number]()
        except BaseException as error:  # raised again by the caller's thread
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(actions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return [results[number] for number in range(len(actions))]


# -- what it is --------------------------------------------------------------------------------------------------------


def check_identity(make: MakeStore, name: str) -> None:
    """An empty store answers, holds nothing, and says where it is in the same words every time."""
    store = make(name)
    store.put_readme("Packages.\n")
    store.check()
    need(list(store.packages()) == [], "an empty store has packages")
    need(store.url == make(name).url, "the address differs each time")
    need(store.place() == make(name).place(), "the place differs each time")
    need(store.capabilities() == make(name).capabilities(), "what it can do differs each time")
    need(store.capabilities().writes, "it says that it cannot be written to, after it was")
    for number in (store.free(), store.total()):
        need(number is None or number > 0, f"{number} bytes cannot be the size of a store")


# -- own files ---------------------------------------------------------------------------------------------------------


def check_own_files(make: MakeStore, name: str) -> None:
    """Own files come back as they were written, are replaced whole, and are gone when deleted."""
    store = make(name)
    need(store.get("log/0001/a.jsonl") is None, "there is a file that was never written")
    for data in (b"first", b"", bytes(range(256)) * 5000, b"last"):
        need(store.put("log/0001/a.jsonl", data), "putting a file without conditions must be True")
        need(make(name).get("log/0001/a.jsonl") == data, f"{len(data)} bytes did not come back as they were written")
    store.delete("log/0001/a.jsonl")
    need(store.get("log/0001/a.jsonl") is None, "a deleted file is still there")
    store.delete("log/0001/a.jsonl")
    need(list(store.keys("")) == [], "a deleted file is still listed")


def check_large_own_files(make: MakeStore, name: str) -> None:
    """Own files of any size go from and to files of this machine, whole; what is not there leaves the target alone."""
    store = make(name)
    with tempfile.TemporaryDirectory(prefix="diadem-kit-") as scratch:
        source, target = Path(scratch, "source"), Path(scratch, "target")
        for size in ((16 << 20) + 7, 0, 1000):
            source.write_bytes(random.Random(size).randbytes(size))  # noqa: S311  bytes of samples are no secret
            store.put_file("snapshot.sqlite", source)
            need(make(name).get_file("snapshot.sqlite", target), "a file that was written is not there")
            need(target.read_bytes() == source.read_bytes(), f"{size} bytes did not come back as they were written")
        need(not store.get_file("nothing", target), "there is a file that was never written")
        need(target.read_bytes() == source.read_bytes(), "the target was changed although there is no such file")
        need(sorted(os.listdir(scratch)) == ["source", "target"], "something was left beside the target")
    need(list(store.keys("")) == ["snapshot.sqlite"], f"keys are {list(store.keys(''))}")


def check_exclusive(make: MakeStore, name: str) -> None:
    """With `create` what is there is never touched; the same content again is no conflict."""
    store = make(name)
    need(store.put("head", b"one", create=True), "a new file could not be created")
    need(store.put("head", b"one", create=True), "the same content again (a lost answer) must be True")
    need(not store.put("head", b"two", create=True), "other content under a name that is taken must be False")
    need(store.get("head") == b"one", "creating has changed what was there")
    need(store.put("empty", b"", create=True), "an empty file could not be created")
    need(not store.put("empty", b"x", create=True), "an empty file was overwritten by creating")


def check_race(make: MakeStore, name: str) -> None:
    """Of many that create one key at the same moment, exactly one succeeds, and its content is there."""
    stores = [make(name) for _ in range(4)]
    if not stores[0].capabilities().creates:
        return
    for turn in range(3):
        key = f"race/{turn}"
        actions = [
            lambda store=store, number=number, key=key: store.put(key, b"%d" % number, create=True)
            for number, store in enumerate(stores)
        ]
        won = [number for number, done in enumerate(together(actions)) if done]
        need(len(won) == 1, f"{len(won)} writers were told that they created the same key")
        need(stores[0].get(key) == b"%d" % won[0], "the content is not that of the writer who was told so")


def check_keys(make: MakeStore, name: str) -> None:
    """Keys are listed on all levels below a folder, sorted, and nothing else."""
    store = make(name)
    names = ["log/0001/0000000000.jsonl", "log/0001/0000000010.jsonl", "log/head.json", "logbook", "node.toml", "z/ä b"]
    for key in reversed(names):
        store.put(key, key.encode())
    need(list(store.keys("")) == sorted(names), f"all keys are {list(store.keys(''))}")
    need(list(store.keys("log")) == names[:3], f"keys below 'log' are {list(store.keys('log'))}")
    need(list(store.keys("log/0001")) == names[:2], "keys below 'log/0001' are wrong")
    need(list(store.keys("nothing")) == [], "there are keys below what does not exist")
    need(list(store.packages()) == [], "own files are taken for packages")


def check_bad_keys(make: MakeStore, name: str) -> None:
    """Keys that leave the folder, or meet what the store keeps there itself, are refused."""
    store = make(name)
    for key in ("../x", "/x", "a/../../x", "", "a//b", "C:/x", "a\\b", "by-payload/x", "stage/x", ".hidden", "a/.b"):
        for action in (lambda key=key: store.put(key, b"x"), lambda key=key: store.delete(key)):
            refuses(UsageError, action, f"the key {key!r}")
    refuses(UsageError, lambda: list(store.keys("../x")), "a folder of keys outside")
    store.put("a/b", b"")
    need(list(store.keys("a/")) == ["a/b"], "a slash at the end of a folder matters")


def check_writers(make: MakeStore, name: str) -> None:
    """Many threads write different own files at once, through one object and through several."""
    shared = make(name)

    def write(number: int) -> None:
        store = shared if number % 2 else make(name)
        for turn in range(4):
            store.put(f"many/{number}/{turn}", b"%d" % (number * turn))

    together([lambda number=number: write(number) for number in range(6)])  # type: ignore[misc]
    need(len(list(shared.keys("many"))) == 24, "some of the files written at once are missing")
    need(shared.get("many/5/3") == b"15", "a file written at once has other content")


def failed(error: BaseException) -> str:
    """What an unexpected error is called in a report."""
    return f"{type(error).__name__}: {error.message if isinstance(error, DiademError) else error}"
