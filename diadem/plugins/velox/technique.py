"""What was measured: the kind of the detector, the mode of the microscope, the group that Velox keeps the data in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from diadem.hooks.fields import Found, Tree, look_up
from diadem.plugins.velox import detectors

#: `Optics.ProjectorMode` of a camera's image; all scanned images have 1 too.
_PROJECTED: Final = {"1": "diffraction", "2": "TEM"}


def of_image(tree: Tree) -> Iterator[Found]:
    """Technique of an image; none of a transform. A map of elements is of X-rays where its detectors tell so."""
    own = detectors.own(tree)
    if own is None:
        yield from x_rays(tree)
        return
    key, type_ = f"Detectors/{own[0]}/DetectorType", own[1].get("DetectorType")
    scanned = str(look_up(tree, "Optics/OperatingMode")) == "2"
    reciprocal = look_up(tree, "BinaryResult/PixelUnitX") == "1/m"
    if type_ == "ScanningDetector" and scanned and not reciprocal:
        yield Found("signal.technique", "STEM", key, type_, status="derived")
    raw = str(look_up(tree, "Optics/ProjectorMode"))
    found = _PROJECTED.get(raw)
    if type_ == "ImagingDetector" and not scanned and found and reciprocal == (found == "diffraction"):
        yield Found("signal.technique", found, "Optics/ProjectorMode", raw, status="derived")


def x_rays(tree: Tree) -> Iterator[Found]:
    """EDS, of spectra whose detectors stand at an elevation."""
    own = detectors.own(tree)
    parts = [(f"Detectors/{own[0]}", own[1])] if own is not None else detectors.segments(tree)
    for key, detector in parts[:1]:
        if detector.get("ElevationAngle") is not None:
            raw = detector.get("DetectorType")
            yield Found("signal.technique", "EDS", f"{key}/DetectorType", raw, status="derived")
