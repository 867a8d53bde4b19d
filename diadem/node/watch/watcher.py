"""Watching: the folders of the instruments and the `incoming/` folders of the stores, by one process at a time."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from diadem.errors import DiademError, DocumentError, Interrupted, Refused, Unreachable
from diadem.model.ports import Listener, silent
from diadem.model.times import time_text
from diadem.node.config import WatchSettings
from diadem.node.context import Context
from diadem.node.locks import WATCH_LOCK, node_lock
from diadem.node.mirrors import PLAN_FILE, mirror
from diadem.node.watch.events import WakeUp
from diadem.node.watch.folder import FolderWatch
from diadem.node.watch.hand_in import Handed, HandInFolder
from diadem.node.watch.memory import StoreBackoff
from diadem.node.watch.plan import read_watch_plan
from diadem.node.watch.report import WATCHER_FILE, LastWatcher, Watched
from diadem.store.addresses import local_path
from diadem.store.system import translated
from diadem.store.whole import write_whole

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
    context.require_writable()
    with _alone(context, folder, once=once):
        bell = WakeUp()
        watcher = _Watcher(context, folder, every, steady, None if once else bell, woken=sleep is None)
        try:
            while True:
                yield from watcher.round(listener)
                if once:
                    watcher.require_looked()
                    return
                mirror(context)  # it may go on for months
                (sleep or bell.sleep)(watcher.wait())
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
    #: Whether the system wakes it: an instrument that writes does so many times a second.
    woken: bool
    hand_ins: dict[str, HandInFolder] = field(default_factory=dict)
    folders: dict[WatchSettings, FolderWatch] = field(default_factory=dict)
    #: Shared by all folders.
    backoff: StoreBackoff = field(default_factory=StoreBackoff)
    _listed: float = float("-inf")

    def round(self, listener: Listener) -> Iterator[Handed | Watched]:
        """One look at everything that is due; what failed before comes last, else it might keep others waiting."""
        context = self.context
        with contextlib.suppress(DocumentError):  # somebody is editing the policy: until it is right, the last one
            context.refresh()
        with contextlib.suppress(OSError):  # `status` tells from it until when somebody watched
            os.utime(context.folder / WATCHER_FILE)
        context.stores.note_answers(context.folder, context.clock())
        wanted = [self.only] if self.only is not None else context.settings.watched
        for gone in [settings for settings in self.folders if settings not in wanted]:
            self.folders.pop(gone).end()
        if self.only is None and self._are_hand_ins_due():
            self._listed = self.steady()
            yield from self._hand_ins(listener)
        plan = read_watch_plan(context.folder / PLAN_FILE)
        for settings in wanted:
            if settings not in self.folders:
                self.folders[settings] = FolderWatch(
                    context, settings, self.steady, self.every, self.backoff, self.bell
                )
            yield from self.folders[settings].round(plan, listener)
        for folder in self.hand_ins.values():
            yield from folder.hand_ins(listener, failed=True)
        for watched in self.folders.values():
            yield from watched.retry(plan, listener)

    def _are_hand_ins_due(self) -> bool:
        """Whether `incoming/` is to be listed, which on a share costs much: no event of another folder tells of it."""
        rested = self.bell is None or not self.woken or self.steady() - self._listed >= 0.99 * self.every
        return rested or any(folder.is_due() for folder in self.hand_ins.values())

    def _hand_ins(self, listener: Listener) -> Iterator[Handed]:
        context = self.context
        names = [settings.name for settings in context.settings.stores]
        for gone in [name for name in self.hand_ins if name not in names]:
            self.hand_ins.pop(gone).close()
        for name in names:
            folder = self.hand_ins.get(name) or HandInFolder.of(
                context, name, steady=self.steady, every=self.every, backoff=self.backoff
            )
            if folder is not None and context.stores.reachable(name):
                self.hand_ins[name] = folder
                yield from folder.hand_ins(listener)
            elif folder is not None:
                folder.rest()

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

    def close(self) -> None:
        """Keep what is known."""
        for folder in (*self.folders.values(), *self.hand_ins.values()):
            folder.close()


@contextmanager
def _alone(context: Context, folder: WatchSettings | None, *, once: bool) -> Iterator[None]:
    """Be the one watcher of a node, as `watcher.json` says while it lasts."""
    lock = node_lock(context.folder, WATCH_LOCK)
    for number in range(_TRIES):
        if lock.acquire():
            break
        if number == _TRIES - 1:
            last = LastWatcher.of(context)
            who = f" (process {last.process}, since {last.since})" if last.process and last.since else ""
            raise Refused(
                f"another watcher is at work for this node{who}",
                where=str(context.folder),
                next="One is enough: it sees folders that are added. See what it waits for: diadem status",
            )
        time.sleep(_BETWEEN)
    path = context.folder / WATCHER_FILE
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
