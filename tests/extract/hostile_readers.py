"""Readers that misbehave, called in the worker by the tests of the pool. They lie, hang, die and snoop on purpose."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from diadem.hooks.fields import Block
from diadem.hooks.formats import CutShort, Files, Opened, Signal


def signal(title: str = "", **more: Any) -> dict[str, Any]:
    """A small honest image."""
    axes = [
        {"name": name, "size": 4, "scale": 2.0, "offset": 0.0, "units": "nm", "navigate": False} for name in ("y", "x")
    ]
    metadata = {"General": {"title": title}, "Signal": {"signal_type": ""}}
    return {"data": np.arange(16.0).reshape(4, 4), "axes": axes, "metadata": metadata, "original_metadata": {}, **more}


def honest(path: str, lazy: bool = True) -> list[dict[str, Any]]:
    """What a reader should do."""
    return [signal(Path(path).name)]


def hang(path: str, lazy: bool = True) -> list[dict[str, Any]]:
    """Burn processor time for ever."""
    while True:
        pass


def sleep(path: str, lazy: bool = True) -> list[dict[str, Any]]:
    """Wait for ever without using the processor."""
    time.sleep(3600)
    return []


def die(path: str, lazy: bool = True) -> list[dict[str, Any]]:
    """End the process, as a crash in machine code does."""
    os._exit(7)


def print_much(path: str, lazy: bool = True) -> list[dict[str, Any]]:
    """Write to both streams, also below Python, and read the input."""
    for _ in range(2000):
        print("x" * 200)  # noqa: T201
        print("y" * 200, file=sys.stderr)  # noqa: T201
    os.write(1, b'{"job": 1, "format": "forged"}\n')
    return [signal(f"input {sys.stdin.read()!r} {os.read(0, 10)!r}")]


def eat_memory(path: str, lazy: bool = True) -> list[dict[str, Any]]:
    """Ask for more memory than there is."""
    return [signal(str(np.ones(1 << 36).sum()))]


def talk_too_much(path: str, lazy: bool = True) -> list[dict[str, Any]]:
    """Return a description that no record should hold."""
    axis = {"name": "wavelength", "size": 4096, "axis": np.linspace(0, 1, 4096), "units": "nm", "navigate": False}
    return [signal("t" * 1500, data=np.zeros(4096), axes=[axis]) for _ in range(100)]


def snoop(path: str, lazy: bool = True) -> list[dict[str, Any]]:
    """Try everything that a reader has no business with; the title lists what worked."""
    attempts: dict[str, Callable[[], object]] = {
        "read": lambda: Path("/etc/hostname").read_text() if os.name != "nt" else Path(os.environ["SYSTEMROOT"]).stat(),
        "climb": (Path(path).parent.parent / "outside.txt").read_text,
        "write": lambda: Path(path).with_suffix(".new").write_text("x"),
        "append": lambda: os.close(os.open(path, os.O_WRONLY | os.O_APPEND)),
        "remove": lambda: Path(path).unlink(),
        "run": lambda: subprocess.run([sys.executable, "-c", ""], check=True),
        "connect": lambda: socket.create_connection(("127.0.0.1", 9), timeout=1),
        "resolve": lambda: socket.getaddrinfo("localhost", 80),
    }
    worked = []
    for name, attempt in attempts.items():
        try:
            attempt()
        except PermissionError:
            continue
        except OSError as error:
            worked.append(f"{name} ({type(error).__name__})")
            continue
        worked.append(name)
    return [signal("worked: " + ", ".join(worked) if worked else "nothing worked")]


def environment(path: str, lazy: bool = True) -> list[dict[str, Any]]:
    """What the worker sees of its surroundings."""
    seen = {
        "zone": time.strftime("%z", time.localtime(1_700_000_000)),
        "secret": os.environ.get("DIADEM_TEST_SECRET", "absent"),
        "plugins": os.environ.get("HDF5_PLUGIN_PATH", "absent"),
        "here": sorted(os.listdir(".")),
        "path": os.getcwd() in sys.path or "" in sys.path,
    }
    return [signal(repr(seen))]


def lazy_refused(path: str, lazy: bool = True) -> list[dict[str, Any]]:
    """A reader that cannot be lazy."""
    if lazy:
        raise NotImplementedError("Lazy loading is not supported.")
    return [signal("eager")]


def bad_array(path: str, lazy: bool = True) -> list[dict[str, Any]]:
    """Metadata is there, the values are not."""
    import dask.array as da

    def fail(block: Any) -> Any:
        raise OSError(f"cannot read {path}")

    data = da.zeros((4, 4), chunks=4).map_blocks(fail, dtype=float, meta=np.empty((0, 0)))
    return [signal("described", data=data)]


def calls_for_dask(path: str, lazy: bool = True) -> list[dict[str, Any]]:
    """Dask's settings, where it is imported only now, and whether more than its import was allowed."""
    before = "dask" in sys.modules
    import dask
    import dask.array as da

    try:
        reached = Path("/proc/stat").read_text() if Path("/proc/stat").exists() else ""
    except PermissionError:
        reached = ""
    seen = (before, dask.config.get("array.chunk-size"), bool(reached))
    return [signal(repr(seen), data=da.zeros((4, 4), chunks=2))]


def nonsense(path: str, lazy: bool = True) -> Any:
    """An answer that is no list of signals."""
    return [3]


def forge(path: str, lazy: bool = True) -> list[dict[str, Any]]:
    """Answer in the worker's place, as code does that has taken it over, with what no worker says."""
    frame: Any = sys._getframe()
    while "sink" not in frame.f_locals or "job" not in frame.f_locals:
        frame = frame.f_back
    said = b'{"job": %d, "peak": "much", "format": [], "signals": 5, "issues": {}}' % frame.f_locals["job"]["job"]
    if path.endswith("nested.forge"):
        said = b"[" * 100_000
    os.write(frame.f_locals["sink"].fileno(), said + b"\n")
    time.sleep(3600)
    return []


def path_in_title(path: str, lazy: bool = True) -> list[dict[str, Any]]:
    """A reader that lets a path of this machine into its metadata."""
    return [signal(f"from {path}")]


def unpickle(path: str, lazy: bool = True) -> list[dict[str, Any]]:
    """Decode as a Zarr store asks for it that no reader of ours has looked through."""
    import numcodecs  # type: ignore[import-untyped]

    numcodecs.get_codec({"id": "zlib"})
    return [signal(repr(numcodecs.get_codec({"id": "pickle"})))]


# -- formats opened that end too early -----------------------------------------------------------------------------


def short_size(files: Files) -> Opened:
    """The head says how long the file is; then the reader fails."""
    return Opened(_failing(ValueError("no such pixels")), _blocks(files), size=1000)


def short_signals(files: Files) -> Opened:
    """It is noticed where the signals are read, and was said before."""
    return Opened(_failing(CutShort(files.entry, 1000, files[files.entry].size)), _blocks(files), size=1000)


def short_blocks(files: Files) -> Opened:
    """It is noticed where the blocks are cut, and the signals are there."""
    return Opened([Signal.from_reader(signal("whole"))], _blocks(files), size=0)


def short_at_once(files: Files) -> Opened:
    """It is noticed at once."""
    raise CutShort(files.entry, 1000, files[files.entry].size)


def short_part(files: Files) -> Opened:
    """Another file of the dataset ends too early."""
    part = next(name for name in files if name != files.entry)
    return Opened(_failing(CutShort(part, 1000, files[part].size)))


def _failing(error: Exception) -> Iterator[Signal]:
    yield from ()
    raise error


def _blocks(files: Files) -> Iterator[Block]:
    yield Block("head", {"a": 1})
    raise CutShort(files.entry, 1000, files[files.entry].size)
