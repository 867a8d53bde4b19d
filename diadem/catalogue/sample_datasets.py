"""Every dataset of some samples, by the time of its recording: from every package that names one of them."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import Connection, select

from diadem.catalogue import tables
from diadem.catalogue.candidates import candidates_of
from diadem.catalogue.conditions import FactReader
from diadem.catalogue.database import chunks
from diadem.catalogue.dataset_sets import numbers
from diadem.catalogue.fact_rows import values_of
from diadem.catalogue.matching import matching, sizes_of, walk
from diadem.catalogue.query import any_name
from diadem.catalogue.tables import among
from diadem.catalogue.vocabulary import SAMPLE_KEYS
from diadem.model.display import Display
from diadem.model.manifest import PREFIX

_TIME: Final = "time.acquired_start"
#: What tells the instrument, the first that is stated.
_INSTRUMENT: Final = ("instrument.name", "instrument.model", "instrument.vendor")
_SITE: Final = "instrument.site"
_EPOCH: Final = datetime.datetime(1970, 1, 1)  # noqa: DTZ001  (as the facts count)
_packages = tables.packages.c


@dataclass(frozen=True, slots=True)
class SampleDataset(Display):
    """A dataset that names a sample.

    Attributes
    ----------
    package : str
        ``diadem:<64 hex>``.
    title : str
        Of its session.
    date : str
        Day of the session, or "".
    time : str
        When it was recorded, by the clock of the instrument, the earliest that is stated: ``2026-03-14T09:26:53``; or
        "".
    path : str
        Its primary file; "" for a package without datasets.
    instrument, site : str
        What recorded it, and where that stands, as far as it is stated.
    named : tuple of str
        What the record calls the sample.
    sample : str
        Id of the sample that this means, where somebody has looked: see `diadem.node.samples.story`.
    """

    package: str
    title: str
    date: str
    time: str
    path: str
    instrument: str
    site: str
    named: tuple[str, ...]
    sample: str = ""

    @property
    def day(self) -> str:
        """The day of the recording, else that of the session, or ""."""
        return self.time[:10] or self.date

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {"named": list(self.named)}


def datasets_naming(connection: Connection, names: Iterable[tuple[str, ...]]) -> list[SampleDataset]:
    """Every dataset that states one of these names of samples, each a row of words; the earliest first."""
    reader = FactReader(connection)
    whole = any_name(SAMPLE_KEYS, names)
    wanted: dict[int, int] = {}
    for first, *others in chunks(() if whole is None else (whole, *whole.others)):
        phrase = replace(first, others=tuple(others))
        keys = [key for key, hit in walk(reader, phrase, candidates_of(reader, phrase), rising=True) if hit]
        for part in chunks(keys):
            for key, bits in matching(reader, phrase, sizes_of(connection, part)).items():
                wanted[key] = wanted.get(key, 0) | bits
    found = [
        row for part in chunks(sorted(wanted)) for row in _described(connection, {key: wanted[key] for key in part})
    ]
    return [row for _, row in sorted(found, key=lambda one: one[0])]


def _described(connection: Connection, wanted: Mapping[int, int]) -> Iterator[tuple[tuple[Any, ...], SampleDataset]]:
    """Datasets of some packages, as bits, with what sorts them."""
    keys, files = list(wanted), tables.datasets.c
    packages = select(_packages.seq, _packages.id, _packages.title, _packages.date)
    primary = select(files.package, files.number, files.path).where(among(files.package, keys))
    paths = {(key, number): path for key, number, path in connection.execute(primary)}
    times = values_of(connection, tables.numbers, (_TIME,), wanted)
    instruments, sites, named = (
        values_of(connection, tables.phrases, of, wanted) for of in (_INSTRUMENT, (_SITE,), SAMPLE_KEYS)
    )
    for package in connection.execute(packages.where(among(_packages.seq, keys))).all():
        for number in numbers(wanted[package.seq]):
            place = package.seq, number
            dataset = SampleDataset(
                package=PREFIX + package.id,
                title=package.title,
                date=package.date or "",
                time=_clock(times[place][0]) if place in times else "",
                path=paths.get(place, ""),
                instrument=instruments.get(place, ("",))[0],
                site=sites.get(place, ("",))[0],
                named=tuple(named.get(place, ())),
            )
            yield (dataset.day or "9999", dataset.time or "24", *place), dataset


def _clock(seconds: float) -> str:
    try:
        return (_EPOCH + datetime.timedelta(seconds=seconds)).isoformat(timespec="seconds")
    except OverflowError:  # a clock beyond the calendar
        return ""
