"""What dead writers left: folders without a tag manifest, open multi-part uploads, old claims and probes."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from diadem.model.manifest import INDEX_PATH, LEAVES_PATH, MANIFEST, PREVIEWS_PATH, TAGMANIFEST, VENDOR_PATH
from diadem.store import claim as claims
from diadem.store import probe
from diadem.store.claim import ClaimNote, read_claim
from diadem.store.client import ObjectClient, OpenUpload, Stat
from diadem.store.hints import Hints
from diadem.store.plain import DRAFTS

#: Silence by the server's clock after which a folder without a tag manifest is taken for a leftover.
SILENCE = timedelta(days=7)

#: Names that DIADEM gives to packages. Anything else in a store is somebody's, and never touched.
_PACKAGE = re.compile(r"(\d{4}/\d{8}-(?:[^/]+-)?[0-9a-f]{12}(?:-\d{1,3})?)/(.+)\Z", re.DOTALL)
_TAG_FILES = {"bagit.txt", "bag-info.txt", MANIFEST, INDEX_PATH, LEAVES_PATH, PREVIEWS_PATH, VENDOR_PATH}


@dataclass(slots=True)
class Leftover:
    """An unfinished package: what lies there, and when it was last written to, by the store's clock.

    `foreign`: files lie there that DIADEM did not write. `lost`: it is known, or a hint names it, so it was a package
    once, and has lost its tag manifest. `finished`: it has one.
    """

    path: str
    objects: int = 0
    bytes: int = 0
    newest: datetime | None = None
    finished: bool = False
    foreign: bool = False
    lost: bool = False

    @property
    def removable(self) -> bool:
        """Whether it is nothing but what a dead writer left."""
        return not (self.finished or self.foreign or self.lost)

    def add(self, path: str, stat: Stat) -> None:
        """Count one object; `path` is relative to the package."""
        self.objects += 1
        self.bytes += stat.size
        self.finished |= path == TAGMANIFEST
        self.foreign |= not (path.startswith("data/") or path in _TAG_FILES or path == TAGMANIFEST)
        if stat.modified is not None and (self.newest is None or stat.modified > self.newest):
            self.newest = stat.modified


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What a sweep found: unfinished packages, of which only those that are `removable` are ever removed; multi-part
    uploads, which a provider bills although no object is seen; keys of old claims, probes and drafts.
    """

    packages: tuple[Leftover, ...] = ()
    uploads: tuple[OpenUpload, ...] = ()
    notes: tuple[str, ...] = ()
    removed: bool = field(default=False)


def sweep(
    client: ObjectClient, hints: Hints, *, older: timedelta = SILENCE, delete: bool = False, keep: Container[str] = ()
) -> Leftovers:
    """Find leftovers that nobody has touched for `older` by the store's clock; remove them only when asked.

    One listing of the whole store: a thousand objects for a request. What lies at a path in `keep` is no leftover.
    """
    limit = client.now() - older
    claimed = {note.path for note in _living_claims(client, limit)}
    packages = tuple(
        found
        for found in _unfinished(client.list(""))
        if found.path not in claimed and found.newest is not None and found.newest <= limit
    )
    for found in packages:
        found.lost = not found.foreign and (found.path in keep or hints.is_named(found.path))
    uploads = tuple(upload for upload in client.uploads("") if upload.begun <= limit and _is_ours(upload.key, claimed))
    notes = tuple(_old_notes(client, limit))
    if delete:
        _remove(client, hints, packages, uploads, notes)
    return Leftovers(packages, uploads, notes, removed=delete)


def leftover_at(client: ObjectClient, hints: Hints, path: str) -> Leftover | None:
    """What lies at a path where there is no package; None if nothing does."""
    found = Leftover(path)
    for stat in client.list(path):
        found.add(stat.key.removeprefix(f"{path}/"), stat)
    found.lost = not found.foreign and found.objects > 0 and hints.is_named(path)
    return found if found.objects else None


def _is_ours(key: str, claimed: Container[str]) -> bool:
    """Whether an upload is of a package that nobody is writing, or of a probe."""
    match = _PACKAGE.match(key)
    return match.group(1) not in claimed if match else key.startswith(f"{probe.FOLDER}/")


def _unfinished(objects: Iterable[Stat]) -> list[Leftover]:
    found: dict[str, Leftover] = {}
    for stat in objects:
        if match := _PACKAGE.match(stat.key):
            path, name = match.groups()
            found.setdefault(path, Leftover(path)).add(name, stat)
    return [leftover for leftover in found.values() if not leftover.finished]


def _living_claims(client: ObjectClient, limit: datetime) -> Iterator[ClaimNote]:
    for stat in client.list(claims.FOLDER):
        if stat.modified is None or stat.modified > limit:
            found = read_claim(client, stat.key)
            if found is not None and not claims.is_dead(found[1].writer):
                yield found[1]


def _old_notes(client: ObjectClient, limit: datetime) -> Iterator[str]:
    for folder in (claims.FOLDER, probe.FOLDER, DRAFTS):
        for stat in client.list(folder):
            if stat.modified is not None and stat.modified <= limit:
                yield stat.key


def _remove(
    client: ObjectClient,
    hints: Hints,
    packages: Iterable[Leftover],
    uploads: Iterable[OpenUpload],
    notes: Iterable[str],
) -> None:
    for leftover in packages:
        if leftover.removable and client.stat(f"{leftover.path}/{TAGMANIFEST}") is None:
            client.clear(leftover.path)
    for upload in uploads:
        client.abort(upload.key, upload.upload)
    for key in notes:
        found = read_claim(client, key) if key.startswith(claims.FOLDER) else None
        if found is not None:
            claims.settle(hints, key.rpartition("/")[2], found[1])
        client.delete(key)
