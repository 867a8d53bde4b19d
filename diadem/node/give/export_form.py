"""A package in another form, or in a service: written by a plugin's exporter, stated, and then given its name.

What an exporter is given is what holds now: corrected, with what people say of the data, and every byte proven. The
order is that of every export: whatever leaves, a store holds the statement about it before.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final

from diadem.archive.export import loaded, whole_bag
from diadem.archive.package import Home
from diadem.custody import statements
from diadem.errors import DiademError, IntegrityError, Interrupted, NotFound, UsageError
from diadem.export import form
from diadem.hooks.exporters import ExportedPackage, ExportSource, ExportTarget, no_secret
from diadem.hooks.offers import ExporterOffer
from diadem.model.assessments import current
from diadem.model.effective import corrected
from diadem.model.manifest import PackageId
from diadem.model.ports import Listener, Progress, RangeFile, silent
from diadem.model.record import Dataset, understood
from diadem.model.statements import Draft, Subject
from diadem.node.context import Context
from diadem.node.give.export import alone, full_name, require_durable, require_mirror, require_place
from diadem.node.give.export_contents import facts_as_corrected
from diadem.node.give.read_copies import PackageReader
from diadem.node.quality.amend import effective
from diadem.package.tags import manifest_text
from diadem.store.stage import remove_tree
from diadem.store.whole import write_whole

#: Packages that one statement is about.
_TOLD: Final = 500
#: Where notes and files of exports to services lie, in the node's folder.
_FOLDER: Final = "exports"


def export_form(
    context: Context,
    packages: Sequence[str],
    target: str | os.PathLike[str],
    name: str,
    *,
    to: str = "",
    dataset: str = "",
    query: str | None = None,
    options: Mapping[str, Any] | Sequence[str] = (),
    dry_run: bool = False,
    listener: Listener = silent,
) -> form.ExportedForm:
    """Export packages by a plugin's exporter; see `diadem.Node.export`. With `query` they are what a search found."""
    began = time.monotonic()
    kind = "search" if query is not None else "dataset" if dataset else "package"
    offer = form.chosen(context.tools.exporters, name, kind)
    checked = form.checked_options(offer, options)
    leaving = _Leaving(context, offer, [PackageId(one) for one in packages], dataset, query, listener)
    leaving.to = to.strip() or context.address
    if offer.writes == "service":
        run: Callable[[], dict[str, Any]] = partial(leaving.to_service, os.fspath(target), checked)
        place = os.fspath(target)
    else:
        if "://" in os.fspath(target):
            raise UsageError(f"'{name}' writes a {offer.writes}; an address is for a service", where=os.fspath(target))
        path = Path(target).absolute()
        require_place(context, path, leaving.to, suffix=offer.suffix)
        run, place = partial(leaving.to_path, path, checked), str(path)
    if dry_run:
        run = leaving.rehearse
    else:
        require_mirror(context)
    done = {"place": place, **run()}
    return form.ExportedForm(
        form=name,
        to=leaving.to,
        packages=leaving.ids,
        dataset=dataset,
        damaged=leaving.damaged,
        done=not dry_run,
        seconds=time.monotonic() - began,
        **done,
    )


@dataclass(slots=True)
class _Leaving:
    """Packages on their way out."""

    context: Context
    offer: ExporterOffer
    ids: Sequence[PackageId]
    dataset: str
    query: str | None
    listener: Listener
    to: str = ""
    #: Of each package the stores whose copy was doubted, as its reader goes on to note them.
    _doubted: list[set[str]] = field(default_factory=list)

    @property
    def damaged(self) -> list[str]:
        """Stores whose copy turned out to be damaged."""
        return sorted(set().union(*self._doubted))

    def rehearse(self) -> dict[str, Any]:
        """See that there is something to export, and write nothing."""
        for number in range(min(len(self.ids), 1)):
            self.package(number)
        return {}

    def to_path(self, path: Path, options: Mapping[str, Any]) -> dict[str, Any]:
        """Write a file or folder, say so, and give it its name."""
        said: list[str] = []

        def state(written: form.Finished) -> None:
            said.extend(self.state({"name": path.name, "sha256": written.sha256, "bytes": written.bytes}))

        def withdraw(error: BaseException) -> None:
            if said:
                self.withdraw(path.name, error)

        with alone(self.context, path):
            done = form.write(self.offer, self.source(), path, options, self.listener, state=state, withdraw=withdraw)
        return {**done, "statements": said}

    def to_service(self, url: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """Give it to a service; what was begun before, of the same packages and the same service, goes on."""
        name = "\n".join([self.offer.name, url, self.dataset, *self.ids])
        folder = self.context.folder / _FOLDER / hashlib.sha256(name.encode()).hexdigest()[:24]
        with alone(self.context, folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            notes = folder / "notes.json"
            before: dict[str, Any] = json.loads(notes.read_bytes()) if notes.exists() else {}
            said: list[Any] = list(before.get("left", ()))
            place, *identified = said[-1] if said else [url]
            left: dict[str, Any] = {"place": place, "identifiers": identified}
            left["statements"] = list(before.get("statements", ()))

            def keep(told: Mapping[str, Any]) -> None:
                before["notes"] = dict(told)
                write_whole(notes, json.dumps({**before, "left": said, "statements": left["statements"]}).encode())

            def leave(where: str, identifiers: Sequence[str]) -> None:
                left.update(place=where, identifiers=list(identifiers))
                if [where, *identifiers] not in said:
                    file = {"where": where, **({"identifiers": list(identifiers)} if identifiers else {})}
                    left["statements"] += self.state(file)
                    said.append([where, *identifiers])
                    keep(before.get("notes", {}))

            goal = ExportTarget(folder, url=url, notes=before.get("notes", {}), note=keep, leave=leave, secret=_secret)
            try:
                told = form.run(self.offer, self.source(), goal, options)
            except KeyboardInterrupt as error:
                again = "Give the same command again: it goes on where it was."
                raise Interrupted("stopped on the way to the service", where=url, next=again) from error
            if not said:
                leave(url, ())
            remove_tree(folder)
        return {**left, "told": told}

    # -- what the exporter is given --------------------------------------------------------------------------------

    def source(self) -> ExportSource:
        """What is exported, and by whom."""
        context = self.context
        return ExportSource(
            _Opened(self.package, len(self.ids)),
            context.clock().replace(microsecond=0),
            by=context.address,
            person=full_name(context),
            node=context.settings.name,
            query=self.query or "",
            software=context.tools.software,
            progress=lambda done, total, what: self.listener(Progress("export", done, total, what)),
        )

    def package(self, number: int) -> ExportedPackage:
        """One of the packages, opened now."""
        context, one = self.context, self.ids[number]
        copies = PackageReader(context, one)
        corrections = context.catalogue.corrections(one)
        amend = partial(effective, context, str(one))
        self._doubted.append(copies.doubted)
        home, package = Home(None, _no_custody, lambda _: (), amend), copies.package
        record = amend(package.sealed_record)  # its datasets lead to no package: see `load`
        datasets = [dataset for _, dataset in understood(record.datasets)]
        if self.dataset:
            meant = context.follower.dataset(one, self.dataset).id
            datasets = [dataset for dataset in datasets if dataset.id == meant]
        return ExportedPackage(
            id=str(one),
            payload_id=package.payload_id,
            record=record,
            facts=facts_as_corrected(copies, corrections),
            datasets=datasets,
            files=package.files,
            open=partial(self._open, copies),
            load=partial(self._load, copies, home),
            assessments=current(context.catalogue.assessments(one)),
            corrections=corrected(package.sealed_record, corrections),
            cautions=context.catalogue.cautions([one]).get(one, []),
            derivations=[each for each in context.catalogue.derivations(one) if each.result == one],
            bag=partial(_bag, copies),
        )

    def _open(self, copies: PackageReader, name: str) -> BinaryIO:
        file = copies.open(copies.package.find(name))
        return io.BufferedReader(RangeFile(file), 1 << 20)

    def _load(self, copies: PackageReader, home: Home, dataset: Dataset) -> list[Any]:
        """The signals of a dataset, from the first copy in which its files are whole."""
        problem: DiademError | None = None
        for package, replica in copies:
            try:
                return loaded(package.replaced(home=home), dataset)
            except (IntegrityError, NotFound) as error:
                copies.doubt(replica, error)
                problem = problem or error
        raise problem or NotFound("no copy can be read", where=dataset.path, next="See what is wrong: diadem status")

    # -- what is said of it ----------------------------------------------------------------------------------------

    def state(self, file: Mapping[str, Any]) -> list[str]:
        """State that the packages are given out, and wait for a store to hold it; the ids of the statements."""
        drafts = [self._handover(some, file) for some in self._batches()]
        entries = self.context.say(drafts)
        for entry in entries:
            require_durable(self.context, entry)
        return [entry.statement_id for entry in entries]

    def _batches(self) -> Iterator[Sequence[PackageId]]:
        return (self.ids[start : start + _TOLD] for start in range(0, len(self.ids), _TOLD))

    def _handover(self, packages: Sequence[PackageId], file: Mapping[str, Any]) -> Draft:
        more = {**file, **({"dataset": self.dataset} if self.dataset else {})}
        return statements.handover(list(packages), to=self.to, form=self.offer.name, file=more, by=self.context.address)

    def withdraw(self, name: str, error: BaseException) -> None:
        """Say that what was stated did not happen after all."""
        drafts = [
            statements.audit(
                tuple(Subject.package(one) for one in some),
                action=f"hand over {name} to {self.to}",
                actor=self.context.address,
                outcome="failed",
                reason=f"it did not get its name and was removed: {getattr(error, 'message', '') or error!r}"[:2000],
            )
            for some in self._batches()
        ]
        with suppress(DiademError):  # what stopped the export is told, not this
            self.context.say(drafts)


def _bag(copies: PackageReader) -> Iterator[tuple[str, Iterator[bytes]]]:
    digests = copies.tag_digests()
    return whole_bag(
        manifest_text((digest, path) for path, digest in digests.items()),
        ((path, copies.tag_file(path, digest)) for path, digest in digests.items()),
        ((entry.path, copies.open(entry)) for entry in copies.package.manifest),
    )


class _Opened(Sequence[ExportedPackage]):
    """Packages that are opened when they are asked for, and not kept."""

    def __init__(self, opened: Callable[[int], ExportedPackage], count: int) -> None:
        self._opened, self._count = opened, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: Any) -> Any:
        if isinstance(number, slice):
            return [self[one] for one in range(*number.indices(self._count))]
        if not -self._count <= number < self._count:
            raise IndexError(number)
        return self._opened(number % self._count)


def _no_custody(package: str) -> Any:
    raise NotFound("who exports is given no custody", where=package, next=f"See: diadem custody {package[7:19]}")


def _secret(name: str) -> str:
    return os.environ.get(name, "").strip() or no_secret(name)
