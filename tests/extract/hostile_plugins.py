"""Parts of plugins beside readers, honest and not, called in the worker by the tests."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from diadem.hooks.fields import Block, Extension, Rule
from diadem.hooks.offers import Described, Issue

CL = "org.example.cl"
TABLE = (Rule("beam.acceleration_voltage", "High tension", "kV", cite="these tests"),)
HEADER = Block("header", {"High tension": 200}, data=b"HT=200", place="header")


def honest_blocks(path: str, files: Sequence[str]) -> Iterator[Block | Extension]:
    """A block and an extension."""
    yield HEADER
    yield Extension(CL, "1.0.0", {"mirror": "parabolic"})


def invalid_extension(path: str, files: Sequence[str]) -> Iterator[Block | Extension]:
    """An extension that breaks its schema, before a good block."""
    yield Extension(CL, "1.0.0", {"mirror": "round"})
    yield HEADER


def unknown_extension(path: str, files: Sequence[str]) -> Iterator[Extension]:
    """Namespaces and versions without a schema."""
    yield Extension("org.example.nobody", "7", [1, 2.5, None, {"a": "b"}])
    yield Extension(CL, "9.9.9", {"mirror": "round"})


def odd_extensions(path: str, files: Sequence[str]) -> Iterator[Any]:
    """What cannot stand in a record, and one that can at the end."""
    import numpy as np

    deep: Any = 1
    for _ in range(40):
        deep = [deep]
    yield Extension("No Namespace", "1", {})
    yield Extension("org.example.version", "", {})
    yield Extension("org.example.nan", "1", {"x": float("nan")})
    yield Extension("org.example.numpy", "1", {"x": np.float32(1)})
    yield Extension("org.example.deep", "1", deep)
    yield Extension("org.example.large", "1", "x" * 300_000)
    yield {"namespace": "org.example.dict"}
    yield Block("kind", tree="text")  # type: ignore[arg-type]
    yield Block("kind", {}, data=1 << 40)  # type: ignore[arg-type]
    yield Extension(CL, "1.0.0", {"mirror": "flat"})
    yield Extension(CL, "1.0.0", {"mirror": "parabolic"})
    yield HEADER


def hanging(*_: Any) -> Any:
    """Never come back; `hostile_readers.hang` burns processor time meanwhile."""
    while True:
        time.sleep(3600)


def dying(*_: Any) -> Any:
    """End the process."""
    os._exit(3)


def exiting(*_: Any) -> Any:
    """End the process as a script does."""
    sys.exit("bye")


def failing(*_: Any) -> Any:
    """Raise."""
    raise RuntimeError("of its own")


def draws_red(path: str, files: Sequence[str], signals: Sequence[Mapping[str, Any]]) -> Any:
    """A large red square; its signals are thrown away."""
    import numpy as np

    signals[0].clear()  # type: ignore[attr-defined]
    return np.broadcast_to(np.array([200, 10, 10], np.uint8), (3000, 2000, 3))


def draws_noise(path: str, files: Sequence[str], signals: Sequence[Mapping[str, Any]]) -> Any:
    """Colours that no file can hold in little space."""
    import numpy as np

    return np.random.default_rng(0).integers(0, 256, (160, 160, 3), np.uint8)


def draws_nothing(path: str, files: Sequence[str], signals: Sequence[Mapping[str, Any]]) -> None:
    """Nothing to show."""


def draws_text(path: str, files: Sequence[str], signals: Sequence[Mapping[str, Any]]) -> str:
    """No bytes."""
    return "<svg/>"


def draws_png(path: str, files: Sequence[str], signals: Sequence[Mapping[str, Any]]) -> bytes:
    """A picture that is encoded already."""
    return b"\x89PNG\r\n\x1a\n"


def draws_objects(path: str, files: Sequence[str], signals: Sequence[Mapping[str, Any]]) -> Any:
    """An array of no numbers."""
    import numpy as np

    return np.array([["a", "b"]], dtype=object)


def draws_cube(path: str, files: Sequence[str], signals: Sequence[Mapping[str, Any]]) -> Any:
    """Too many dimensions."""
    import numpy as np

    return np.zeros((4, 4, 4, 4))


def draws_no_pixels(path: str, files: Sequence[str], signals: Sequence[Mapping[str, Any]]) -> Any:
    """Nothing at all."""
    import numpy as np

    return np.zeros((0, 4))


def finds_drift(path: str, files: Sequence[str], dataset: Described) -> Iterator[Issue]:
    """Two issues, one telling what it was given."""
    voltage = dataset.value("beam.acceleration_voltage")
    names = [Path(file).name for file in files]
    told = f"{dataset.format} {dataset.signals[0]['shape']} {voltage} {names} {dict(dataset.extensions)}"
    yield Issue("told", told, severity="info")
    yield Issue("drift", "the first and last frame are 12 nm apart", next="Align the frames.")


def vandal(path: str, files: Sequence[str], dataset: Described) -> list[Issue]:
    """Change what it was given."""
    dataset.signals[0].clear()  # type: ignore[attr-defined]
    dataset.fields.clear()  # type: ignore[attr-defined]
    dataset.extensions[CL]["mirror"] = "broken"
    return []


def nonsense(path: str, files: Sequence[str], dataset: Described) -> list[Any]:
    """No issues, and a good one."""
    return [3, Issue("Bad Code", "x"), Issue("empty", " "), Issue("loud", "x", severity="fatal"), Issue("good", "y")]  # type: ignore[arg-type]


def endless(path: str, files: Sequence[str], dataset: Described) -> Iterator[Issue]:
    """More issues than anybody reads."""
    number = 0
    while True:
        number += 1
        yield Issue("many", f"number {number}")


def finds_nothing(path: str, files: Sequence[str], dataset: Described) -> None:
    """A check that forgets to return a list."""


class Slow:
    """An array that says what it is, and cannot be read in time."""

    shape = (4, 4)
    dtype = __import__("numpy").dtype("u1")

    def __getitem__(self, key: Any) -> Any:
        """Hang."""
        return hanging()


def unreadable(path: str, lazy: bool = True) -> list[dict[str, Any]]:
    """A signal whose values take for ever."""
    axes = [{"name": name, "size": 4, "scale": 1.0, "offset": 0.0, "units": "nm", "navigate": False} for name in "yx"]
    return [{"data": Slow(), "axes": axes, "metadata": {"General": {"title": "slow"}}, "original_metadata": {}}]
