"""Watching: the folders of the instruments and the `incoming/` folders of the stores, by one process at a time."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from diadem.errors import DiademError, DocumentError, Interrupted, NotFound, Refused, StoreError, Unreachable
from diadem.model.ports import Listener, silent
from diadem.model.times import time_text
from diadem.node.config import WatchSettings
from diadem.node.context import Context
from diadem.node.locks import WATCH_LOCK, node_lock
from diadem.node.mirrors import PLAN_FILE
from diadem.node.watch.memory import FOLDER
from diadem.store.addresses import local_path
from diadem.store.system import FileLock, translated
from diadem.store.whole import write_whole

if TYPE_CHECKING:
    from diadem.node.watch.events import WakeUp
    from diadem.node.watch.folder import FolderWatch, StoreBackoff
    from diadem.node.watch.hand_in import Handed, HandInFolder
    from diadem.node.watch.report import Watched


__all__ = ["Handed", "Watched", "watch"]

WATCHER_FILE: Final = "watcher.json"
#: Tries to become the watcher, and seconds between them: `status` holds the lock for a moment to see who has it.
_TRIES, _BETWEEN = 5, 0.1


def watch(
    context: Context,
    *,
    folder: WatchSettings | None = None,
    once: bool = False,
    every: float = 60.0,
    listener: Listener = silent,
    sleep: Callable[[float], None] | None = None,
    steady: Callable[[], float] = time.monotonic,
) -> Iterator[Handed | Watched]:
    """Look again and again; archive what is finished. Nothing of a source is moved, changed or deleted.

    A `folder` is watched alone, and need not be one of the node's; else all that the settings name, and what is handed
    in. With `once` every session that waits is told, not only those that changed. `sleep` waits for some seconds; by
    default also until the system tells of a change. Raises `Refused` where another process watches for this node.
    """
    from diadem.node.mirrors import mirror
    from diadem.node.watch.events import WakeUp

    context.require_writable()
    with _alone(context, folder, once=once):
        watcher = _Watcher(context, folder, every, steady, None if once else WakeUp())
        try:
            while True:
                yield from watcher.round(listener)
                if once:
                    watcher.require_looked()
                    return
                mirror(context)  # it may go on for months
                (sleep or watcher.sleep)(watcher.wait())
        except KeyboardInterrupt as error:
            raise Interrupted(
                "watching was stopped; nothing is half archived", next="Start it again: diadem watch"
            ) from error
        finally:
            watcher.close()


@dataclass
class _Watcher:
    """All that one process watches."""

    context: Context
    only: WatchSettings | None
    every: float
    steady: Callable[[], float]
    bell: WakeUp | None
    hand_ins: dict[str, HandInFolder] = field(default_factory=dict)
    folders: dict[WatchSettings, FolderWatch] = field(default_factory=dict)
    #: Shared by all folders.
    backoff: StoreBackoff | None = None

    def round(self, listener: Listener) -> Iterator[Handed | Watched]:
        """One look at everything that is due."""
        from diadem.node.watch.plan import read_watch_plan

        context = self.context
        with contextlib.suppress(DocumentError):  # somebody is editing the policy: until it is right, the last one
            context.refresh()
        with contextlib.suppress(OSError):  # `status` tells from it until when somebody watched
            os.utime(context.folder / FOLDER / WATCHER_FILE)
        context.stores.note_answers(context.folder, context.clock())
        self._serve([self.only] if self.only is not None else context.settings.watched)
        if self.only is None:
            yield from self._hand_ins(listener)
        plan = read_watch_plan(context.folder / PLAN_FILE)
        for folder in list(self.folders.values()):
            yield from folder.round(plan, listener)

    def _hand_ins(self, listener: Listener) -> Iterator[Handed]:
        from diadem.node.watch.hand_in import HandInFolder

        context, backoff = self.context, self.backoff
        assert backoff is not None
        for name in [settings.name for settings in context.settings.stores]:
            handed_in = self.hand_ins.get(name) or HandInFolder.of(
                context, name, steady=self.steady, every=self.every, backoff=backoff
            )
            if handed_in is not None and context.stores.reachable(name):
                self.hand_ins[name] = handed_in
                yield from handed_in.hand_ins(listener)

    def _serve(self, wanted: Sequence[WatchSettings]) -> None:
        """Begin with folders that were added, and end with those that were taken away."""
        from diadem.node.watch.folder import FolderWatch, StoreBackoff

        self.backoff = self.backoff or StoreBackoff()
        for settings in [known for known in self.folders if known not in wanted]:
            self.folders.pop(settings).end()
        for settings in wanted:
            if settings not in self.folders:
                self.folders[settings] = FolderWatch(
                    self.context, settings, self.steady, self.every, self.backoff, self.bell
                )

    def require_looked(self) -> None:
        """Raise where there was nothing to look into: silence would mean that nobody has handed in anything."""
        if self.folders or self.hand_ins:
            return
        away = [one.name for one in self.context.settings.stores if local_path(one.url) is not None]
        if away:
            why = "; ".join(f"{name}: {self.context.stores.why_away(name)}" for name in away)
            raise Unreachable(f"no store answers in which something could be handed in ({why})", next="diadem status")

    def wait(self) -> float:
        """Seconds until something is due."""
        return min([self.every, *(folder.wait() for folder in (*self.folders.values(), *self.hand_ins.values()))])

    def sleep(self, seconds: float) -> None:
        """Until then, or until the system tells of a change."""
        assert self.bell is not None
        self.bell.sleep(seconds)

    def close(self) -> None:
        """Keep what is known."""
        for folder in (*self.folders.values(), *self.hand_ins.values()):
            folder.close()


@contextmanager
def _alone(context: Context, folder: WatchSettings | None, *, once: bool) -> Iterator[None]:
    """Be the one watcher of a node, as `watcher.json` says while it lasts."""
    lock = watch_lock(context)
    for number in range(_TRIES):
        if lock.acquire():
            break
        if number == _TRIES - 1:
            raise _watched_already(context)
        time.sleep(_BETWEEN)
    path = context.folder / FOLDER / WATCHER_FILE
    about = {
        "process": os.getpid(),
        "since": time_text(context.clock()),
        "folder": folder.folder if folder else "",
        "once": once,
    }
    try:
        with translated(str(path), "nobody watches"):
            path.parent.mkdir(exist_ok=True)
        write_whole(path, json.dumps(about).encode())
        yield
    finally:
        with contextlib.suppress(DiademError):  # the lock says it too
            write_whole(path, json.dumps({**about, "ended": time_text(context.clock())}).encode())
        lock.release()


def watch_lock(context: Context) -> FileLock:
    """The lock that a watcher holds."""
    return node_lock(context.folder, WATCH_LOCK)


def is_watched(context: Context) -> bool:
    """Whether a watcher lives; False where a disk that fails lets nobody tell."""
    try:
        lock = watch_lock(context)
        if not (free := lock.acquire()):
            time.sleep(_BETWEEN)  # another that asks this holds the lock for a moment
            free = lock.acquire()
    except StoreError:
        return False
    lock.release()
    return not free


def read_watcher(context: Context) -> dict[str, Any]:
    """What the last watcher wrote of itself; empty where there was none."""
    try:
        found = json.loads((context.folder / FOLDER / WATCHER_FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def watcher_seen(context: Context) -> str:
    """When the last watcher was at work, UTC; "" where there was none."""
    try:
        seen = (context.folder / FOLDER / WATCHER_FILE).stat().st_mtime
    except OSError:
        return ""
    return time_text(datetime.datetime.fromtimestamp(seen, datetime.UTC))


def _watched_already(context: Context) -> Refused:
    about = read_watcher(context)
    who = f" (process {about['process']}, since {about['since']})" if {"process", "since"} <= about.keys() else ""
    return Refused(
        f"another watcher is at work for this node{who}",
        where=str(context.folder),
        next="One is enough: it sees folders that are added. See what it waits for: diadem status",
    )


def settings_for(context: Context, folder: str) -> WatchSettings:
    """The settings of a watched folder. Raises `NotFound`."""
    for settings in context.settings.watched:
        if settings.folder == folder:
            return settings
    known = ", ".join(one.folder for one in context.settings.watched) or "none"
    raise NotFound(
        "this folder is not watched", where=folder, next=f"Watched folders: {known}. Add it: diadem watch add FOLDER"
    )
