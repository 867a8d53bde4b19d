"""Copies of an example's dataset: as it is, under another name and time, and spoiled."""

from __future__ import annotations

import os
import random
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from diadem.extract.survey import DatasetPlan, survey, with_companions
from diadem.hooks.offers import ReaderOffer
from diadem.testing.plugin_report import Notes

#: Bytes of an example's files in all; larger ones make slow tests.
MAX_EXAMPLE = 64 << 20
#: When a renamed copy says that it was written: in 2001.
_LONG_AGO = 1_000_000_000
_NEW_STEM = "renamed_copy"
#: Bytes at the beginning in which headers lie.
_HEAD = 4096
_DIGITS = re.compile(rb"\d+")
#: Changes of the head by chance.
_BY_CHANCE = 12
#: How other files than the primary are spoiled.
_SIDE_FAULTS = frozenset({"empty", "cut in half", "random bytes"})


@dataclass(frozen=True, slots=True)
class Example:
    """One dataset in a folder of its own."""

    name: str
    root: Path
    plan: DatasetPlan

    @property
    def path(self) -> Path:
        """What the reader gets."""
        return self.root / self.plan.entry

    @property
    def files(self) -> list[str]:
        """Paths of its files, the primary first, relative to the folder."""
        return [file.path for file in self.plan.files]


@dataclass(frozen=True, slots=True)
class SpoiledCopy:
    """A dataset in which one file is spoiled: what was done, and whether a reader should notice."""

    what: str
    example: Example
    incomplete: bool


def prepare(given: Path, root: Path, readers: Sequence[ReaderOffer], notes: Notes) -> Example | None:
    """Copy an example's dataset into an empty folder."""
    if not given.exists():
        notes.error("example-missing", given.name, f"there is no file '{given}'")
        return None
    root.mkdir(parents=True)
    for source in with_companions(given, readers) if given.is_file() else [given]:
        if source.is_dir():
            shutil.copytree(source, root / source.name)
        else:
            shutil.copyfile(source, root / source.name)
    found = _surveyed(given.name, given.name, root, readers)
    if found is None:
        advice = "Its name must end as the reader's offer says, and it must not be a side file of another."
        notes.error("example-unclaimed", given.name, "no dataset begins with this file", advice)
    elif sum(file.size for file in found.plan.files) > MAX_EXAMPLE:
        notes.error("example-large", given.name, f"an example has at most {MAX_EXAMPLE >> 20} MiB; cut it down")
        return None
    return found


def _surveyed(name: str, entry: str, root: Path, readers: Sequence[ReaderOffer]) -> Example | None:
    files = [(path.relative_to(root).as_posix(), path.stat().st_size) for path in root.rglob("*") if path.is_file()]
    plans = (plan for plan in survey(files, readers) if plan.entry == entry and plan.offers)
    return next((Example(name, root, replace(plan, id="d1")) for plan in plans), None)


def renamed(example: Example, root: Path, readers: Sequence[ReaderOffer]) -> Example | None:
    """The files in another folder, the primary's stem replaced in all names, as if written years ago.

    None where they are no whole dataset any more.
    """
    shutil.copytree(example.root, root)
    stem = example.plan.entry.split(".")[0]
    for path in sorted(root.iterdir()):
        if path.name.startswith(stem):
            path.rename(path.with_name(_NEW_STEM + path.name[len(stem) :]))
    for path in root.rglob("*"):
        if path.is_file():
            os.utime(path, (_LONG_AGO, _LONG_AGO))
    found = _surveyed(example.name, _NEW_STEM + example.plan.entry[len(stem) :], root, readers)
    return found if found is not None and len(found.files) == len(example.files) else None


def spoiled_copies(example: Example, root: Path) -> Iterator[SpoiledCopy]:
    """Spoil the primary in every way, each other file in some, and leave each other file out.

    A copy is removed when the next one is asked for.
    """
    for number, (what, changes, incomplete) in enumerate(_faults(example)):
        folder = root / str(number)
        yield SpoiledCopy(what, _with(example, folder, changes), incomplete)
        shutil.rmtree(folder)


def _faults(example: Example) -> Iterator[tuple[str, Mapping[str, bytes | None], bool]]:
    for place, name in enumerate(example.files):
        data = (example.root / name).read_bytes()
        for item in spoiled(data) if data else ():
            if place == 0:
                yield item.name, {name: item.data}, item.incomplete
            elif item.name in _SIDE_FAULTS:
                yield f"{name} {item.name}", {name: item.data}, False
        if place:
            yield f"without {name}", {name: None}, False


def _with(example: Example, root: Path, changes: Mapping[str, bytes | None]) -> Example:
    """A copy of the dataset in which some files hold something else, or (None) are missing."""
    shutil.copytree(example.root, root)
    files = []
    for file in example.plan.files:
        path, data = root / file.path, changes.get(file.path, b"")
        if data is None:
            path.unlink()
            continue
        if file.path in changes:
            path.write_bytes(data)
        files.append(replace(file, size=path.stat().st_size))
    return Example(example.name, root, replace(example.plan, files=tuple(files)))


# -- as disks, cables, other programs and enemies leave a file ------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Spoiled:
    """One spoiled copy: what was done, in words, what is left, and whether a reader should notice that it is less."""

    name: str
    data: bytes
    incomplete: bool = False


def spoiled(data: bytes, seed: int = 0) -> Iterator[Spoiled]:
    """Spoil a file of at least one byte in some thirty ways, the same ones for the same seed."""
    random_ = random.Random(seed)  # noqa: S311 - faults, not secrets
    size = len(data)
    yield Spoiled("empty", b"", incomplete=True)
    for name, kept in (("cut to an eighth", size // 8), ("cut in half", size // 2)):
        yield Spoiled(name, data[:kept], incomplete=True)
    for name, kept in (("cut to its first 16 bytes", 16), ("cut by one byte", size - 1)):
        yield Spoiled(name, data[:kept])
    yield Spoiled("random bytes", random_.randbytes(size))
    yield Spoiled("random bytes after the first 32", data[:32] + random_.randbytes(max(0, size - 32)))
    yield Spoiled("zeros in its second half", data[: size // 2] + bytes(size - size // 2))
    yield Spoiled("zeros from the first 64 bytes on", data[:64] + bytes(max(0, size - 64)))
    yield Spoiled("written twice over", data + data)
    yield from _numbers(data)
    for number in range(_BY_CHANCE):
        yield Spoiled(f"random bytes of the head changed ({number + 1})", _changed(data, random_))


def _numbers(data: bytes) -> Iterator[Spoiled]:
    """Every number at the beginning huge, or negative, or none: as texts, and as binary words."""
    head, rest = data[:_HEAD], data[_HEAD:]
    for text in (b"999999999999", b"-1", b"0", b"1e308", b"nan"):
        yield Spoiled(f"every number of the head is {text.decode()}", _DIGITS.sub(text, head) + rest)
    for word, name in ((b"\xff\xff\xff\x7f", "the largest"), (b"\xff\xff\xff\xff", "-1"), (b"\0\0\0\0", "0")):
        for start in (4, 16, 64):
            spoilt = head[:start] + word * ((len(head[start:256]) + 3) // 4) + head[256:]
            yield Spoiled(f"every binary number from byte {start} on is {name}", spoilt + rest)


def _changed(data: bytes, random_: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(8):
        changed[random_.randrange(min(_HEAD, len(data)))] = random_.randrange(256)
    return bytes(changed)
