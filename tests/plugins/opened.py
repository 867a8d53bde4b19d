"""Formats opened in tests: from files of a folder, or from bytes in memory, without a reader to fall back on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diadem.extract.opening import LocalFiles, array_of
from diadem.hooks.fields import Block
from diadem.hooks.formats import Files, Opened
from diadem.hooks.offers import ReaderOffer, target
from diadem.model.ports import InMemory


class Bytes(InMemory):
    """It counts what it gives out."""

    read = 0

    def read_at(self, offset: int, length: int) -> bytes:
        assert offset >= 0
        assert length >= 0
        piece = super().read_at(offset, length)
        self.read += len(piece)
        return piece


class Held(Files):
    """Files in memory; the first names the dataset."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        super().__init__(next(iter(files)), files)
        self.held = {name: Bytes(data) for name, data in files.items()}

    def open_file(self, name: str) -> Bytes:
        return self.held[name]

    def path(self, parts: Any = None) -> str:  # noqa: ARG002
        raise OSError("these files have no path")

    def hdf5(self) -> Any:
        raise OSError("these files have no path")

    def read(self, parts: Any = None, *, hdf5: bool = False) -> Any:  # noqa: ARG002
        raise OSError("these files have no reader")


def opened(open_: str, path: Path, load: str = "") -> tuple[Opened, LocalFiles]:
    """A file with all that lies beside it; `load` is the reader that it may ask."""
    names = sorted(file.name for file in path.parent.iterdir() if file.is_file())
    files = LocalFiles(path.parent, path.name, names, ReaderOffer("test", (), load, open=open_))
    return target(open_)(files), files


def dictionaries(open_: str, path: Path, load: str = "") -> list[dict[str, Any]]:
    """Its signals as RosettaSciIO would return them."""
    found, files = opened(open_, path, load)
    return [signal.dictionary(array_of(signal, files, str(path))) for signal in found.signals]


def blocks(open_: str, path: Path) -> list[Block]:
    """Its blocks."""
    return [block for block in opened(open_, path)[0].blocks if isinstance(block, Block)]
