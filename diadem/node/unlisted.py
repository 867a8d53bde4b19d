"""What archives that were killed have left in the stores and could not state any more. Only looked for here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from diadem.model.manifest import TAGMANIFEST
from diadem.model.times import read_time
from diadem.node.context import Context
from diadem.node.jobs import JobState, heard_of, jobs
from diadem.store.addresses import local_path

#: Seconds after the last sign of life of an archive within which what lands is its own.
_SLACK: Final = 60.0


@dataclass(frozen=True, slots=True)
class Unlisted:
    """A package that lies whole in a store and in no log: its archive was killed between the two."""

    package: str
    store: str
    path: str
    #: The archive that wrote it; without a source where it may have been another one.
    job: JobState


def killed_archives(context: Context) -> list[JobState]:
    """The archives that were killed, and of which nobody has looked yet what they left; the newest first.

    None while an archive is at work: what it has published just now is stated in a moment.
    """
    archives = [job for job in jobs(context.folder) if job.kind == "archive"]
    if any(job.state == "running" for job in archives):
        return []
    return [job for job in archives if job.state == "killed" and not job.ended]


def unlisted(context: Context, killed: Sequence[JobState]) -> Iterator[Unlisted]:
    """Packages that killed archives published and could not state any more.

    Only where a job says that it was killed is anything looked for, and only in folders: among the hints that were
    written while it lived, each of which names one package. The stores are not walked, so that `status` stays quick.
    """
    from diadem.store.folder import FolderStore

    if not killed:
        return
    lived = {job.id: (read_time(job.started).timestamp() - 1, heard_of(context, job) + _SLACK) for job in killed}
    first, last = min(begun for begun, _ in lived.values()), max(ended for _, ended in lived.values())
    for settings, _ in context.stores.opened():
        if (folder := local_path(settings.url)) is None:
            continue
        for package, path in FolderStore(folder).packages_since(first, last):
            try:
                written = (folder / path / TAGMANIFEST).stat().st_mtime
            except OSError:  # it was just removed, or the disk fails: others say so
                continue
            wrote = [job for job in killed if lived[job.id][0] <= written <= lived[job.id][1]]
            if wrote and not context.ledger.of_subject(package.hex):
                job = wrote[0] if len(wrote) == 1 else replace(wrote[0], source="")  # nobody knows which one wrote it
                yield Unlisted(str(package), settings.name, path, job)
