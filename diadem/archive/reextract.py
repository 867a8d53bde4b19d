"""`Package.reextract`: the payload read again, by the readers that are installed now, and what they say differently."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from diadem.archive.load.dataset import source_of
from diadem.errors import NotFound, UsageError
from diadem.extract.dataset import sealed_profiles
from diadem.extract.extraction import Extraction
from diadem.extract.survey import DatasetPlan, survey
from diadem.model.differences import Reextraction, differences
from diadem.model.ports import Listener, Progress
from diadem.pack.describe import Describer
from diadem.pack.ingest import Ingested
from diadem.package.tags import HashedFile
from diadem.package.zips import Vault
from diadem.serialization.record_json import read_record
from diadem.work import in_order

if TYPE_CHECKING:
    from diadem.archive.package import Package
    from diadem.extract.pool import Extractor


def reextract(package: Package, listener: Listener) -> Reextraction:
    """See `Package.reextract`."""
    if package.extractor is None:
        raise UsageError("this package was opened without readers", next="Open it with diadem.open.")
    plans = survey([(entry.name, entry.size) for entry in package.files], package.readers)
    sink, old = io.BytesIO(), None
    with suppress(NotFound):
        old = package.sealed_record
    describer = Describer(sink, {}, title="", profiles=None if old is None else sealed_profiles(old.datasets))
    with package.extractor() as extractor:
        for number, ingested in enumerate(_read(package, plans, extractor), 1):
            listener(Progress("read", number, len(plans), ingested.plan.primary.path, "datasets"))
            describer.add(ingested)
    describer.finish(omissions=[], empty_folders=[])
    new = read_record(sink.getvalue(), Vault(describer.vendor.close()))
    if old is not None:
        told = ("session", "sample", "people", "instrument", "omitted", "empty_dirs", "extensions", "unknown")
        new = replace(new, **{key: getattr(old, key) for key in told})
    return Reextraction(package.id, new, tuple(differences(() if old is None else old.datasets, new.datasets)))


def _read(package: Package, plans: Sequence[DatasetPlan], extractor: Extractor) -> Iterator[Ingested]:
    """Every dataset, in order, as many at once as there are workers."""

    def read(plan: DatasetPlan) -> Ingested:
        # The files as the package has them, with the times of the day when it was made; nobody here needs their leaves.
        files = [HashedFile(package.manifest["data/" + planned.path], b"") for planned in plan.files]
        if not plan.offers:
            return Ingested(plan, files, Extraction(), ())
        with _proven(package, plan) as root:
            return Ingested(plan, files, extractor.extract(plan, root, preview=False), ())

    yield from in_order(read, plans, threads=extractor.workers, ahead=4 * extractor.workers, name="diadem-read")


@contextmanager
def _proven(package: Package, plan: DatasetPlan) -> Iterator[Path]:
    """The folder under which the proven files lie: the package's own, or a copy that is removed at the end."""
    source = source_of(package, plan)
    if source.local(plan.entry) is not None:
        source.prove()
        yield Path(package.url, "data")
        source.prove()  # at once where nothing has changed; what was read of a changed file counts for nothing
        return
    folder = source.copy({planned.path: PurePosixPath(planned.path) for planned in plan.files})
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
