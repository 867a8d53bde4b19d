"""What differs between operating systems: their errors, long paths, flushing, locks, links, retries on locked files."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import getpass
import os
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeVar

from diadem.errors import DiademError, NotFound, StoreError, Unreachable, cause_of
from diadem.model.system_paths import long_form

T = TypeVar("T")

WINDOWS = sys.platform == "win32"
#: No link is followed, no newline is translated, no other program inherits it.
_PLAIN = sum(getattr(os, name, 0) for name in ("O_BINARY", "O_NOFOLLOW", "O_CLOEXEC", "O_NOINHERIT"))
#: Flags for reading a file that must be a plain file: no FIFO blocks.
READ_FLAGS = os.O_RDONLY | _PLAIN | getattr(os, "O_NONBLOCK", 0)
#: Flags for creating a file that must not exist yet.
CREATE_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | _PLAIN
#: Mode of archived files: the descriptor that created the file can still write, nobody can afterwards.
SEALED = 0o444
#: Whether `start_writeback` and `release_cache` do anything.
PAGES_CAN_BE_RELEASED = sys.platform.startswith("linux")
_SYNC_FILE_RANGE_ALL = 7  # wait for what is under way, write the rest, wait for that
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # malloc.h of glibc
_SYNC_FILE_RANGE_WRITE = 2  # linux/fs.h: start writing dirty pages, do not wait
#: Bit of a reparse tag that says "this stands for another place" (ntifs.h, IsReparseTagNameSurrogate): symbolic links
#: and junctions have it; placeholders of OneDrive and deduplicated files, which hold their own bytes, do not.
_NAME_SURROGATE = 0x20000000


class SinkFailed(Exception):
    """The copy cannot be written; the cause is the `OSError`. The source is not to blame."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(str(cause))
        self.cause = cause


class translated:  # noqa: N801  reads as a phrase: `with translated(url):`
    """Turns the operating system's errors, and those of a copy, into `StoreError`s that say what to do."""

    def __init__(self, url: str, consequence: str = "nothing was written") -> None:
        self._url = url
        self._consequence = consequence

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        cause = error.cause if isinstance(error, SinkFailed) else error
        if isinstance(cause, OSError) and not isinstance(cause, DiademError):
            raise store_error(cause, self._url, self._consequence) from cause


def store_error(error: OSError, url: str, consequence: str = "nothing was written") -> StoreError:
    """The `StoreError` for an error of the operating system while a store, or a file of the node, was written."""
    message, advice = cause_of(error) or (error.strerror or str(error), "See the operating system's message.")
    return StoreError(f"{message}; {consequence}" if consequence else message, where=url, next=advice)


@contextlib.contextmanager
def or_else(tidy_up: Callable[[], object]) -> Iterator[None]:
    """Tidy up where the block fails. What fails in tidying up is noted with the cause, and never takes its place."""
    try:
        yield
    except BaseException as cause:
        try:
            tidy_up()
        except (OSError, DiademError) as failure:
            cause.add_note(f"What was written so far could not be removed: {failure}")
        raise


def _library() -> Any:
    if not sys.platform.startswith("linux"):
        return None
    try:
        return ctypes.CDLL(None, use_errno=True)
    except OSError:
        return None


_LIBC = _library()


def long_path(path: str | os.PathLike[str]) -> str:
    r"""The path as text; on Windows absolute with the ``\\?\`` prefix, which lifts the limit of 260 characters."""
    text = os.fspath(path)
    if not WINDOWS:
        return text
    return long_form(text if text.startswith("\\\\?\\") else os.path.abspath(text))


def account_name() -> str:
    """The name of this account; "" in a container that is run under a number that no file of users knows."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # by version of Python, and on Windows
        return ""


def account_home() -> Path | None:
    """The home of this account, if it has one."""
    found = Path(os.path.expanduser("~"))
    return found if found.is_absolute() else None


def account_cache() -> Path:
    """The cache folder of this account: on each system the usual one.

    Raises
    ------
    NotFound
        The account has no home.
    """
    return _of_account("cache")


def user_cache(part: str) -> Path:
    """Where this account keeps what can be made or fetched again: in ``DIADEM_CACHE``, else in its cache folder.

    Raises
    ------
    NotFound
        As `account_cache`.
    """
    return Path(os.environ.get("DIADEM_CACHE") or account_cache()).absolute() / part


def user_config(part: str) -> Path:
    """Where this account keeps what it chose: in ``DIADEM_CONFIG``, else in its usual folder for that.

    Raises
    ------
    NotFound
        As `account_cache`.
    """
    return Path(os.environ.get("DIADEM_CONFIG") or _of_account("config")) / part


def _of_account(kind: Literal["cache", "config"]) -> Path:
    import platformdirs

    try:
        found = (
            platformdirs.user_cache_path("diadem", appauthor=False)
            if kind == "cache"
            else platformdirs.user_config_path("diadem")  # with keys in it: on Windows it stays where it was
        )
    except RuntimeError:  # platformdirs 4.3 and later, where others leave "~" as it is
        found = Path("~")
    if not found.is_absolute():
        raise NotFound("this account has no home, so it keeps nothing", next=f"Name a folder in DIADEM_{kind.upper()}.")
    return found


def make_deep(folder: str | os.PathLike[str]) -> None:
    """Make a folder with those above it, however deep it lies: `os.makedirs` goes down one call a folder."""
    path, missing = long_path(folder), []
    while path and not os.path.isdir(path):
        missing.append(path)
        if (above := os.path.dirname(path)) == path:  # a disk of Windows that is gone: `mkdir` says so
            break
        path = above
    for one in reversed(missing):
        with contextlib.suppress(FileExistsError):
            os.mkdir(one)


def discard(path: str) -> None:
    """Remove a file that should not stay; nothing to do if it is not there."""
    path = long_path(path)
    with contextlib.suppress(FileNotFoundError):
        if os.name == "nt":
            os.chmod(path, stat.S_IWRITE)
        os.unlink(path)


def kind_of(status: os.stat_result) -> str:
    """``file``, ``folder``, ``symlink``, ``fifo``, ``socket`` or ``device``."""
    mode = status.st_mode
    if stat.S_ISLNK(mode) or getattr(status, "st_reparse_tag", 0) & _NAME_SURROGATE:
        return "symlink"
    if stat.S_ISDIR(mode):
        return "folder"
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISFIFO(mode):
        return "fifo"
    return "socket" if stat.S_ISSOCK(mode) else "device"


def is_sparse(status: os.stat_result) -> bool:
    """Whether a file takes less of its disk than it has bytes."""
    return getattr(status, "st_blocks", status.st_size) * 512 < status.st_size


def start_writeback(descriptor: int, offset: int, length: int) -> None:
    """Ask the system to begin writing a range of a file to disk, so that the final flush is short (Linux only)."""
    _sync_range(descriptor, offset, length, _SYNC_FILE_RANGE_WRITE)


def release_cache(descriptor: int, offset: int, length: int) -> None:
    """Wait until a range of a file is on disk and give its memory back to the system (Linux only).

    A copy of a terabyte then reuses the same few pages, instead of driving everything else out of the cache.
    """
    if _sync_range(descriptor, offset, length, _SYNC_FILE_RANGE_ALL):
        os.posix_fadvise(descriptor, offset, length, os.POSIX_FADV_DONTNEED)


def _sync_range(descriptor: int, offset: int, length: int, flags: int) -> bool:
    if _LIBC is None or not hasattr(_LIBC, "sync_file_range"):
        return False
    _LIBC.sync_file_range(ctypes.c_int(descriptor), ctypes.c_int64(offset), ctypes.c_int64(length), flags)
    return True


def use_one_heap() -> None:
    """Have all threads of this process share one heap, and give blocks of two mebibytes back at once (glibc only).

    Otherwise each thread keeps a heap of its own for the next such block. What is smaller stays for the next one: new
    pages for each block of a file that is sent cost as much as all else that the system does for it.
    """
    if _LIBC is not None and hasattr(_LIBC, "mallopt"):
        _LIBC.mallopt(ctypes.c_int(_M_ARENA_MAX), ctypes.c_int(1))
        _LIBC.mallopt(ctypes.c_int(_M_MMAP_THRESHOLD), ctypes.c_int(2 << 20))


def flush_file(path: str) -> None:
    """Force one file's bytes to disk."""
    descriptor = os.open(path, (os.O_RDWR if WINDOWS else os.O_RDONLY) | getattr(os, "O_BINARY", 0))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_folder(path: str) -> None:
    """Force a folder's names to disk where the system can; Windows cannot, and NTFS journals them.

    Passed over are a folder that takes files and does not let itself be read (EACCES), as a letter box on a share; and
    a file system that forces no folders, which says so as EBADF, EINVAL, ENOTSUP or ENOSYS. No retry would change that,
    and a disk that fails says other things. PostgreSQL does the same (`fsync_fname_ext`).
    """
    if WINDOWS:
        return
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        if error.errno != errno.EACCES:
            raise
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EBADF, errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):
            raise
    finally:
        os.close(descriptor)


def flush_tree(root: str, files: Iterable[str], folders: Iterable[str]) -> None:
    """Force many files and folders to disk: one `syncfs` where there is one, else each on its own."""
    if _LIBC is not None and hasattr(_LIBC, "syncfs"):
        descriptor = os.open(root, os.O_RDONLY)
        try:
            if _LIBC.syncfs(descriptor) == 0:
                return
            code = ctypes.get_errno()
            if code not in (errno.ENOSYS, errno.EINVAL):
                raise OSError(code, os.strerror(code), root)
        finally:
            os.close(descriptor)
    for path in files:
        flush_file(path)
    for path in folders:
        flush_folder(path)


def patiently(action: Callable[[], T], *, tries: int = 8, first_wait: float = 0.05, windows: bool = WINDOWS) -> T:
    """Do `action`, again and again while Windows says that another program holds the file (a virus scanner)."""
    for attempt in range(tries):
        try:
            return action()
        except PermissionError:
            if not windows or attempt == tries - 1:
                raise
            time.sleep(first_wait * 2**attempt)
    raise AssertionError("unreachable")


def move(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Give a file or folder another name, over a file that has it; patiently, for what was just written is scanned."""
    patiently(lambda: os.replace(long_path(source), long_path(target)))


#: Seconds to wait for a lock that is held while small files are written.
PATIENCE: Final = 300.0
#: Seconds to wait for a lock that is held while a whole session or package is read or copied.
LONG_PATIENCE: Final = 24 * 3600.0
#: Seconds between the first two tries, and at most between two.
_FIRST_WAIT, _LAST_WAIT = 0.01, 0.1
#: What `flock` says where a file system has no locks: EBADF from NFS, for a file that may only be read.
_NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF}


class FileLock:
    """An exclusive lock of the operating system on a file; released by the kernel when the process ends.

    Where the file system has no locks, `supported` turns False and the lock counts as acquired. To give it back never
    fails: the file may stay, and locks nobody.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self.supported = True

    def acquire(self, *, wait: float = 0.0) -> bool:
        """Take the lock. False: another holder lives, and there was no time to `wait` (seconds) for its end.

        Raises `Unreachable` when that time is over, `StoreError` where the file cannot be opened or locked.
        """
        end, pause = time.monotonic() + wait, _FIRST_WAIT
        with translated(str(self._path), "nothing was done"):
            while not self._try():
                if not wait:
                    return False
                if time.monotonic() > end:
                    raise self._held_too_long(wait)
                time.sleep(pause)
                pause = min(1.5 * pause, _LAST_WAIT)
        return True

    def _try(self) -> bool:
        while True:
            path, private = long_path(self._path), getattr(os, "O_NOINHERIT", 0) | getattr(os, "O_CLOEXEC", 0)
            try:  # for all users of a shared store; one that another user made may only be read
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | private, 0o666)
            except PermissionError:
                descriptor = os.open(path, os.O_RDONLY | private)
            try:
                try:
                    _lock(descriptor)
                except (BlockingIOError, PermissionError):
                    return False
                except OSError as error:
                    if error.errno not in _NO_LOCKS:
                        raise
                    self.supported = False
                if self._is_current(descriptor):
                    self._descriptor, descriptor = descriptor, -1
                    return True  # else it was removed between opening and locking: take the new one
            finally:
                if descriptor >= 0:
                    os.close(descriptor)

    def _is_current(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), os.stat(long_path(self._path)))
        except FileNotFoundError:
            return False

    def _held_too_long(self, seconds: float) -> Unreachable:
        holders = _holders(long_path(self._path))
        who = "process " + " and ".join(map(str, holders)) if holders else "another program"
        return Unreachable(
            f"{who} has held a lock for more than {seconds:.0f} seconds",
            where=str(self._path),
            next=f"Wait until {who} has ended, or end it; then run the same command again.",
        )

    def release(self) -> None:
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None

    def remove(self) -> None:
        """Remove the lock's file and give the lock back; POSIX removes while it is held, Windows afterwards."""
        if WINDOWS:
            self.release()
        with contextlib.suppress(OSError):
            patiently(lambda: os.unlink(long_path(self._path)))
        self.release()

    def __enter__(self) -> Self:
        self.acquire(wait=PATIENCE)
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()


def _holders(path: str) -> list[int]:
    """Processes of this machine that hold a lock on a file, where the system tells (Linux)."""
    try:
        found = os.stat(path)
        where = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
        with open("/proc/locks", encoding="ascii") as lines:
            words = [line.split() for line in lines]
    except (OSError, ValueError, AttributeError):  # elsewhere there is neither
        return []
    return [int(line[4]) for line in words if line[1] == "FLOCK" and line[5] == where]


def allow(path: str | int, mode: int) -> None:
    """Set the permissions of a file or folder of ours, where the file system has permissions.

    FAT, exFAT and mounted object stores have none, as Windows has none; some say so when they are asked to set them.
    """
    try:
        os.chmod(path, mode)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL):
            raise


# -- links: none is followed below a store's root, so that whoever can write there leads nobody out of it --------------


def is_link(path: str | os.PathLike[str]) -> bool:
    """Whether a symbolic link or a junction has this name."""
    try:
        return kind_of(os.lstat(long_path(path))) == "symlink"
    except OSError:
        return False


def through_link(root: Path, path: Path) -> Path | None:
    """The first step from the root, which may be one itself, down to the path that is a link; None if there is none."""
    step = os.fspath(root)
    for part in path.relative_to(root).parts:
        step = os.path.join(step, part)  # a text: each way into a store is gone down a dozen times a command
        if is_link(step):
            return Path(step)
    return None


def refuse_links(root: Path, path: Path) -> Path:
    """The path. Raises `StoreError` where a step down to it is a link: what lies behind it is not the store's."""
    if (link := through_link(root, path)) is not None:
        raise StoreError(
            "there is a link where the store keeps a file or folder of its own; it is not followed",
            where=str(link),
            next="Find out who put it there. Remove the link, or move what it points to into its place.",
        )
    return path


def read_plain(path: str | os.PathLike[str], limit: int) -> bytes:
    """The first `limit` bytes of a plain file; a link is not followed, and a pipe not waited for. Raises `OSError`."""
    if is_link(path):
        raise OSError(errno.ELOOP, "is a link", os.fspath(path))
    descriptor = os.open(long_path(path), READ_FLAGS)
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise OSError(errno.EINVAL, "is not a plain file", os.fspath(path))
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(min(limit, about.st_size))  # Python asks at once for the memory that it is told to fill
    finally:
        os.close(descriptor)


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EDEADLK):
                raise BlockingIOError(error.errno, "locked") from error
            raise

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
