"""What an analysis has made, as files: a HyperSpy signal, a figure, or what lies on the disk already."""

from __future__ import annotations

import os
import platform
import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from diadem.errors import NotFound, UsageError

#: Programs that are named as having made a result, where the process has imported them: module and distribution.
KNOWN_SOFTWARE: Final = (
    ("hyperspy", "hyperspy"), ("rsciio", "rosettasciio"), ("exspy", "exspy"), ("pyxem", "pyxem"),
    ("lumispy", "lumispy"), ("holospy", "holospy"), ("kikuchipy", "kikuchipy"), ("atomap", "atomap"),
    ("py4DSTEM", "py4DSTEM"), ("libertem", "libertem"), ("abtem", "abtem"), ("ase", "ase"),
    ("numpy", "numpy"), ("scipy", "scipy"), ("skimage", "scikit-image"), ("sklearn", "scikit-learn"),
    ("matplotlib", "matplotlib"), ("dask", "dask"),
)  # fmt: skip
#: Characters of a file's name that are made of the title of a result.
_LONGEST: Final = 80
_ODD: Final = re.compile(r"[^\w .+()-]+")
_DOTS: Final = 300


def software_in_use(ours: str) -> list[tuple[str, str]]:
    """Names and versions of what this process works with: ours, Python, and known programs that it imported."""
    found = [("diadem-em", ours.rpartition(" ")[2]), ("python", platform.python_version())]
    for module, distribution in KNOWN_SOFTWARE:
        if module in sys.modules:
            try:
                found.append((distribution, version(distribution)))
            except PackageNotFoundError:  # a folder on the path, not installed
                found.append((distribution, str(getattr(sys.modules[module], "__version__", "unknown"))))
    return found


def title_of(result: Any) -> str:
    """What a result calls itself, or ""."""
    if is_signal(result):
        return str(result.metadata.get_item("General.title", "")).strip()
    if is_figure(result):
        return str(getattr(getattr(result, "_suptitle", None), "get_text", str)()).strip()
    return Path(os.fspath(result)).stem if isinstance(result, str | os.PathLike) else ""


def is_signal(result: Any) -> bool:
    """Whether it is a HyperSpy signal."""
    return hasattr(result, "axes_manager") and hasattr(result, "save")


def is_figure(result: Any) -> bool:
    """Whether it is a Matplotlib figure."""
    return hasattr(result, "savefig")


def file_of(result: Any, name: str, folder: Path) -> Path:
    """The file or folder that holds a result, written into `folder` unless it lies on the disk already.

    Raises
    ------
    NotFound
        There is no such file.
    UsageError
        It is nothing that can be archived.
    """
    if is_signal(result):
        path = folder / f"{file_name(name)}.hspy"
        result.save(str(path), overwrite=False)
        return path
    if is_figure(result):
        path = folder / f"{file_name(name)}.png"
        result.savefig(str(path), dpi=_DOTS)
        return path
    if not isinstance(result, str | os.PathLike):
        raise UsageError(
            f"a result of the type {type(result).__name__} cannot be archived",
            next="Give a HyperSpy signal, a Matplotlib figure, or the path of a file or folder.",
        )
    path = Path(os.fspath(result)).absolute()
    if not path.exists():
        raise NotFound("there is no such file or folder", where=str(path), next="Check the path.")
    return path


def file_name(name: str) -> str:
    """A name that every system takes for a file."""
    plain = _ODD.sub("_", name).strip(" .")[:_LONGEST].strip(" .")
    return plain or "result"
