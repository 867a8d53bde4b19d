"""Calling a reader: lazily if it can, with every failure translated into one that names the file and the reader.

While it runs, its thread opens no other file than those of its dataset and of Python's own, and starts no program. A
reader whose arrays open a file later opens it once before it returns, so that this holds for that file as well.
"""

from __future__ import annotations

import importlib
import os
import sys
import sysconfig
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from diadem.archive.load.safe import detached
from diadem.errors import DiademError, ReaderError, line_of
from diadem.hooks.offers import ReaderOffer, target

#: Signal dictionaries as RosettaSciIO defines them.
Dictionaries = list[dict[str, Any]]
#: Events of `sys.audit` by which a program starts or a connection is made.
_FORBIDDEN = frozenset(
    {"os.exec", "os.posix_spawn", "os.spawn", "os.startfile", "os.system", "socket.connect", "subprocess.Popen"}
)
_SYSTEM = frozenset({os.devnull, "/dev/urandom", "/proc/cpuinfo", "/proc/meminfo", "/proc/self/status"})
#: What says how much memory this process has: others, as Dask's workers do, may look whenever objects are collected.
_OF_PROCESS = ("stat", "statm", "status")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
#: Code may be imported from wherever Python finds it; what Numba has compiled is kept in the user's folders.
_CODE, _COMPILED = (".py", ".pyc", ".pyd", ".so"), (".nbi", ".nbc")


class _Confinement(threading.local):
    """What the reader that runs in this thread may open, and what it wanted besides; None where none runs."""

    allowed: frozenset[str] | None = None
    wanted: str = ""


_CONFINEMENT = _Confinement()


@contextmanager
def confined(files: Iterable[Path]) -> Iterator[None]:
    """Let this thread open some files and Python's own only, and start no program; `PermissionError` in the reader.

    Raises `ReaderError` where the reader failed, and had wanted more than it may have.
    """
    _watch()
    before = _CONFINEMENT.allowed
    _CONFINEMENT.allowed = frozenset(_real(place) for place in files)
    _CONFINEMENT.wanted = ""
    try:
        yield
    except ReaderError as error:
        if _CONFINEMENT.wanted:
            raise ReaderError(_CONFINEMENT.wanted, where=error.where, next="`open` gives its bytes.") from error
        raise
    finally:
        _CONFINEMENT.allowed = before


def allow(files: Iterable[Path]) -> None:
    """Let the reader that runs in this thread open more files."""
    if _CONFINEMENT.allowed is not None:
        _CONFINEMENT.allowed |= {_real(place) for place in files}


@contextmanager
def lifted() -> Iterator[None]:
    """Let what the core does for a reader, such as reading the package, open what it needs."""
    before, _CONFINEMENT.allowed = _CONFINEMENT.allowed, None
    try:
        yield
    finally:
        _CONFINEMENT.allowed = before


@cache
def _watch() -> None:
    """Have Python tell what is opened; it has no way to stop that. What reads settings is imported before."""
    for name in ("dask.array", "hyperspy.io"):
        importlib.import_module(name)
    sys.addaudithook(_check)


def _check(event: str, arguments: tuple[Any, ...]) -> None:
    allowed = _CONFINEMENT.allowed
    if allowed is None:
        return
    if event in _FORBIDDEN:
        _CONFINEMENT.wanted = "the file makes its reader start a program or call another machine"
        raise PermissionError(_CONFINEMENT.wanted)
    if event != "open" or not isinstance(arguments[0], (str, bytes, os.PathLike)):
        return
    path, _, flags = arguments
    if isinstance(flags, int) and flags & _WRITING and _is_scratch(_real(path)):
        return
    if path not in _SYSTEM and (place := _real(path)) not in allowed and not _is_own(place):
        _CONFINEMENT.wanted = f"the file makes its reader open a file outside the dataset: {os.fsdecode(path)[:200]}"
        raise PermissionError(_CONFINEMENT.wanted)


def _real(path: Any) -> str:
    return os.path.normcase(os.path.realpath(os.fsdecode(path)))


def _is_scratch(place: str) -> bool:
    """Whether a file is one that libraries write for themselves: what they have compiled, and temporary files."""
    name = os.path.basename(place)  # noqa: PTH119
    compiled = any(ending in name for ending in _COMPILED) or f"{os.sep}__pycache__{os.sep}" in place
    temporary = _real(tempfile.gettempdir())  # a file without a name is opened by its folder
    return compiled or place == temporary or place.startswith(temporary + os.sep)


def _is_own(place: str) -> bool:
    """Whether a file belongs to Python, its packages or the system's tables, or tells of this process."""
    if place in [f"/proc/{os.getpid()}/{name}" for name in _OF_PROCESS]:
        return True
    if place.startswith(_own_places()) or place.endswith(_COMPILED):
        return True
    return place.endswith(_CODE) and place.startswith(tuple(_real(folder or ".") + os.sep for folder in sys.path))


@cache
def _own_places() -> tuple[str, ...]:
    """Where Python, its packages and the system's tables are, each with a separator behind."""
    installed = (place for place in sys.path if Path(place).name in ("site-packages", "dist-packages"))
    places = (*installed, *sysconfig.get_paths().values(), str(Path(__file__).parents[2]))
    system = ("/sys", "/usr/share/zoneinfo", "/usr/lib", "/lib")
    return tuple(_real(place) + os.sep for place in (*places, *system))


def reader_of(offer: ReaderOffer) -> Callable[..., Dictionaries]:
    """The reader with its options; files that it forgets to close are closed without a warning to the user."""
    function = target(offer.load)

    def call(source: Any, *, lazy: bool) -> Dictionaries:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            return [detached(found) for found in function(source, **{"lazy": lazy, **offer.options})]

    return call


@contextmanager
def reader_errors(offer: ReaderOffer, where: str) -> Iterator[None]:
    """Whatever a reader raises becomes a `ReaderError` that names the file."""
    try:
        yield
    except ReaderError as error:
        error.where = error.where or where
        raise
    except DiademError:
        raise
    except ImportError as error:
        message = f"the reader '{offer.name}' needs a package that is not installed: {error.name or error}"
        raise ReaderError(message, where=where, next=f"pip install {error.name}" if error.name else None) from error
    except Exception as error:
        advice = "The bytes are as they were archived; `open` gives them."
        raise ReaderError(f"'{offer.name}' cannot read it: {brief(error)}", where=where, next=advice) from error


def brief(error: Exception) -> str:
    """Kind and beginning of a foreign error's message."""
    return f"{type(error).__name__}: {line_of(error)[:200]}".removesuffix(": ")
