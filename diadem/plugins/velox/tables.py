"""What the JSON of a Velox file states, and in which units: SI without prefixes, angles in radians.

The units are proven by values that can only be right in them, all in the real files that the tests read; their names
are in the rules' `cite`. The same document is written by EPU, whose XML names metres (`SpatialScale`).
"""

from __future__ import annotations

from typing import Any

from diadem.hooks.fields import Derived, Rule, Table, Tree, look_up
from diadem.plugins.velox import detectors, moments, technique
from diadem.plugins.velox.values import elements, field_of_view, frames, kind, mode, model, pixel_sizes, program

_NOBODY = ("", "None", "Unspecified", "Unknown", "Undefined")
_SCAN = "fei_emd_image.emd: 512 lines of LineTime 0.0118 are FrameTime 6.0416; 512 of DwellTime 2e-05 fit in a line"
_VOLTS = "fei_emd_image.emd: 200000 in a microscope of 200 kV; Velox 3.14 manual: HT in kV, extractor in V"
_METRES = "fei_emd_image.emd: CameraLength 0.098, stage within 1 mm; Velox 3.14 manual shows mm, um and nm"
_TILT = "fei_example_dpc_titles.emd: 0.088313660150913062 is 5.06 degrees, as the operator set it"
_ROTATION = "fei_emd_image.emd: 1.6580627893946103 is 95 degrees, DetectorRotation is its negative"
_CONVERGENCE = (
    "Velox 3.14 manual: beam convergence 19.6 mrad; of the order of 0.02 in all files of aberration correctors"
)
_CURRENT = "Velox 3.14 manual: last measured screen current 684 pA; 2.5e-10 in fei_emd_image.emd"
_SCHEMA = "the same schema in EPU's XML, with 10 for a slit of 10 eV"


def positive(raw: Any) -> float | None:
    """A number above zero; what has not been measured is 0, and a lost calibration negative."""
    value = float(raw)
    return value if value > 0 else None


def _scans(tree: Tree) -> bool:
    """Whether the image was scanned; camera images keep the times of the last scan."""
    return float(look_up(tree, "Scan/ScanSize/width") or 0) > 0


def _is_still(tree: Tree) -> bool:
    """Whether the beam stands still, as for a camera."""
    return str(look_up(tree, "Optics/OperatingMode")) == "1"


def _converges(tree: Tree) -> bool:
    """Whether the convergence is that of a probe: for a beam that stands still it is what was set last."""
    return not _is_still(tree)


def _has_camera_length(tree: Tree) -> bool:
    """Whether the projector made a pattern; behind an image the number is that of the last pattern."""
    if not _is_still(tree):
        return True
    projector = str(look_up(tree, "Optics/ProjectorMode"))
    return projector == "1" or (projector != "2" and look_up(tree, "BinaryResult/PixelUnitX") == "1/m")


def _slit_is_in(tree: Tree) -> bool:
    return str(look_up(tree, "EnergyFilter/EnergySelectionSlitInserted")).lower() in ("true", "1")


def _magnified_by_scanning(tree: Tree) -> bool:
    """In TEM the tag is a truth value, and zero."""
    return str(look_up(tree, "CustomProperties/StemMagnification/type")) != "bool"


_MICROSCOPE: Table = (
    Rule("instrument.vendor", "Instrument/Manufacturer"),
    Rule("instrument.serial", "Instrument/InstrumentId", drop=("", "0")),
    Derived("model", model, cite="class and model of the same group"),
    Derived("kind-of-instrument", kind, cite="classes of Thermo Fisher's transmission microscopes"),
    Derived("operating-mode", mode, cite="1 in all camera images, 2 in all scanned ones"),
    Rule("beam.source_type", "Acquisition/SourceType", drop=_NOBODY),
    Rule("beam.acceleration_voltage", "Optics/AccelerationVoltage", "V", cite=_VOLTS),
    Rule("beam.extraction_voltage", "Optics/ExtractorVoltage", "V", cite=_VOLTS),
    Rule("beam.spot_index", "Optics/SpotIndex", "1", positive),
    Rule("beam.convergence_semi_angle", "Optics/BeamConvergence", "rad", positive, when=_converges, cite=_CONVERGENCE),
    Rule("beam.screen_current", "Optics/LastMeasuredScreenCurrent", "A", positive, cite=_CURRENT),
    Rule("optics.camera_length", "Optics/CameraLength", "m", positive, when=_has_camera_length, cite=_METRES),
    Rule("optics.defocus", "Optics/Defocus", "m", float, drop=(0,), cite="Velox 3.14 manual: defocus 95 nm"),
    Rule(
        "optics.magnification", "CustomProperties/StemMagnification/value", "x", positive, when=_magnified_by_scanning
    ),
    Rule("optics.magnification", "Optics/NominalMagnification", "x", positive),
    Rule("optics.energy_filter_slit", "EnergyFilter/EnergySelectionSlitWidth", "eV", when=_slit_is_in, cite=_SCHEMA),
    Rule("eels.aperture", "EnergyFilter/EntranceApertureDiameter", "m", cite="0.005: apertures have 1, 2.5 and 5 mm"),
    Rule("stage.x", "Stage/Position/x", "m", cite=_METRES),
    Rule("stage.y", "Stage/Position/y", "m", cite=_METRES),
    Rule("stage.z", "Stage/Position/z", "m", cite=_METRES),
    Rule("stage.alpha", "Stage/AlphaTilt", "rad", cite=_TILT),
    Rule("stage.beta", "Stage/BetaTilt", "rad", cite=_TILT),
    Rule("stage.holder", "Stage/HolderType", drop=_NOBODY),
    Rule("sample.name", "Sample/SampleDescription", drop=_NOBODY),
    Rule("sample.identifier", "Sample/SampleId", drop=_NOBODY),
    Rule("person.operator", "Core/UserId", drop=_NOBODY),
    Rule("scan.dwell_time", "Scan/DwellTime", "s", when=_scans, cite=_SCAN),
    Rule("scan.line_time", "Scan/LineTime", "s", when=_scans, cite=_SCAN),
    Rule("scan.frame_time", "Scan/FrameTime", "s", when=_scans, cite=_SCAN),
    Rule("scan.rotation", "Scan/ScanRotation", "rad", when=_scans, cite=_ROTATION),
    Derived("field-of-view", field_of_view, cite="pixel size times pixels, in all scanned files"),
    Derived("start", moments.start, cite="Unix seconds: the log has the same time, and its offset"),
)

_PIXELS = Derived("pixel-size", pixel_sizes, cite="the unit stands beside it")

IMAGE: Table = (
    *_MICROSCOPE,
    _PIXELS,
    Derived("detector", detectors.named),
    Derived("detector-angles", detectors.angles, cite="end 0.2: 200 mrad, where a Titan's projector cuts off"),
    Derived("camera", detectors.camera, cite="fei_example_tem_stack.emd: 0.8, time stamps of frames 0.799976 s apart"),
    Derived("technique", technique.of_image, cite="projector mode 2 in all camera images, 1 where the beam is scanned"),
)

#: Super-X detectors stand at 18 or 22 degrees, and at 45, 135, 225 and 315 around.
_SUPER_X = "0.31415927 is 18 degrees, 0.78539816 is 45"
_X_RAYS = Derived("technique", technique.x_rays, cite="only X-ray detectors have an elevation")
_REAL_TIME = "Test SI 16x16: RealTime 0.512 of 2 frames of 256 pixels with DwellTime 0.001"

SPECTRUM: Table = (
    *_MICROSCOPE,
    Derived("detector", detectors.named),
    Derived("detector-angles", detectors.angles, cite=_SUPER_X),
    Derived("detector-times", detectors.times_of_spectrum, cite=_REAL_TIME),
    _X_RAYS,
)

STREAM: Table = (
    *_MICROSCOPE,
    _PIXELS,
    _X_RAYS,
    Derived("detector", detectors.named),
    Derived("detector-angles", detectors.angles, cite=_SUPER_X),
)

STREAM_DETECTOR: Table = (
    Derived("detector", detectors.named),
    Derived("detector-angles", detectors.angles, cite=_SUPER_X),
)

SPECTRUM_IMAGE: Table = (
    Derived("frames", frames),
    Derived("detector-times", detectors.times_of_spectrum_image, cite=_REAL_TIME),
)

_PROPORTIONAL = "example_velox_EELS_EDS.emd: 0.0033 and 0.0169 at camera lengths of 435 and 88 mm"

EELS: Table = (
    *_MICROSCOPE,
    Rule(
        "eels.collection_semi_angle",
        "CustomProperties/EnergyFilter.CollectionAngleRange.End/value",
        "rad",
        positive,
        cite=_PROPORTIONAL,
    ),
    Derived("detector", detectors.named),
    Derived("technique", technique.losses, cite="the group's name"),
)

_EDGES = "example_velox_EELS_EDS.emd: 480 and 800 where the edges of oxygen and cobalt are, 532 and 779 eV"
_EXPOSURES = "example_velox_EELS_EDS.emd: 2e-6, 0.005 and 0.004, with their overhead DwellTime 0.00908"

EELS_ACQUISITION: Table = (
    Rule("eels.dispersion", "Data/dispersion", "eV", cite=_EDGES),
    Rule("camera.exposure", "Data/exposureTime", "s", cite=_EXPOSURES),
)

LAST_FRAME: Table = (Derived("end-of-last-frame", moments.end_of_last_frame),)

SETTINGS: Table = (Derived("elements", elements),)

PROGRAM: Table = (Derived("program", program),)

LOG: Table = (
    Derived("log", moments.of_log, cite="Test SI 16x16: 2024-02-29T07:58:04+0100 is the second of the first frame"),
)
