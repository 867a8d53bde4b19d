"""What disks, cables and people do to the files of a store. None of it is told to the model: the model looks."""

from __future__ import annotations

import json
import os
import random
import shutil
import stat
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from diadem.testing.faults import append, flip_byte, overwrite, plant, remove, truncate
from tests.faults.laboratory import STORES, Place
from tests.faults.sealed import LEAF, Sealed

_SECTOR = 4096


@dataclass(frozen=True, slots=True)
class Target:
    """Where a fault strikes: one copy of one package.

    Attributes
    ----------
    place : Place
        The node under test.
    store : str
        Name of the store.
    package : Sealed
        The package as it was.
    others : sequence of Sealed
        All packages.
    chance : random.Random
        Everything that is left to chance.
    """

    place: Place
    store: str
    package: Sealed
    others: Sequence[Sealed]
    chance: random.Random

    @property
    def folder(self) -> Path:
        """The copy."""
        return self.place.store(self.store) / self.package.path

    def file(self, *, least: int = 0, payload: bool | None = None) -> tuple[str, Path] | None:
        """A file that is still there with so many bytes, each as likely as every other; None if there is none."""
        names = [
            name
            for name in self.package.files
            if payload in (None, name.startswith("data/"))
            and (path := self.folder / name).is_file()
            and not path.is_symlink()
            and path.stat().st_size >= least
        ]
        if not names:
            return None
        name = self.chance.choice(names)
        return name, self.folder / name


#: What was done, in words; None where it could not be done here.
Fault = Callable[[Target], str | None]


def flip(at: Target) -> str | None:
    """One bit or byte, anywhere."""
    if (found := at.file(least=1)) is None:
        return None
    name, path = found
    offset, mask = at.chance.randrange(path.stat().st_size), at.chance.randrange(1, 256)
    flip_byte(path, offset, mask=mask)
    return f"{name} byte {offset} ^ {mask}"


def flips(at: Target) -> str | None:
    """Several bytes of the payload."""
    done = []
    for _ in range(at.chance.randrange(2, 7)):
        if (found := at.file(least=1, payload=True)) is not None:
            name, path = found
            offset = at.chance.randrange(path.stat().st_size)
            flip_byte(path, offset, mask=at.chance.randrange(1, 256))
            done.append(f"{name} byte {offset}")
    return ", ".join(done) or None


def burst(at: Target) -> str | None:
    """A run of other bytes, over the edge of leaves too."""
    if (found := at.file(least=64, payload=True)) is None:
        return None
    name, path = found
    size = path.stat().st_size
    start = at.chance.randrange(size)
    length = min(size - start, at.chance.choice([1, 512, 70_000, LEAF + 1, 2 * LEAF]))
    overwrite(path, start, at.chance.randbytes(length))
    return f"{name} {length} bytes from {start}"


def zeros(at: Target) -> str | None:
    """Sectors that come back as zeros."""
    if (found := at.file(least=1)) is None:
        return None
    name, path = found
    size = path.stat().st_size
    start = at.chance.randrange(size) // _SECTOR * _SECTOR
    length = min(size - start, _SECTOR * at.chance.randrange(1, 9))
    overwrite(path, start, bytes(length))
    return f"{name} {length} zeros from {start}"


def cut(at: Target) -> str | None:
    """A file that ends early."""
    if (found := at.file(least=1)) is None:
        return None
    name, path = found
    size = at.chance.randrange(path.stat().st_size)
    truncate(path, size)
    return f"{name} cut to {size}"


def torn(at: Target) -> str | None:
    """A write that a power cut tore: whole sectors, then zeros up to the size."""
    if (found := at.file(least=1)) is None:
        return None
    name, path = found
    size = path.stat().st_size
    kept = at.chance.randrange(size) // _SECTOR * _SECTOR
    overwrite(path, kept, bytes(size - kept))
    return f"{name} torn after {kept}"


def grown(at: Target) -> str | None:
    """Bytes too many."""
    if (found := at.file()) is None:
        return None
    name, path = found
    append(path, at.chance.randbytes(at.chance.choice([1, 100, LEAF])))
    return f"{name} grown"


def lost(at: Target) -> str | None:
    """A file that is gone."""
    if (found := at.file(payload=True)) is None:
        return None
    remove(found[1])
    return f"{found[0]} removed"


def lost_tags(at: Target) -> str | None:
    """Tag files that are gone."""
    there = [name for name in at.package.tags if (at.folder / name).is_file()]
    gone = at.chance.sample(there, min(len(there), at.chance.randrange(1, 4)))
    for name in gone:
        remove(at.folder / name)
    return f"removed {', '.join(gone)}" if gone else None


def swapped(at: Target) -> str | None:
    """Two files that have each other's names."""
    one, other = at.file(payload=True), at.file(payload=True)
    if one is None or other is None or one[0] == other[0]:
        return None
    with _open_folders(at.folder):
        aside = at.folder / "aside"
        one[1].rename(aside)
        other[1].rename(one[1])
        aside.rename(other[1])
    return f"{one[0]} and {other[0]} swapped"


def stale(at: Target) -> str | None:
    """A file with the content of another file, of this package or another."""
    found = at.file()
    donor = at.chance.choice(at.others)
    if found is None:
        return None
    name, path = found
    source = name if name in donor.files and donor.id != at.package.id else at.chance.choice(sorted(donor.files))
    if donor.files[source] == at.package.files[name]:
        return None
    _write(path, donor.files[source])
    return f"{name} has the content of {donor.path}/{source}"


def stranger(at: Target) -> str | None:
    """A file that has no place in the package."""
    name = at.chance.choice(["data/Thumbs.db", "notes.txt", "data/sub~.tmp", "diadem/extra"])
    path = at.folder / name
    if path.exists() or not path.parent.is_dir():
        return None
    plant(path, at.chance.randbytes(9))
    return f"{name} planted"


def renamed(at: Target) -> str | None:
    """A file that somebody renamed."""
    if (found := at.file(payload=True)) is None:
        return None
    name, path = found
    target = path.with_name(f"{path.name} (1)")
    if target.exists():
        return None
    with _open_folders(at.folder):
        path.rename(target)
    return f"{name} renamed"


def linked(at: Target) -> str | None:
    """A link in the place of a file, to the same bytes elsewhere: not a copy, and never to be written through."""
    if (found := at.file(payload=True)) is None or os.name == "nt":
        return None
    name, path = found
    elsewhere = at.place.root / f"elsewhere-{uuid.UUID(int=at.chance.getrandbits(128))}"
    elsewhere.write_bytes(at.package.files[name])
    with _open_folders(at.folder):
        path.unlink()
        path.symlink_to(elsewhere)
    return f"{name} is a link to {elsewhere.name}"


def second_name(at: Target) -> str | None:
    """A damaged file that has a second name elsewhere, as backup programs give: that one is not ours to write."""
    if (found := at.file(least=1, payload=True)) is None or os.name == "nt":
        return None
    name, path = found
    twin = at.place.root / f"twin-{uuid.UUID(int=at.chance.getrandbits(128))}"
    flip_byte(path, at.chance.randrange(path.stat().st_size))
    os.link(path, twin)
    return f"{name} flipped, its twin is {twin.name}"


def touched(at: Target) -> str | None:
    """Other times and permissions, the same bytes: no damage."""
    if (found := at.file()) is None:
        return None
    name, path = found
    path.chmod(0o644)
    os.utime(path, (1, 1))
    return f"{name} touched"


def copy_lost(at: Target) -> str | None:
    """A whole copy that is gone."""
    if not at.folder.exists():
        return None
    remove(at.folder)
    return "the whole copy removed"


def copy_moved(at: Target) -> str | None:
    """A copy that somebody put elsewhere in the store."""
    target = at.folder.with_name(f"{at.folder.name} old")
    if not at.folder.exists() or target.exists():
        return None
    _move(at.folder, target)
    return f"moved to {target.name}"


def copies_swapped(at: Target) -> str | None:
    """Two packages that have each other's folders."""
    other = at.place.store(at.store) / at.chance.choice(at.others).path
    if other == at.folder or not other.exists() or not at.folder.exists():
        return None
    aside = at.folder.with_name("aside")
    _move(at.folder, aside)
    _move(other, at.folder)
    _move(aside, other)
    return f"swapped with {other.name}"


def torn_leaf(at: Target) -> str | None:
    """What a power cut leaves in the middle of a repair: the intent is on the disk, the leaf is half written."""
    if (found := at.file(least=2 * _SECTOR, payload=True)) is None:
        return None
    name, path = found
    good = at.package.files[name]
    if path.stat().st_size != len(good):
        return None
    leaf = at.chance.randrange(-(-len(good) // LEAF))
    part = good[leaf * LEAF : (leaf + 1) * LEAF]
    overwrite(path, leaf * LEAF, part[: len(part) // 2] + at.chance.randbytes(len(part) - len(part) // 2))
    _announce(at, name, leaf, part, len(good))
    os.utime(path)
    return f"{name} leaf {leaf} half written"


def _announce(at: Target, name: str, leaf: int, part: bytes, size: int) -> None:
    from blake3 import blake3

    record = {
        "format": "diadem-mending/1",
        "package": at.package.path,
        "file": name,
        "leaf": leaf,
        "digest": blake3(part).hexdigest(),
        "leaf_size": LEAF,
        "size": size,
        "mtime_ns": at.package.times.get(name),
    }
    desk = at.place.store(at.store) / ".diadem" / "mending"
    desk.mkdir(exist_ok=True)
    key = uuid.uuid5(uuid.NAMESPACE_URL, f"{at.package.path}\n{name}")
    (desk / f"{key}.{leaf}.json").write_text(json.dumps(record))


def in_both(at: Target) -> str | None:
    """The same leaf of both copies: no other copy is good."""
    if (found := at.file(least=1, payload=True)) is None:
        return None
    name, _ = found
    twins = [at.place.store(store) / at.package.path / name for store in STORES]
    if not all(path.is_file() and not path.is_symlink() and path.stat().st_size for path in twins):
        return None
    offset = at.chance.randrange(min(path.stat().st_size for path in twins))
    for path in twins:
        flip_byte(path, offset, mask=at.chance.randrange(1, 256))
    return f"{name} byte {offset} in both stores"


def in_both_without_parity(at: Target) -> str | None:
    """The same leaf of both copies, and no parity in either store: nobody can mend it."""
    done = in_both(at)
    if done is not None:
        for store in STORES:
            parity = _parity(at, store)
            if parity.exists():
                remove(parity)
    return done and f"{done}, no parity"


def parity_hurt(at: Target) -> str | None:
    """Parity that is damaged, cut or gone."""
    path = _parity(at, at.store)
    if not path.exists():
        return None
    how = at.chance.choice(["flip", "cut", "lost"])
    if how == "flip":
        flip_byte(path, at.chance.randrange(path.stat().st_size))
    elif how == "cut":
        truncate(path, at.chance.randrange(path.stat().st_size))
    else:
        remove(path)
    return f"parity: {how}"


def hints_hurt(at: Target) -> str | None:
    """Hints that are gone, empty, or point to another package."""
    private = at.place.store(at.store) / ".diadem"
    how = at.chance.choice(["lost", "empty", "wrong"])
    for folder in ("by-payload", "by-tree"):
        if how == "lost":
            shutil.rmtree(private / folder, ignore_errors=True)
            continue
        for path in (private / folder).rglob("*"):
            if path.is_file():
                path.write_text("" if how == "empty" else at.chance.choice(at.others).path)
    return f"hints: {how}"


def mirror_hurt(at: Target) -> str | None:
    """The log's mirror in one store: objects damaged or gone."""
    nodes = at.place.store(at.store) / ".diadem" / "nodes"
    objects = sorted(path for path in nodes.rglob("*") if path.suffix == ".jsonl" or path.name == "head.json")
    if not objects:
        return None
    path = at.chance.choice(objects)
    how = at.chance.choice(["flip", "cut", "lost"])
    if how == "lost":
        path.unlink()
    elif how == "cut":
        truncate(path, at.chance.randrange(path.stat().st_size))
    else:
        flip_byte(path, at.chance.randrange(path.stat().st_size))
    return f"{path.name}: {how}"


def _parity(at: Target, store: str) -> Path:
    return at.place.store(store) / ".diadem" / "parity" / f"{at.package.id.removeprefix('diadem:')}.pq"


@contextmanager
def _open_folders(folder: Path) -> Iterator[None]:
    """Every folder of a package writable for a while."""
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir() and not path.is_symlink())]
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in folders}
    for path, mode in modes.items():
        path.chmod(mode | stat.S_IRWXU)
    yield
    for path, mode in modes.items():
        path.chmod(mode)


def _write(path: Path, data: bytes) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    path.chmod(mode | stat.S_IWUSR)
    path.write_bytes(data)
    path.chmod(mode)


def _move(folder: Path, target: Path) -> None:
    """Rename a sealed folder: whoever is not root may rename none that is read-only."""
    mode = stat.S_IMODE(folder.stat().st_mode)
    folder.chmod(mode | stat.S_IRWXU)
    folder.rename(target)
    target.chmod(mode)


#: Every fault, and how often it comes up beside the others.
FAULTS: dict[str, tuple[Fault, int]] = {
    "flipped byte": (flip, 6),
    "several flips": (flips, 3),
    "burst of other bytes": (burst, 3),
    "zeroed sectors": (zeros, 2),
    "truncated file": (cut, 4),
    "torn write": (torn, 4),
    "grown file": (grown, 2),
    "deleted file": (lost, 4),
    "lost tag files": (lost_tags, 4),
    "swapped files": (swapped, 3),
    "file of another package": (stale, 2),
    "stranger in a package": (stranger, 2),
    "renamed file": (renamed, 1),
    "link in the place of a file": (linked, 1),
    "damaged file with a second name": (second_name, 1),
    "touched file": (touched, 1),
    "lost copy": (copy_lost, 2),
    "moved copy": (copy_moved, 1),
    "swapped packages": (copies_swapped, 2),
    "half-written leaf": (torn_leaf, 2),
    "same leaf in both copies": (in_both, 3),
    "same leaf in both copies, no parity": (in_both_without_parity, 2),
    "damaged parity": (parity_hurt, 3),
    "lost or wrong hints": (hints_hurt, 2),
    "damaged mirror of the log": (mirror_hurt, 2),
}


def strike(
    place: Place,
    packages: Sequence[Sealed],
    stores: Sequence[str],
    chance: random.Random,
    allowed: Callable[[str], bool],
) -> tuple[str, str] | None:
    """One fault by chance, of the allowed kinds: its kind and what it did; None where it could not be done."""
    kinds = {kind: weight for kind, (_, weight) in FAULTS.items() if allowed(kind)}
    kind = chance.choices(list(kinds), list(kinds.values()))[0]
    target = Target(place, chance.choice(stores), chance.choice(packages), packages, chance)
    done = FAULTS[kind][0](target)
    return None if done is None else (kind, f"{target.store}/{target.package.path}: {done}")
