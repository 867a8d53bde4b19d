"""What a parent tells its workers: limits and places of code once, then one job a line; and what a job is without.

Offers go as names to be imported there. An editable installation may be known only to an import hook of the parent, or
lie in the current folder, which a worker does not search: so it is told where the top-level packages of foreign
plugins are; nothing else is added.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from diadem.hooks.offers import CheckOffer, FieldsOffer, PreviewOffer, ReaderOffer

#: Bytes that one answer may have.
MAX_ANSWER: Final = 8 << 20
#: Pixels along the longer side of a picture.
SIDE: Final = 160
#: What nearly every reader imports.
COMMON_MODULES: Final = ("numpy", "PIL.Image", "h5py", "diadem.extract.reading", "diadem.extract.preview")
#: What many readers import, and what takes three times as long: only where nobody waits is it imported beforehand.
LARGE_MODULES: Final = ("dask.array",)
#: Hook and name of an offer to the plugin (distribution) and version that made it; foreign ones only.
Origins = Mapping[tuple[str, str], Mapping[str, str]]
#: By name of a top-level package: ``origin``, the file that is run, or ""; ``places``, its folders, none for a module.
Places = Mapping[str, Mapping[str, Any]]

_OURS: Final = "diadem-em"
#: Packages that a worker finds as it finds itself.
_BUNDLED: Final = frozenset({"diadem", "rsciio"})
#: Kind of part to its name for people.
_WORDS: Final = {"fields": "metadata reader", "previews": "preview", "checks": "check"}


class Offered:
    """What plugins offer, as JSON and by the formats that it is for.

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
        self.readers: Mapping[str, ReaderOffer] = {offer.name: offer for offer in readers}
        self._fields = tuple(fields)
        self._previews = sorted(previews, key=lambda offer: -offer.priority)
        self._checks = tuple(checks)
        self._origins = origins

    def of(self, names: Sequence[str]) -> dict[str, Any]:
        """What concerns datasets of these formats: ``offers, fields, previews, checks``."""
        meant = {"*", *names}
        return {
            "offers": [self._reader(self.readers[name]) for name in names],
            "fields": [self._field(offer) for offer in self._fields if meant & set(offer.formats)],
            "previews": [
                {**_named(offer), "draw": offer.draw, "by": self._by("previews", offer)}
                for offer in self._previews
                if meant & set(offer.formats)
            ],
            "checks": [
                {**_named(offer), "check": offer.check, "when": offer.when, "by": self._by("checks", offer)}
                for offer in self._checks
                if meant & set(offer.formats)
            ],
        }

    def targets(self) -> Iterator[str]:
        """Every dotted name that a worker may be asked to import."""
        for reader in self.readers.values():
            yield from (reader.open, reader.load, reader.probe, reader.describe)
        for offer in self._fields:
            yield from (offer.blocks, *offer.tables.values())
        yield from (offer.draw for offer in self._previews)
        yield from (offer.check for offer in self._checks)

    def _reader(self, offer: ReaderOffer) -> dict[str, Any]:
        targets = {"open": offer.open, "load": offer.load, "probe": offer.probe, "describe": offer.describe}
        package = _package(offer.open or offer.load)
        if package in _BUNDLED:
            by = {"plugin": "rosettasciio", "version": version_of(_OURS)}
            by["reader"] = f"rosettasciio {version_of('rosettasciio')}"
        else:
            by = {**self._foreign("readers", offer.name, package), "reader": offer.name}
        return {"name": offer.name, **targets, "options": dict(offer.options), "by": by}

    def _field(self, offer: FieldsOffer) -> dict[str, Any]:
        package = _package(offer.blocks or next(iter(offer.tables.values()), ""))
        ours = {"plugin": offer.name, "version": version_of(_OURS)}
        by = ours if package == "diadem" else self._foreign("fields", offer.name, package)
        return {**_named(offer), "blocks": offer.blocks, "tables": dict(offer.tables), "by": by}

    def _by(self, kind: str, offer: PreviewOffer | CheckOffer) -> dict[str, str]:
        known = self._origins.get((f"diadem_{kind}", offer.name))
        return dict(known or {"plugin": offer.name, "version": version_of(_OURS)})

    def _foreign(self, kind: str, name: str, package: str) -> dict[str, str]:
        known = self._origins.get((f"diadem_{kind}", name))
        return dict(known or {"plugin": package, "version": version_of(package)})


def _named(offer: FieldsOffer | PreviewOffer | CheckOffer) -> dict[str, Any]:
    return {"name": offer.name, "formats": list(offer.formats)}


def _package(target: str) -> str:
    return target.partition(":")[0].partition(".")[0]


@cache
def version_of(distribution: str) -> str:
    """Version of an installed distribution, or ``unknown``."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown"


# -- a job without a part of it ------------------------------------------------------------------------------------


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


# -- where the code of foreign plugins lies ------------------------------------------------------------------------


def locate(targets: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Where the top-level packages of dotted targets are; what is not in plain files is left to the search path."""
    names = {_package(target) for target in targets} - _BUNDLED - {""}
    found = {name: _place(name) for name in sorted(names)}
    return {name: place for name, place in found.items() if place}


def _place(name: str) -> dict[str, Any]:
    try:
        spec = importlib.util.find_spec(name)
    except Exception:  # a module without a spec, or a finder of somebody's that fails
        return {}
    if spec is None:
        return {}
    origin = spec.origin if spec.has_location and spec.origin and Path(spec.origin).is_file() else ""
    places = [str(place) for place in spec.submodule_search_locations or () if Path(place).is_dir()]
    return {"origin": origin, "places": places} if origin or places else {}


def readable(packages: Places) -> Sequence[str]:
    """Files and folders that must be readable for the packages to be imported."""
    return [place for about in packages.values() for place in (*about["places"], about["origin"]) if place]


def install(packages: Places) -> None:
    """Have this process find the packages where its parent has found them."""
    if packages:
        sys.meta_path.insert(0, _Finder(packages))


class _Finder(MetaPathFinder):
    """Finds a few top-level packages by name."""

    def __init__(self, packages: Places) -> None:
        self._packages = packages

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """The spec of one of the packages; submodules are found in its places by the usual way."""
        about = self._packages.get(fullname)
        if about is None:
            return None
        if about["origin"]:
            places = about["places"] or None
            return importlib.util.spec_from_file_location(fullname, about["origin"], submodule_search_locations=places)
        return PathFinder.find_spec(fullname, [str(Path(place).parent) for place in about["places"]])
