"""What a worker gives up before it touches a foreign file: memory, time, the network, writing, other files.

Limits come from the operating system where it has them: `resource`, and on Linux what `diadem.extract.confinement` asks
for. An audit hook, which every platform has, refuses what a reader has no business with. The hook stops careless or
misled Python code, not machine code that has taken over the process: where the system does not stand behind it, as on
Windows and macOS, such code can do what the user can, and the record says so.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from diadem.extract.extraction import Places

if sys.platform != "win32":
    import resource

#: The platform as a value, where one branch must be readable on all of them.
_SYSTEM = str(sys.platform)
#: Largest file that a worker may write (caches of compiled code), and files it may have open at once.
_MAX_FILE = 32 << 20
_MAX_OPEN = 1024
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

#: Events of `sys.audit` that no reader needs; see the table of audit events in Python's documentation.
_FORBIDDEN = frozenset(
    {
        "ftplib.connect", "http.client.connect", "os.exec", "os.fork", "os.forkpty", "os.kill", "os.killpg",
        "os.posix_spawn", "os.spawn", "os.startfile", "os.system", "pty.spawn",
        "smtplib.connect", "socket.bind", "socket.connect", "socket.getaddrinfo", "socket.gethostbyaddr",
        "socket.gethostbyname", "socket.sendto", "subprocess.Popen", "urllib.Request", "winreg.CreateKey",
        "winreg.SetValue",
    }
)  # fmt: skip
_CHANGING = frozenset(
    {
        "os.chmod", "os.chown", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink",
        "os.truncate", "os.utime", "shutil.rmtree", "shutil.move",
    }
)  # fmt: skip


class Refusal(PermissionError):
    """A reader asked for something that it may not have."""


def limit_resources(memory: int) -> bool:
    """Set what can be set once and for all, `memory` in bytes; return whether the system has such limits."""
    if sys.platform != "win32":
        _lower(resource.RLIMIT_CORE, 0)
        _lower(resource.RLIMIT_FSIZE, _MAX_FILE)
        _lower(resource.RLIMIT_NOFILE, _MAX_OPEN)
        if _SYSTEM != "darwin":  # which accepts a limit of the address space and does not keep it
            _lower(resource.RLIMIT_AS, memory)
            return True
    return False


def forbid_pickled_codecs() -> None:
    """Have numcodecs register, once a reader imports it, a codec in place of its ``pickle`` that refuses to be one."""

    class Pickle:
        codec_id = "pickle"

        @classmethod
        def from_config(cls, config: Any) -> Any:
            raise Refusal(f"a reader may not unpickle: {config}")

    module = ModuleType("numcodecs.pickles")
    module.Pickle = Pickle  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module


def limit_time(seconds: float) -> None:
    """Let the process use so much more processor time; beyond it the system ends the process."""
    if sys.platform != "win32":
        used = resource.getrusage(resource.RUSAGE_SELF)
        _lower(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime + seconds) + 1)


def peak_memory() -> int:
    """Most bytes of physical memory that the process has used, or 0 where the system does not say.

    Linux is asked for VmHWM: the `ru_maxrss` of a fresh program still holds the size of its parent, a notebook perhaps.
    """
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text("ascii", "replace").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) * 1024
    peak = 0
    if sys.platform != "win32":
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if _SYSTEM == "darwin" else peak * 1024


def _lower(kind: int, value: int) -> None:
    """Set a soft limit, never above the hard one."""
    if sys.platform != "win32":
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (value if hard < 0 else min(value, hard), hard))


class Guard:
    """The audit hook: which files may be opened, and how.

    Files may be written in `scratch` alone, and read in `code` besides Python's own. `complain` is told what would be
    refused, and where; then nothing is, so that an author sees all of it.
    """

    def __init__(
        self, scratch: str, code: Iterable[str] = (), complain: Callable[[str, str], None] | None = None
    ) -> None:
        self._scratch = _real(scratch)
        self._complain = complain
        self._always = tuple(_real(place) for place in (*own_places(), *code))
        self._root = self._scratch
        self._lifted = False

    def install(self) -> None:
        """Add the hook; Python has no way to remove one."""
        sys.addaudithook(self._check)

    def enter(self, root: Path) -> None:
        """Allow the files below a dataset's root, and no longer those of an earlier one."""
        self._root = _real(str(root))

    @contextlib.contextmanager
    def lifted(self) -> Iterator[None]:
        """Refuse nothing for a moment in which no reader's code runs."""
        before, self._lifted = self._lifted, True
        try:
            yield
        finally:
            self._lifted = before

    def _check(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._lifted:
            return
        if event == "open":
            self._check_open(*arguments)
        elif event in _FORBIDDEN:
            self._refuse(f"a reader may not do this: {event}", repr(arguments)[:200])
        elif event in _CHANGING and not _below(_real(arguments[0]), (self._scratch,)):
            self._refuse(f"a reader may not change files: {event}", str(arguments[0]))

    def _refuse(self, message: str, what: str) -> None:
        if self._complain is None:
            raise Refusal(message)
        self._complain(message, what)

    def _check_open(self, path: Any, mode: Any, flags: Any) -> None:
        if not isinstance(path, (str, bytes, os.PathLike)):
            return
        place = _real(path)
        writing = isinstance(flags, int) and bool(flags & _WRITING)
        if isinstance(mode, str) and set(mode) & set("wax+"):
            writing = True
        if writing:
            if not _below(place, (self._scratch,)) and place != os.devnull:
                self._refuse("a reader may not write files", place)
        elif not _below(place, (self._root, self._scratch, *self._always)):
            self._refuse("a reader may not open files outside its dataset's folder", place)


def import_freely(guard: Guard, modules: Collection[str]) -> None:
    """Have large libraries, and the packages that they are in, imported without a guard when a reader asks for them.

    On its import Dask looks at the processor and at its own settings, which a reader may not. What a library does then
    is none of the reader's doing. What they would import only to know its types comes when a reader asks for it.
    """
    parents = {name.rpartition(".")[0] for name in modules} - {""}
    sys.meta_path.insert(0, _FreeFinder(guard, {*parents, *_OPTIONAL, *_NEEDED}, {*modules}))


#: Dask imports them, where they are installed, to know their types: more than half of its import, with what they need.
_OPTIONAL: Final = ("sparse", "xarray", "scipy.sparse", "scipy.fftpack")
_NEEDED: Final = ("numba", "pandas")
_TYPES: Final = {"sparse": ("SparseArray",), "scipy.sparse": ("spmatrix", "sparray")}


@contextlib.contextmanager
def _without_optional() -> Iterator[None]:
    """Have an import of these fail now, and succeed later."""
    hidden = [name for name in _OPTIONAL if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None stands for what is not there
    try:
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name, None)


class _FreeFinder(MetaPathFinder):
    """Finds a few modules where they always are, and lifts the guard while they run."""

    def __init__(self, guard: Guard, names: Collection[str], large: Collection[str]) -> None:
        self._guard = guard
        self._names = {*names, *large}
        self._large = large

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The usual spec, whose loader runs the module without the guard."""
        if fullname not in self._names:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return None
        run = spec.loader.exec_module

        def run_freely(module: ModuleType) -> None:
            with self._guard.lifted(), _without_optional() if fullname in self._large else contextlib.nullcontext():
                run(module)
            if (dask := sys.modules.get("dask.array.chunk_types")) is not None:
                for name in _TYPES.get(fullname, ()):  # as it does itself where it finds them
                    if (kind := getattr(module, name, None)) is not None:
                        dask.register_chunk_type(kind)

        spec.loader.exec_module = run_freely  # type: ignore[method-assign]
        return spec


def readable(packages: Places) -> Sequence[str]:
    """Files and folders that must be readable for the packages to be imported."""
    return [place for about in packages.values() for place in (*about["places"], about["origin"]) if place]


def install(packages: Places) -> None:
    """Have this process find the packages where its parent has found them."""
    if packages:
        sys.meta_path.insert(0, _Finder(packages))


class _Finder(MetaPathFinder):
    """Finds a few top-level packages by name."""

    def __init__(self, packages: Places) -> None:
        self._packages = packages

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """The spec of one of the packages; submodules are found in its places by the usual way."""
        about = self._packages.get(fullname)
        if about is None:
            return None
        if about["origin"]:
            places = about["places"] or None
            return importlib.util.spec_from_file_location(fullname, about["origin"], submodule_search_locations=places)
        return PathFinder.find_spec(fullname, [str(Path(place).parent) for place in about["places"]])


def own_places() -> Iterable[str]:
    """Where Python, its packages and the system's own tables are."""
    yield from (place for place in sys.path if place)
    yield from (sys.prefix, sys.base_prefix, sys.exec_prefix, str(Path(__file__).parents[1]))
    yield from (os.devnull, "/dev/urandom", "/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/sys")
    yield from ("/usr/share/zoneinfo", "/usr/lib", "/lib")


def _real(path: Any) -> str:
    """Absolute path with links and dots resolved."""
    return os.path.realpath(os.fsdecode(path)) if isinstance(path, (str, bytes, os.PathLike)) else ""


def _below(place: str, folders: Iterable[str]) -> bool:
    """Whether a path is one of the folders or inside one."""
    return any(place == folder or place.startswith(folder.rstrip(os.sep) + os.sep) for folder in folders)


def remove_scratch(guard: Guard) -> None:
    """Remove the private folder as the last act, for a parent that was killed and cannot."""
    if place := os.environ.get("DIADEM_SCRATCH"):
        with guard.lifted():  # it cannot know folders that are named by a descriptor, as here
            os.chdir(Path(place).parent)
            shutil.rmtree(place, ignore_errors=True)


def scratch_folder() -> str:
    """The private folder of this worker, made by its parent."""
    return os.environ.get("DIADEM_SCRATCH") or tempfile.gettempdir()
