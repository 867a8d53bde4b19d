"""What a worker is told of the plugins' offers, and whom it is no longer told of when they have stopped it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from diadem.hooks.offers import CheckOffer, FieldsOffer, PreviewOffer, ReaderOffer

#: Hook and name of an offer to the plugin (distribution) and version that made it; foreign ones only.
Origins = Mapping[tuple[str, str], Mapping[str, str]]

_OURS: Final = "diadem-em"
_BUNDLED_READERS: Final = "rosettasciio"
_VERSIONS: dict[str, str] = {}
#: Kind of part to its name for people.
_WORDS: Final = {"fields": "metadata reader", "previews": "preview", "checks": "check"}


class Telling:
    """Offers as JSON, by the formats that they are for.

    Parameters
    ----------
    readers, fields, previews, checks : sequence
        What the plugins offer.
    origins : mapping
        Who makes foreign offers.
    """

    def __init__(
        self,
        readers: Sequence[ReaderOffer],
        fields: Sequence[FieldsOffer],
        previews: Sequence[PreviewOffer],
        checks: Sequence[CheckOffer],
        origins: Origins,
    ) -> None:
        self._readers = {offer.name: offer for offer in readers}
        self._fields = tuple(fields)
        self._previews = sorted(previews, key=lambda offer: -offer.priority)
        self._checks = tuple(checks)
        self._origins = origins

    @property
    def formats(self) -> Collection[str]:
        """Names of all readers."""
        return self._readers.keys()

    def of(self, names: Sequence[str]) -> dict[str, Any]:
        """What concerns datasets of these formats: ``offers, fields, previews, checks``."""
        return {
            "offers": [self._reader(self._readers[name]) for name in names],
            "fields": [self._field(offer) for offer in self._fields if _meant(offer.formats, names)],
            "previews": [
                {
                    "name": offer.name,
                    "formats": list(offer.formats),
                    "draw": offer.draw,
                    "by": self._by("previews", offer),
                }
                for offer in self._previews
                if _meant(offer.formats, names)
            ],
            "checks": [
                {
                    "name": offer.name,
                    "formats": list(offer.formats),
                    "check": offer.check,
                    "when": offer.when,
                    "by": self._by("checks", offer),
                }
                for offer in self._checks
                if _meant(offer.formats, names)
            ],
        }

    def targets(self) -> Iterator[str]:
        """Every dotted name that a worker may be asked to import."""
        for reader in self._readers.values():
            yield from (reader.open, reader.load, reader.probe, reader.describe)
        for offer in self._fields:
            yield from (offer.blocks, *offer.tables.values())
        yield from (offer.draw for offer in self._previews)
        yield from (offer.check for offer in self._checks)

    def _reader(self, offer: ReaderOffer) -> dict[str, Any]:
        targets = {"open": offer.open, "load": offer.load, "probe": offer.probe, "describe": offer.describe}
        return {"name": offer.name, **targets, "options": dict(offer.options), "by": self._reads(offer)}

    def _reads(self, offer: ReaderOffer) -> dict[str, str]:
        """Who makes a reader's assertions."""
        package = _package(offer.open or offer.load)
        if package in ("rsciio", "diadem"):
            reader = f"rosettasciio {version_of('rosettasciio')}"
            return {"plugin": _BUNDLED_READERS, "version": version_of(_OURS), "reader": reader}
        known = self._origins.get(("diadem_readers", offer.name))
        by = known or {"plugin": package, "version": version_of(package)}
        return {**by, "reader": offer.name}

    def _field(self, offer: FieldsOffer) -> dict[str, Any]:
        package = _package(offer.blocks or next(iter(offer.tables.values()), ""))
        by = {"plugin": offer.name, "version": version_of(_OURS)}
        if package != "diadem":
            known = self._origins.get(("diadem_fields", offer.name))
            by = dict(known or {"plugin": package, "version": version_of(package)})
        about = {"name": offer.name, "blocks": offer.blocks, "whole": offer.whole}
        return {**about, "formats": list(offer.formats), "tables": dict(offer.tables), "by": by}

    def _by(self, kind: str, offer: PreviewOffer | CheckOffer) -> dict[str, str]:
        known = self._origins.get((f"diadem_{kind}", offer.name))
        return dict(known or {"plugin": offer.name, "version": version_of(_OURS)})


def _meant(formats: Sequence[str], names: Sequence[str]) -> bool:
    return bool({"*", *names} & set(formats))


def _package(target: str) -> str:
    return target.partition(":")[0].partition(".")[0]


def without(job: Mapping[str, Any], part: tuple[str, str]) -> dict[str, Any] | None:
    """The job without the part that stopped the worker; None where there is no dataset without it.

    Parameters
    ----------
    job : mapping
        See `diadem.extract.reading.read_dataset`.
    part : (str, str)
        Kind and name, as the worker has told them.
    """
    kind, name = part
    if kind == "previews" and not name:
        return {**job, "preview": False} if job.get("preview") else None
    kept = [offer for offer in job[kind] if offer["name"] != name] if kind in _WORDS else []
    return {**job, kind: kept} if kind in _WORDS and len(kept) < len(job[kind]) else None


def part_text(part: tuple[str, str]) -> str:
    """A part of a job as a person would call it."""
    kind, name = part
    return f"the {_WORDS[kind]} '{name}'" if name else "the drawing of a preview"


def version_of(distribution: str) -> str:
    """Version of an installed distribution, or ``unknown``."""
    if distribution not in _VERSIONS:
        try:
            _VERSIONS[distribution] = version(distribution)
        except PackageNotFoundError:
            _VERSIONS[distribution] = "unknown"
    return _VERSIONS[distribution]
