"""The INI text of FEI's scanning and dual-beam microscopes.

Sections `EBeam`, `IBeam` and `IRBeam` are the columns and the navigation camera; `Beam` names the one that made the
image. Everything is in SI units without prefixes, angles in radians.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from typing import Any

from diadem.hooks.fields import Found, Tree, look_up
from diadem.hooks.text import positive
from diadem.hooks.times import moments
from diadem.terms.dates import decided, moments_of

#: A clock that was set in between, and the way through a time zone, are no disagreement.
_APART = dt.timedelta(hours=26)
_TAGS = ("FEI_HELIOS", "FEI_SFEG", "FEI_TITAN")
_COLUMNS = ("EBeam", "IBeam", "IRBeam")
_CREATED = re.compile(r"(\d\d)\.(\d\d)\.(\d{4}) +(\d\d):(\d\d):(\d\d)")
#: Ion sources by how they are named; FEI's liquid metal ion sources are of gallium.
_IONS = (
    (re.compile(r"\b(gallium|ga\+?|lmis)\b", re.IGNORECASE), "Ga"),
    (re.compile(r"\b(xenon|xe\+?)\b", re.IGNORECASE), "Xe"),
)


def find(tree: Tree) -> tuple[str, Mapping[str, Any]] | None:
    """Name of the tag with the INI text, and its sections; None where there is none."""
    for tag in _TAGS:
        sections = tree.get(tag)
        if isinstance(sections, Mapping) and ("Beam" in sections or "User" in sections or "System" in sections):
            return tag, sections
    return None


def _column(sections: Mapping[str, Any]) -> str:
    """The column, or camera, that made the image: as `Beam` says, or the only one there is."""
    named = look_up(sections, "Beam/Beam")
    if named:
        return str(named)
    present = [name for name in _COLUMNS if name in sections]
    return present[0] if len(present) == 1 else ""


def by_electrons(tree: Tree) -> bool:
    """Whether the electron column made the image."""
    return _made_by(tree, "EBeam")


def by_ions(tree: Tree) -> bool:
    """Whether the ion column made the image."""
    return _made_by(tree, "IBeam")


def by_camera(tree: Tree) -> bool:
    """Whether the navigation camera made the image."""
    return _made_by(tree, "IRBeam")


def _made_by(tree: Tree, column: str) -> bool:
    found = find(tree)
    return found is not None and _column(found[1]) == column


def camera_pixels(tree: Tree) -> Iterator[Found]:
    """Pixel size of the navigation camera, whose section has the field of view only."""
    found = find(tree)
    if found is None or any("PixelWidth" in found[1].get(name, {}) for name in ("Scan", "EScan", "IScan")):
        return
    tag, sections = found
    for direction, width, resolution in (("x", "HFW", "ResolutionX"), ("y", "VFW", "ResolutionY")):
        field, count = look_up(sections, f"{_column(sections)}/{width}"), look_up(sections, f"Image/{resolution}")
        if (length := positive(field)) and (pixels := positive(count)):
            key = f"{tag}/{_column(sections)}/{width} + {tag}/Image/{resolution}"
            yield Found(f"image.pixel_size_{direction}", length / pixels, key, [field, count], "m", "derived")


def _is_scanning(sections: Mapping[str, Any]) -> bool:
    """Whether the instrument is a scanning electron microscope, which has one column and may not name it."""
    return str(look_up(sections, "System/Type") or "").lower() in ("sem", "esem")


def species(tree: Tree) -> Iterator[Found]:
    """Electrons, or ions by the names of their source."""
    found = find(tree)
    if found is None:
        return
    tag, sections = found
    column = _column(sections)
    if column == "EBeam":
        yield Found("beam.species", "electron", f"{tag}/Beam/Beam", column, status="derived")
    elif not column and _is_scanning(sections):
        yield Found("beam.species", "electron", f"{tag}/System/Type", sections["System"]["Type"], status="derived")
    if column != "IBeam":
        return
    for key, raw in sections.get("IBeam", {}).items():
        if key in ("Source", "ColumnType") or "gas" in key.lower() or "species" in key.lower():
            for pattern, ion in _IONS:
                if pattern.search(raw):
                    yield Found("beam.species", ion, f"{tag}/IBeam/{key}", raw, status="derived")
                    return


def technique(tree: Tree) -> Iterator[Found]:
    """By the column that made the image; a detector below the sample is named STEM."""
    found = find(tree)
    if found is None:
        return
    tag, sections = found
    detector = str(look_up(sections, "Detectors/Name") or "")
    electrons = "STEM" if "STEM" in detector.upper() else "SEM"
    technique = {"EBeam": electrons, "IBeam": "FIB"}.get(_column(sections))
    if technique:
        yield Found("signal.technique", technique, f"{tag}/Beam/Beam", _column(sections), status="derived")
    elif not _column(sections) and _is_scanning(sections):
        yield Found("signal.technique", electrons, f"{tag}/System/Type", sections["System"]["Type"], status="derived")


def created(sections: Mapping[str, Any]) -> dt.datetime | None:
    """`TimeOfCreation`, day first."""
    match = _CREATED.match(str(look_up(sections, "PrivateFei/TimeOfCreation") or ""))
    if match is None:
        return None
    day, month, year, hour, minute, second = (int(part) for part in match.groups())
    try:
        return dt.datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - no zone is stated
    except ValueError:
        return None


def time(tree: Tree, other: dt.datetime | None = None) -> Iterator[Found]:
    """Local time of the image; another stamp of it decides where `TimeOfCreation` is missing."""
    found = find(tree)
    if found is None:
        return
    tag, sections = found
    stamp = created(sections)
    date, hour = (str(look_up(sections, f"User/{name}") or "") for name in ("Date", "Time"))
    readings = moments_of(date, hour)
    local = decided(readings, same=stamp)
    if local is not None or stamp is None:
        key = f"{tag}/User/Date + {tag}/User/Time"
        yield from moments("time.acquired_start", key, f"{date} {hour}", local=local or readings, same=other)
    if stamp is not None and (local is None or abs(stamp - local) > _APART):  # two that disagree are both told
        key = f"{tag}/PrivateFei/TimeOfCreation"
        yield from moments("time.acquired_start", key, look_up(tree, key), local=stamp)
