"""The data that is archived: the same bytes for the same seed, of a format that no reader knows, except the images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from diadem.testing.samples import write_large, write_small_images

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Input:
    """A set of files: its name in tables, and what writes it at a scale of 1 or less."""

    name: str
    title: str
    write: Callable[[Path, float], None]


def _one(folder: Path, scale: float) -> None:
    write_large(folder, max(1, round(4096 * scale)) * MIB)


def _many(folder: Path, scale: float) -> None:
    for number in range(max(1, round(200 * scale))):
        write_large(folder, 16 * MIB, seed=number, name=f"frame_{number:04d}.dat")


def _small(folder: Path, scale: float) -> None:
    write_small_unknown(folder, max(1, round(20_000 * scale)))


def _images(folder: Path, scale: float) -> None:
    write_small_images(folder, max(1, round(20_000 * scale)))


def write_small_unknown(folder: Path, count: int, size: int = 16 << 10) -> None:
    """`count` files of `size` bytes each, a thousand a folder, no two alike."""
    random = np.random.default_rng(count)
    for number in range(count):
        if number % 1000 == 0:
            place = folder / f"part_{number // 1000:03d}"
            place.mkdir(parents=True)
        (place / f"frame_{number:06d}.dat").write_bytes(random.bytes(size))


INPUTS = {
    one.name: one
    for one in (
        Input("one", "one file of 4 GiB", _one),
        Input("many", "200 × 16 MiB", _many),
        Input("small", "20,000 × 16 KiB, unknown format", _small),
        Input("images", "20,000 small TIFF images", _images),
    )
}


def described(name: str, scale: float, size: int, files: int) -> str:
    """A set in words, with what it really holds."""
    title = INPUTS[name].title + ("" if scale == 1 else f", scaled by {scale:g}")
    return f"{title} ({size / 2**30:.3g} GiB, {files:,} files)"


def make(name: str, work: Path, scale: float) -> tuple[Path, int, int]:
    """Write a set below `work`, or take the one that is there; its folder, its bytes, its number of files."""
    folder = work / f"input-{name}-{scale:g}"
    done = work / f"input-{name}-{scale:g}.complete"
    if not done.exists():
        INPUTS[name].write(folder, scale)
        done.touch()
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return folder, sum(sizes), len(sizes)
