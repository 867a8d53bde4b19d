"""The system's news of changed files, where there are any; without them folders are looked at again and again."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from pathlib import Path
from typing import Final

from diadem.store.disks import is_network_folder
from diadem.store.system import long_path

#: Milliseconds for which changes are gathered, and between two questions for more.
_GATHER, _STEP = 400, 50
#: Seconds that a thread is waited for at the end.
_END: Final = 2.0


class WakeUp:
    """Wakes a watcher that sleeps."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def ring(self) -> None:
        """Wake it."""
        self._event.set()

    def sleep(self, seconds: float) -> None:
        """Sleep until somebody rings, or for some seconds."""
        self._event.wait(seconds)
        self._event.clear()


class Events:
    """What the system tells of one folder."""

    def __init__(self, folder: Path, bell: WakeUp) -> None:
        self._folder = folder
        self._bell = bell
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._changed: set[str] = set()
        self._begun = False
        self._failed = ""
        self._thread: threading.Thread | None = None

    def begin(self) -> str:
        """Begin to listen; returns why that cannot be done, in words, or ""."""
        if kind := is_network_folder(self._folder):
            return f"it is on a network drive ({kind}), which does not report what others write"
        try:
            import watchfiles  # noqa: F401
        except ImportError:
            return "the package watchfiles is not installed"
        self._thread = threading.Thread(target=self._listen, name="diadem-watch", daemon=True)
        self._thread.start()
        return ""

    def taken(self) -> set[str]:
        """Paths relative to the folder, ``/`` between parts, that have changed since the last call."""
        with self._lock:
            changed, self._changed = self._changed, set()
        return changed

    def begun(self) -> bool:
        """Whether the system has begun to tell since the last call: what changed before that is not told."""
        with self._lock:
            begun, self._begun = self._begun, False
        return begun

    @property
    def failure(self) -> str:
        """Why there is no more news: a limit of the system, or the folder has gone; "" while there is."""
        return self._failed

    def end(self) -> None:
        """Listen no longer."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_END)

    def _listen(self) -> None:
        import watchfiles

        logging.getLogger("watchfiles").setLevel(logging.WARNING)
        top = str(self._folder)
        try:
            if link := _linked(top, self._stop):
                self._failed = f"'{link}' is a link to a folder, and the system would listen to everything in it"
                self._bell.ring()
                return
            heard = False
            for changes in watchfiles.watch(
                top,
                watch_filter=None,
                debounce=_GATHER,
                step=_STEP,
                stop_event=self._stop,
                rust_timeout=1000,
                yield_on_timeout=True,
                raise_interrupt=False,
                force_polling=False,
                ignore_permission_denied=True,
            ):
                with self._lock:
                    self._changed.update(_below(top, path) for _, path in changes)
                    self._begun = self._begun or not heard
                if changes or not heard:
                    self._bell.ring()
                heard = True
        except Exception as error:  # its errors have no common kind: limits of inotify, a folder that has gone
            self._failed = str(error) or type(error).__name__
        else:
            self._failed = "" if self._stop.is_set() else "the system reports nothing more"
        with contextlib.suppress(RuntimeError):
            self._bell.ring()


def _linked(top: str, stop: threading.Event) -> str:
    """A link to a folder below `top`, relative to it, or "": the system's listening follows links. Raises `OSError`."""
    pending = [top]
    while pending and not stop.is_set():
        folder = pending.pop()
        try:
            with os.scandir(long_path(folder)) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(os.path.join(folder, entry.name))  # noqa: PTH118
                    elif entry.is_symlink() and entry.is_dir():
                        return os.path.relpath(os.path.join(folder, entry.name), top)  # noqa: PTH118
        except OSError:
            if folder == top:
                raise
    return ""


def _below(top: str, path: str) -> str:
    """A path relative to the watched folder; "" for the folder itself, or for what lies elsewhere."""
    relative = os.path.relpath(path, top).replace(os.sep, "/")
    return "" if relative.startswith("..") or relative == "." else relative
