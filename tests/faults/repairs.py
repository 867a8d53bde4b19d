"""What a repair must manage, decided from the bytes alone before it runs, and whether it did."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from diadem.errors import DiademError
from diadem.model.replicas import PRESENT, SUSPECT
from tests.faults.case import Case, Copy
from tests.faults.sealed import (
    LEAF,
    NEEDED,
    TAGMANIFEST,
    Files,
    Sealed,
    World,
    Wound,
    good_leaf,
    identity,
    wounds,
)

#: Bytes in a row that parity of a package of any size makes up for.
_BURST = 512

if TYPE_CHECKING:
    from diadem.node.repair import Repaired


@dataclass(frozen=True)
class Forecast:
    """What must become of every wound.

    Attributes
    ----------
    hurt : mapping
        Copy to its wounds before the repair.
    sure : mapping
        Copy to the wounds for which good bytes lie where DIADEM looks for them.
    timed : set of (copy, path)
        Damaged files that must have the time of their source after they were mended: they have it, are written anew, or
        a mender that died has noted it.
    """

    hurt: Mapping[Copy, list[Wound]]
    sure: Mapping[Copy, list[Wound]]
    timed: Collection[tuple[Copy, str]]


def forecast(case: Case, world: World) -> Forecast:
    """Look for good bytes for every wound: in the other copy, in parity, in the catalogue, in the copy itself."""
    hurt = case.hurt(world)
    sources = _Sources(case, world, hurt)
    sure = {copy: [wound for wound in found if sources.has(copy, wound)] for copy, found in hurt.items()}
    return Forecast(hurt, sure, set(_timed(case, hurt)))


def _timed(case: Case, hurt: Mapping[Copy, list[Wound]]) -> Iterator[tuple[Copy, str]]:
    paths = case.paths()
    for copy, found in hurt.items():
        desk = case.place.store(copy[0]) / ".diadem" / "mending"
        noted = [json.loads(path.read_text()) for path in desk.glob("*.json")]
        for wound in found:
            mtime = case.sealed[copy[1]].times.get(wound.path)
            file = case.place.store(copy[0]) / paths[copy] / wound.path
            if mtime is None:
                continue
            anew = wound.kind in ("missing", "size", "irregular", "copy")
            note = any((one["package"], one["file"]) == (paths[copy], wound.path) for one in noted)
            if anew or note or os.lstat(file).st_mtime_ns == mtime:
                yield copy, wound.path


class _Sources:
    """Where good bytes lie."""

    def __init__(self, case: Case, world: World, hurt: Mapping[Copy, list[Wound]]) -> None:
        self._case, self._world, self._hurt = case, world, hurt
        self._paths, self._states = case.paths(), case.states()

    def has(self, copy: Copy, wound: Wound) -> bool:
        """Whether good bytes for a wound are where DIADEM looks."""
        sealed = self._case.sealed[copy[1]]
        own = self._files(copy)
        if wound.kind == "extra" or not all(self._tag(copy, path) for path in (TAGMANIFEST, *NEEDED)):
            return False
        if wound.kind == "copy" or self._is_another(copy, own):
            return any(not self._hurt[other] for other in self._others(copy))
        if not wound.path.startswith("data/"):
            return self._tag(copy, wound.path, own=False)
        leaves = [wound.leaf] if wound.leaf is not None else range(-(-len(sealed.files[wound.path]) // LEAF))
        return all(self._leaf(copy, wound, leaf) for leaf in leaves)

    def _leaf(self, copy: Copy, wound: Wound, leaf: int) -> bool:
        sealed = self._case.sealed[copy[1]]
        places = [copy, *self._others(copy)]
        if any(good_leaf(sealed, wound.path, leaf, self._files(place)) for place in places):
            return True
        payload = [one for one in self._hurt[copy] if one.path.startswith("data/") and one.kind != "extra"]
        return self._parity(copy) and payload == [wound] and self._is_small(copy, wound)

    def _is_small(self, copy: Copy, wound: Wound) -> bool:
        """Whether so few bytes in a row are wrong that parity surely makes up for them, however small the package."""
        if wound.leaf is None:
            return False
        place = slice(wound.leaf * LEAF, (wound.leaf + 1) * LEAF)
        right = self._case.sealed[copy[1]].files[wound.path][place]
        now = (self._files(copy)[wound.path] or b"")[place]
        wrong = [number for number, (one, other) in enumerate(zip(right, now, strict=True)) if one != other]
        return wrong[-1] - wrong[0] < _BURST

    def _tag(self, copy: Copy, path: str, *, own: bool = True) -> bool:
        right = self._case.sealed[copy[1]].files[path]
        places = [*([copy] if own else []), *self._others(copy)]
        if any(self._files(place).get(path) == right for place in places) or self._parity(copy):
            return True
        try:
            return self._case.node.context.catalogue.tag_files(copy[1]).get(path) == right
        except DiademError:
            return False

    def _others(self, copy: Copy) -> list[Copy]:
        return [
            other
            for other in self._paths
            if other[1] == copy[1] and other != copy and self._states[other] in (PRESENT, SUSPECT)
        ]

    def _files(self, copy: Copy) -> Files:
        return self._world.get(copy[0], {}).get(self._paths[copy]) or {}

    def _is_another(self, copy: Copy, own: Files) -> bool:
        found = identity(own)
        return found != copy[1] and found in self._case.sealed

    def _parity(self, copy: Copy) -> bool:
        """Whether the parity beside a copy is as it was made."""
        name = f".diadem/parity/{copy[1].removeprefix('diadem:')}.pq"
        path = self._case.place.store(copy[0]) / name
        made = self._case.laboratory.parity.get(copy)
        return made is not None and path.is_file() and path.read_bytes() == made


def _gone(case: Case, world: World, copy: Copy, path: str) -> bool:
    """Whether nothing of a package lies at the place of a copy: nothing at all, or another package."""
    there = world.get(copy[0], {}).get(path)
    if there is not None and identity(there) in case.sealed.keys() - {copy[1]}:
        return True
    return any(wound.kind == "copy" for wound in wounds(case.sealed[copy[1]], there))


def judge_repair(case: Case, expected: Forecast, repaired: Repaired, after: World) -> None:
    """What could be mended is whole again; what could not is named, and is as it was."""
    left = {(one.store, one.package, one.path) for one in repaired.left}
    owed = {(debt.store, debt.package) for debt in repaired.debts}
    lost = {one.package for one in repaired.left if one.reason.startswith("no copy is left at its place")}
    paths = case.paths()
    remains = False
    for package in lost:
        kept = [copy for copy in paths if copy[1] == package and not _gone(case, after, copy, paths[copy])]
        case.require(not kept, f"said to be lost, and something is there: {kept}")
    for copy, before in expected.hurt.items():
        now = wounds(case.sealed[copy[1]], after.get(copy[0], {}).get(paths[copy]))
        remains |= bool(now)
        for wound in expected.sure[copy]:
            case.require(wound not in now, f"could have been mended, and was not: {copy} {wound}; left {sorted(left)}")
        for wound in now:
            told = (*copy, wound.path) in left or (*copy, paths[copy]) in left or copy in owed
            told = told or copy[1] in lost  # of which nothing lies there, as was just looked at
            told = told or (wound.kind == "extra" and any(one[:2] == copy for one in left))
            case.require(told, f"left without a word: {copy} {wound}; told {sorted(left)} {owed}")
        case.counts["mended"] += len(before) - len(now)
        case.counts["left, and said so"] += len(now)
    if remains:
        case.require(not repaired.ok, "the repair says that all is well, and damage remains")


def judge_times(case: Case, expected: Forecast, world: World) -> None:
    """Files that were mended are sealed, and have the times that they were archived with."""
    paths = case.paths()
    for copy, hurt in expected.hurt.items():
        sealed: Sealed = case.sealed[copy[1]]
        if wounds(sealed, world.get(copy[0], {}).get(paths[copy])):
            continue
        for name in {wound.path for wound in hurt if (copy, wound.path) in expected.timed}:
            status = (case.place.store(copy[0]) / paths[copy] / name).stat()
            case.require(status.st_mtime_ns == sealed.times[name], f"another time: {copy} {name}")
            case.require(not status.st_mode & 0o222, f"may be written: {copy} {name}")
