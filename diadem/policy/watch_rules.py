"""Rules about watched folders: somebody looks into them, they are there, and nothing in them waits for too long."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from diadem.model.plain_text import count_text, duration_words
from diadem.model.report import Severity
from diadem.policy import commands
from diadem.policy.case import Case, found, listed
from diadem.policy.status import RuleFinding

#: Folders and sessions that a finding names.
_NAMED = 3


def not_running(case: Case) -> Iterator[RuleFinding]:
    """Somebody looks into every watched folder: a watcher that lives, or one that a timer starts often enough."""
    watch, longest = case.node.watch, case.policy.watch.waiting
    last = f"nobody has looked there since {_minute(watch.seen)} UTC" if watch.seen else "nobody has ever looked there"
    recent = watch.seen is not None and case.now - watch.seen <= longest
    if watch.running or (watch.once and recent):
        blind = [folder for folder in watch.folders if not folder.served]
        last = "the running watcher looks into another folder only"
    else:
        blind = list(watch.folders)
    if blind:
        folders = f"{count_text(len(blind), 'watched folder')} ({_some([folder.folder for folder in blind])})"
        message = f"nobody watches {folders}: what comes in is not archived; {last}"
        yield found("watch.not-running", Severity.ERROR, message, command=commands.WATCH)


def waiting(case: Case) -> Iterator[RuleFinding]:
    """No session waits for longer than the policy says."""
    longest = case.policy.watch.waiting
    for folder in case.node.watch.folders:
        late = [f"{name} ({why})" if why else name for name, since, why in folder.waiting if case.now - since > longest]
        if late:
            have = "session has" if len(late) == 1 else "sessions have"
            message = (
                f"{len(late):,} {have} waited in {folder.folder} for longer than {duration_words(longest)} "
                f"and {'is' if len(late) == 1 else 'are'} not archived: {_some(late)}"
            )
            yield found("watch.waiting", Severity.ERROR, message, command=commands.LIST_WATCHED)


def away(case: Case) -> Iterator[RuleFinding]:
    """Every watched folder is there, and may be archived from."""
    for folder in case.node.watch.folders:
        if folder.problem:
            message = f"nothing from {folder.folder} is archived: {folder.problem}"
            yield found("watch.away", Severity.ERROR, message, command=commands.LIST_WATCHED)
        elif folder.away is not None:
            late = case.now - folder.away > case.policy.watch.waiting
            message = f"{folder.folder} has not been there since {_minute(folder.away)} UTC: connect its disk or share"
            severity = Severity.ERROR if late else Severity.WARNING
            yield found("watch.away", severity, message, command=commands.LIST_WATCHED)


def is_watched(case: Case) -> bool:
    """Whether there is a folder to watch."""
    return bool(case.node.watch.folders)


def holds(case: Case) -> str:
    """How it stands where all is well."""
    watch = case.node.watch
    by = "by a watcher that runs" if watch.running else "by one that a timer starts"
    return f"{count_text(len(watch.folders), 'folder')} watched {by}" if watch.folders else "no folder is watched"


def _some(names: list[str]) -> str:
    more = [f"{len(names) - _NAMED:,} more"] if len(names) > _NAMED else []
    return listed([*names[:_NAMED], *more])


def _minute(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else ""
