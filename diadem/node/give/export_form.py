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
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final
from urllib.parse import urlsplit

from diadem.archive.export import loaded, no_custody, whole_bag
from diadem.archive.facts import facts_as_corrected
from diadem.archive.overview import as_days
from diadem.archive.package import Home
from diadem.custody.sentences import DESCRIPTION
from diadem.errors import DiademError, IntegrityError, Interrupted, NotFound, UsageError
from diadem.export import form
from diadem.hooks.exporters import ExportedPackage, ExportSource, ExportTarget, no_secret
from diadem.hooks.offers import ExporterOffer
from diadem.model.assessments import current
from diadem.model.effective import corrected
from diadem.model.manifest import PackageId
from diadem.model.ports import Listener, Progress, RangeFile, silent
from diadem.model.record import Dataset, understood
from diadem.node.context import Context
from diadem.node.give.handover import Handover, alone, file_of, full_name, require_mirror, require_place
from diadem.node.give.read_copies import PackageReader
from diadem.node.quality.amend import effective
from diadem.node.samples.naming import samples_of
from diadem.package.tags import manifest_text
from diadem.store.stage import remove_tree
from diadem.store.whole import write_whole

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
    #: Packages whose files left, not only what is said of them.
    _given: set[PackageId] = field(default_factory=set)
    #: Of each package the stores whose copy was doubted, as its reader goes on to note them.
    _doubted: list[set[str]] = field(default_factory=list)

    @property
    def damaged(self) -> list[str]:
        """Stores whose copy turned out to be damaged."""
        return sorted(set().union(*self._doubted))

    def rehearse(self) -> dict[str, Any]:
        """See that each package can be opened, and write nothing; of files only those are read that tell what it is."""
        unopened: list[tuple[PackageId, str]] = []
        for number, one in enumerate(self.ids):
            self.listener(Progress("look", number, len(self.ids), str(one)))
            try:
                if self.query is None:
                    self.package(number)
                else:
                    PackageReader(self.context, one)
            except DiademError as error:
                if self.query is None:
                    raise
                unopened.append((one, error.message))
        return {"unopened": unopened}

    def to_path(self, path: Path, options: Mapping[str, Any]) -> dict[str, Any]:
        """Write a file or folder, say so, and give it its name."""
        handover = self.handover()
        with alone(self.context, path):
            done = form.write(
                self.offer,
                self.source(),
                path,
                options,
                self.listener,
                state=lambda written: handover.state({**file_of(path, written), **self._one}, self.about),
                withdraw=partial(handover.withdraw, path.name),
            )
        return {**done, "statements": handover.said}

    def to_service(self, url: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """Give it to a service; what was begun before, of the same packages and the same service, goes on."""
        parts = urlsplit(url)
        same = f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}?{parts.query}"  # however it is written
        name = "\n".join([self.offer.name, same, self.dataset, *self.ids])
        folder = self.context.folder / _FOLDER / hashlib.sha256(name.encode()).hexdigest()[:24]
        with alone(self.context, folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            file = folder / "notes.json"
            before: dict[str, Any] = json.loads(file.read_bytes()) if file.exists() else {}
            left, handover = list(before.get("left", ())), self.handover()
            handover.said += before.get("statements", ())

            def keep(notes: Mapping[str, Any]) -> None:
                before["notes"] = dict(notes)
                write_whole(file, json.dumps({**before, "left": left, "statements": handover.said}).encode())

            def leave(where: str, identifiers: Sequence[str]) -> None:
                place = [where, *identifiers]
                if place in left:  # by an attempt that may have ended before a store held it
                    left.append(left.pop(left.index(place)))
                    handover.require_durable()
                else:
                    what = {"where": where, **({"identifiers": list(identifiers)} if identifiers else {}), **self._one}

                    def stated() -> None:
                        left.append(place)
                        keep(before.get("notes", {}))

                    handover.state(what, self.about, stated=stated)

            work = folder / "work"
            work.mkdir(exist_ok=True)
            goal = ExportTarget(work, url=url, notes=before.get("notes", {}), note=keep, leave=leave, secret=_secret)
            try:
                told = form.run(self.offer, self.source(), goal, options)
            except KeyboardInterrupt as error:
                again = "Give the same command again: it goes on where it was."
                raise Interrupted("stopped on the way to the service", where=url, next=again) from error
            if not left:
                leave(url, ())
            remove_tree(work if before.get("notes") else folder)
        place, *identifiers = left[-1]
        return {"place": place, "identifiers": identifiers, "statements": handover.said, "told": told}

    def handover(self) -> Handover:
        """What will be said of it."""
        return Handover(self.context, self.ids, self.to, self.offer.name)

    @property
    def _one(self) -> dict[str, str]:
        """The one dataset that leaves, as a statement names it."""
        return {"dataset": self.dataset} if self.dataset else {}

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
        home, package = Home(None, no_custody, lambda _: (), amend), copies.package
        record = amend(package.sealed_record)  # its datasets lead to no package: see `load`
        datasets = [dataset for _, dataset in understood(record.datasets)]
        row = context.catalogue.get(one)
        days = as_days(row.date, row.until)
        if self.dataset:
            meant = context.follower.dataset(one, self.dataset).id
            datasets = [dataset for dataset in datasets if dataset.id == meant]
        return ExportedPackage(
            id=str(one),
            payload_id=package.payload_id,
            record=record,
            facts=replace(facts_as_corrected(package, copies.readable_record(), corrections), days=days),
            datasets=datasets,
            files=package.files,
            open=partial(self._open, copies),
            load=partial(self._load, copies, home),
            assessments=current(context.catalogue.assessments(one)),
            corrections=corrected(package.sealed_record, corrections),
            cautions=context.catalogue.cautions([one]).get(one, []),
            derivations=[each for each in context.catalogue.derivations(one) if each.result == one],
            samples=samples_of(context.catalogue, str(one)),
            bag=partial(self._bag, copies),
        )

    def _open(self, copies: PackageReader, name: str) -> BinaryIO:
        self._given.add(copies.id)
        file = copies.open(copies.package.find(name))
        return io.BufferedReader(RangeFile(file), 1 << 20)

    def _load(self, copies: PackageReader, home: Home, dataset: Dataset) -> list[Any]:
        """The signals of a dataset, from the first copy in which its files are whole."""
        self._given.add(copies.id)
        problem: DiademError | None = None
        for package, replica in copies:
            try:
                return loaded(package.replaced(home=home), dataset)
            except (IntegrityError, NotFound) as error:
                copies.doubt(replica, error)
                problem = problem or error
        raise problem or NotFound("no copy can be read", where=dataset.path, next="See what is wrong: diadem status")

    def _bag(self, copies: PackageReader) -> Iterator[tuple[str, Iterator[bytes]]]:
        self._given.add(copies.id)
        digests = copies.tag_digests()
        return whole_bag(
            manifest_text((digest, path) for path, digest in digests.items()),
            ((path, copies.tag_file(path, digest)) for path, digest in digests.items()),
            ((entry.path, copies.open(entry)) for entry in copies.package.manifest),
        )

    # -- what is said of it ----------------------------------------------------------------------------------------

    def about(self, packages: Sequence[PackageId]) -> dict[str, Any]:
        """What the statement says besides: whether it is a description alone."""
        # To a service it is stated before anything is read: it may take everything.
        whole = self.offer.writes == "service" or not self._given.isdisjoint(packages)
        return {"only": "" if whole else DESCRIPTION}


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


def _secret(name: str) -> str:
    return os.environ.get(name, "").strip() or no_secret(name)
