"""The promises of `diadem.store.contract.Store`, each as a function that tries one."""

from __future__ import annotations

import io
import os
import random
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn, TypeVar

from diadem.errors import (
    DigestMismatch,
    IntegrityError,
    NotFound,
    PackageError,
    Refused,
    Unreachable,
    UsageError,
    line_of,
)
from diadem.model.manifest import DERIVED_PATHS, INDEX_PATH, TAGMANIFEST
from diadem.model.ports import Bundle, Progress
from diadem.model.report import Level
from diadem.package.examine import open_tag_files
from diadem.package.tags import Sealed
from diadem.package.verify import verify
from diadem.store.contract import Added, Pace, Store
from diadem.testing.faulty_store import TornBundle
from diadem.testing.samples import SamplePackage, make_package

T = TypeVar("T")
#: Opens the store of a name: the same name leads to the same place, a new one to an empty place.
MakeStore = Callable[[str], Store]
#: One promise, tried. Its docstring is the promise.
Check = Callable[[MakeStore, str], None]
_SMALL = {"data/a b/ä.raw": 2_500_000, "data/b.txt": 100, "data/empty": 0}
_TREE = "5e" * 32
_PROOFS = {"written", "server", "read-back"}


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


# -- packages ----------------------------------------------------------------------------------------------------------


def _add(store: Store, package: SamplePackage, source: Bundle | None = None) -> Added:
    return store.add(source or package.bundle, package.opened, package.path)


def _is_sound(store: Store, package: SamplePackage, path: str) -> bool:
    return verify(store.bundle(path), level=Level.FULL, expected_id=package.opened.id).ok


def _paths(store: Store) -> list[str]:
    return sorted(stored.path for stored in store.packages())


def check_add(make: MakeStore, name: str) -> None:
    """A package with hard names, an empty file and a large one arrives as it was, with its id."""
    store, package = make(name), make_package()
    seen: list[Progress] = []
    added = store.add(package.bundle, package.opened, package.path, listener=seen.append)
    need((added.path, added.created, added.damaged) == (package.path, True, ()), f"it was added as {added}")
    need(added.proof in _PROOFS, f"'{added.proof}' proves nothing")
    bundle = make(name).bundle(added.path)
    need(set(bundle.listing().files) == set(package.files), "the files listed are not those that were added")
    need(_is_sound(store, package, added.path), "it is not sound after it was added")
    for path, data in package.files.items():
        if len(data) < 1 << 20:
            need(bundle.read(path, len(data)) == data, f"{path} does not come back as it was")
    need([(item.id, item.path) for item in store.packages()] == [(package.opened.id, added.path)], "it is not listed")
    need(seen and all(item.done <= item.total for item in seen), "progress went beyond its total, or was not reported")


def check_add_again(make: MakeStore, name: str) -> None:
    """What is there and sound is not written again; lost hints do not matter, and are renewed."""
    store, package = make(name), make_package(_SMALL)
    _add(store, package)
    again = _add(make(name), package)
    need((again.path, again.created) == (package.path, False), f"the second time it was {again}")
    need(again.proof in {"read-back", "earlier"}, f"'{again.proof}' does not prove what was there")
    need(_paths(store) == [package.path], "there are two packages")
    store.write_hints(package.opened, package.path)
    need(not _add(store, package).created, "it was written again after its hints were")


def check_names(make: MakeStore, name: str) -> None:
    """Who has the name keeps it: another package, the same payload packed on another day, a damaged copy."""
    store = make(name)
    package, later = make_package(_SMALL), make_package(_SMALL, date="2026-05-05")
    need(package.opened.payload_id == later.opened.payload_id, "the samples are made wrongly")
    other = make_package({"data/other": 5000}, seed=2)
    first = store.add(other.bundle, other.opened, package.path)
    second = _add(store, package)
    third = store.add(later.bundle, later.opened, package.path)
    paths = [first.path, second.path, third.path]
    need(first.created and second.created and third.created, "one of three packages was taken for another")
    need(paths == [package.path, f"{package.path}-2", f"{package.path}-3"], f"they are at {paths}")
    for each, path in ((other, paths[0]), (package, paths[1]), (later, paths[2])):
        need(_is_sound(store, each, path), f"the package at {path} is not what was added there")


def check_draft(make: MakeStore, name: str) -> None:
    """A package is packed through a draft: nothing is seen of it before it is published, and a second is recognised."""
    store, package = make(name), make_package(_SMALL)
    need(not store.knows_tree(_TREE), "a tree that nobody packed is known")
    published = _draft(store, package)
    need((published.path, published.created) == (package.path, True), f"it was published as {published}")
    need(published.proof in _PROOFS, f"'{published.proof}' proves nothing")
    need(_is_sound(store, package, package.path), "it is not sound after it was published")
    need(store.knows_tree(_TREE), "its tree is not known")
    found = [open_tag_files(bundle).id for bundle in store.bundles(package.opened.payload_id)]
    need(found == [package.opened.id], "it is not found by its payload")
    again = _draft(make(name), make_package(_SMALL, date="2026-05-05"))
    need((again.path, again.created) == (package.path, False), f"the second one was published as {again}")
    need(again.proof == ("read-back" if store.recheck is Level.LEAVES else "earlier"), f"its proof is '{again.proof}'")
    try:
        _draft(store, make_package({"data/x": 10}, seed=2), stop=True)
    except KeyboardInterrupt:
        need(_paths(store) == [package.path], "a draft that was interrupted became a package")


def _draft(store: Store, package: SamplePackage, *, stop: bool = False) -> Added:
    """Pack a sample as packing does; with `stop`, be interrupted before it is sealed."""
    opened = package.opened
    own = {path for path in package.files if path in DERIVED_PATHS}
    tags = {path: data for path, data in package.files.items() if not path.startswith("data/")}
    with store.draft() as draft:
        draft.begin(sum(map(len, package.files.values())))
        for path in sorted(package.files.keys() - tags.keys() - own):
            if (target := draft.place(path)) is not None:
                Path(target).write_bytes(package.files[path])
        for path in sorted(own):
            Path(draft.target(path)).write_bytes(package.files[path])
        if stop:
            raise KeyboardInterrupt
        draft.seal(Sealed(opened.id, opened.payload_id, opened.manifest, opened.leaves, tags))
        return draft.publish(
            package.path,
            tree=_TREE,
            open_source=lambda entry: io.BytesIO(package.files[entry.path]),
            is_sound=lambda bundle: verify(bundle, level=store.recheck).ok,
        )


def check_damaged_copy(make: MakeStore, name: str) -> None:
    """A damaged copy of the same package is left as it is, told, and a sound one written beside it."""
    store, package = make(name), make_package(_SMALL)
    _add(store, package)
    data = package.files["data/b.txt"]
    store.replace_file(package.path, "data/b.txt", [data[:-1]], len(data) - 1, None)
    added = _add(make(name), package)
    need((added.path, added.created) == (f"{package.path}-2", True), f"beside a damaged copy it was {added}")
    need(added.damaged == (package.path,), f"damaged copies are reported as {added.damaged}")
    need(store.bundle(package.path).read("data/b.txt", 100) == data[:-1], "the damaged copy was changed")
    need(_is_sound(store, package, added.path), "the copy beside it is not sound")
    need(not _add(store, package).created, "the sound copy beside the damaged one is not found")


def check_damaged_source(make: MakeStore, name: str) -> None:
    """From a source that is damaged, incomplete or another package nothing is published, and the place is named."""
    store, package = make(name), make_package(_SMALL)
    data = package.files["data/a b/ä.raw"]
    flipped = data[:1_100_000] + bytes([data[1_100_000] ^ 1]) + data[1_100_001:]
    error = refuses(DigestMismatch, lambda: _add(store, package, package.spoiled("data/a b/ä.raw", flipped)), "a flip")
    assert isinstance(error, DigestMismatch)
    need((error.where, error.leaf) == ("data/a b/ä.raw", 1), f"the damage is said to be in {error.where} {error.leaf}")
    spoiled = {
        "a file that is longer": package.spoiled("data/b.txt", package.files["data/b.txt"] + b"x"),
        "a file that is shorter": package.spoiled("data/a b/ä.raw", data[:-1]),
        "an empty file that is not": package.spoiled("data/empty", b"x"),
        "a missing file": package.spoiled("data/empty", None),
        "a damaged tag file": package.spoiled(INDEX_PATH, package.files[INDEX_PATH][:-1]),
        "a missing tag file": package.spoiled(INDEX_PATH, None),
        "another package": make_package(_SMALL, date="2026-05-05").bundle,
        "no tag manifest": package.spoiled(TAGMANIFEST, None),
    }
    for what, source in spoiled.items():
        refuses(DigestMismatch, lambda source=source: _add(store, package, source), what)  # type: ignore[misc]
    need(_paths(store) == [], "something was published all the same")
    need(_add(store, package).created, "it cannot be added from a sound source afterwards")


def check_interrupted(make: MakeStore, name: str) -> None:
    """An interruption, or a source that is gone in the middle, passes through and leaves nothing visible."""
    store, package = make(name), make_package({"data/a.raw": 2_500_000, "data/large.raw": (17 << 20) + 5})
    for after, error in ((0, Unreachable), (3_000_000, KeyboardInterrupt), (19_000_000, Unreachable)):
        source = TornBundle(package.bundle, after, lambda error=error: error("on purpose"))  # type: ignore[misc]
        refuses(error, lambda source=source: _add(store, package, source), "a source that ends")  # type: ignore[misc]
    need(_paths(make(name)) == [], "half a package is visible")
    need(_add(store, package).created, "it cannot be added afterwards")
    need(_is_sound(store, package, package.path), "it is not sound after an earlier interruption")


def check_bad_paths(make: MakeStore, name: str) -> None:
    """Packages lie inside the store, not among its own files, and not in the folder for what comes in."""
    store, package = make(name), make_package({"data/x": 10})
    for path in ("../x", "/x", "2026/../../x", ".diadem/x", "incoming/x", ""):
        refuses(UsageError, lambda path=path: store.add(package.bundle, package.opened, path), path)  # type: ignore[misc]
        refuses(UsageError, lambda path=path: store.remove(path), path)  # type: ignore[misc]


def check_mending(make: MakeStore, name: str) -> None:
    """Leaves and files that are put right make the package what it was."""
    store, package = make(name), make_package()
    _add(store, package)
    path, bundle = package.path, store.bundle(package.path)
    for file, leaf in (("data/scan.dm4", 1), ("data/scan.dm4", 2), ("data/large.raw", 16), ("data/one leaf.raw", 0)):
        data, start = package.files[file], leaf << 20
        spoiled = data[:start] + bytes([data[start] ^ 0x40]) + data[start + 1 :]
        store.replace_file(path, file, [spoiled[:1000], spoiled[1000:]], len(spoiled), 10**18)
        need(make(name).bundle(path).read(file, len(data)) == spoiled, "the kit could not damage the package")
        store.replace_leaf(path, package.entry(file), leaf, data[start : start + (1 << 20)])
        need(make(name).bundle(path).read(file, len(data)) == data, f"leaf {leaf} of {file} was not put right")
    for file in ("data/scan.dm4", "data/empty.txt", INDEX_PATH, TAGMANIFEST):
        time_of_file = package.entry(file).mtime_ns if file.startswith("data/") else None
        data = package.files[file]
        store.replace_file(path, file, [b"wrong"], 5, None)
        store.replace_file(path, file, [data[:7], data[7:]], len(data), time_of_file)
    need(_is_sound(store, package, path), "files that were replaced are not what they were")
    need(set(bundle.listing().files) == set(package.files), "something is there that does not belong to the package")


def check_mending_refused(make: MakeStore, name: str) -> None:
    """What cannot be right is not written: leaves that do not fit, blocks that end early or fail, no package."""
    store, package = make(name), make_package(_SMALL)
    _add(store, package)
    entry, data = package.entry("data/a b/ä.raw"), package.files["data/a b/ä.raw"]
    path, file = package.path, entry.path

    def failing() -> NoReturn:
        raise Unreachable("the other copy is gone")

    refuses(IntegrityError, lambda: store.replace_leaf(path, entry, 2, data[:100]), "a leaf of another length")
    refuses(UsageError, lambda: store.replace_leaf(path, entry, 3, data[:100]), "a leaf that is not there")
    refuses(IntegrityError, lambda: store.replace_file(path, file, [data[:9]], 10, None), "blocks that end early")
    blocks = (data[:9] if number == 0 else failing() for number in range(2))
    refuses(Unreachable, lambda: store.replace_file(path, file, blocks, len(data), None), "blocks that fail")
    need(_is_sound(store, package, path), "a file was changed all the same")
    store.replace_file(path, file, [data[:-1]], len(data) - 1, None)
    refuses(Refused, lambda: store.replace_leaf(path, entry, 0, data[: 1 << 20]), "a leaf of a file of another size")
    refuses(Refused, lambda: store.replace_file("2026/none", file, [data], len(data), None), "a package that is not")


def check_remove(make: MakeStore, name: str) -> None:
    """A removed package is gone with its hints, damaged or not; its neighbour stays; nothing is left to sweep."""
    store = make(name)
    package, neighbour = make_package(_SMALL), make_package({"data/n": 10}, seed=3)
    for each in (package, neighbour):
        _add(store, each)
    store.remove(package.path)
    need(_paths(make(name)) == [neighbour.path], "it is still there, or its neighbour is not")
    refuses(NotFound, lambda: store.remove(package.path), "removing what is not there")
    refuses((NotFound, PackageError), lambda: open_tag_files(store.bundle(package.path)), "opening what was removed")
    need(_add(store, package).created, "it cannot be added again")
    store.replace_file(package.path, INDEX_PATH, [b"damaged"], 7, None)
    store.remove(package.path)
    store.remove(neighbour.path)
    need(_paths(store) == [] and store.sweep() == [], "something is left")


def check_together(make: MakeStore, name: str) -> None:
    """Several that add one package at the same moment end with one copy, and only one is told that it wrote it."""
    package = make_package(_SMALL)
    stores = [make(name) for _ in range(3)]
    added = together([lambda store=store: _add(store, package) for store in stores])  # type: ignore[misc]
    need(sorted(each.created for each in added) == [False, False, True], f"created: {[each.created for each in added]}")
    need(
        {each.path for each in added} == {package.path} and _paths(stores[0]) == [package.path], "there are two copies"
    )
    need(_is_sound(stores[0], package, package.path), "the copy is not sound")


def check_sweep(make: MakeStore, name: str) -> None:
    """Sweeping touches no package, damaged or not, and no own file."""
    store, package = make(name), make_package(_SMALL)
    _add(store, package)
    store.put("log/head.json", b"{}")
    store.replace_file(package.path, INDEX_PATH, [b"damaged"], 7, None)
    before = set(store.bundle(package.path).listing().files)
    need(store.sweep() == [], "something was swept where nobody died")
    need(store.sweep(keep={package.path}) == [], "something was swept although it is known")
    need(set(store.bundle(package.path).listing().files) == before, "a package was swept")
    need(store.get("log/head.json") == b"{}", "an own file was swept")


def check_pace(make: MakeStore, name: str) -> None:
    """A copy is held below a rate."""
    store, package = make(name), make_package({"data/x": 3_000_000})
    store.capabilities()
    started = time.monotonic()
    store.add(package.bundle, package.opened, package.path, pace=Pace(4e6))
    need(time.monotonic() - started > 0.45, "3 MB went through in half a second at 4 MB/s")
