"""Which normalised value becomes which field, in which unit, and which readers bend it.

Units are those that HyperSpy documents for its metadata tree. A rule is left out for a reader that gives the value in
another unit, from another tag, or from the clock zone of the reading machine: a wrong value is worse than none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """One quantity.

    Attributes
    ----------
    path : str
        Below ``Acquisition_instrument.TEM`` or ``.SEM``.
    field : str
        Key of the record's field.
    unit : str
        The field's unit.
    stored : str
        The unit that HyperSpy documents, or "" where it is the field's own.
    factor : float
        From `stored` to `unit`.
    least, most : float
        Values outside are no measurements; zero never is.
    """

    path: str
    field: str
    unit: str
    stored: str = ""
    factor: float = 1.0
    least: float = 0.0
    most: float = float("inf")


QUANTITIES: tuple[Rule, ...] = (
    Rule("beam_energy", "beam.acceleration_voltage", "V", "keV", 1e3, most=3e6),
    Rule("magnification", "optics.magnification", "1", most=1e9),
    Rule("camera_length", "optics.camera_length", "m", "mm", 1e-3, most=1000),
    Rule("working_distance", "optics.working_distance", "m", "mm", 1e-3, least=1e-5, most=1),
    Rule("dwell_time", "scan.dwell_time", "s", most=1e4),
    Rule("beam_current", "beam.current", "A", "nA", 1e-9, most=1e-2),
    Rule("convergence_angle", "beam.convergence_semi_angle", "rad", "mrad", 1e-3, most=1.6),
    Rule("Detector.EELS.collection_angle", "eels.collection_semi_angle", "rad", "mrad", 1e-3, most=1.6),
    Rule("Detector.EDS.live_time", "eds.live_time", "s", most=1e8),
    Rule("Detector.EDS.real_time", "eds.real_time", "s", most=1e8),
    Rule("Detector.EDS.energy_resolution_MnKa", "eds.resolution", "eV", most=1e4),
    Rule("Detector.EDS.elevation_angle", "detector.elevation", "deg", least=-90, most=90),
    Rule("Detector.EDS.azimuth_angle", "detector.azimuth", "deg", least=-360, most=360),
    Rule("Detector.Camera.exposure", "camera.exposure", "s", most=1e6),
    Rule("Stage.x", "stage.x", "m", "mm", 1e-3, least=-1, most=1),
    Rule("Stage.y", "stage.y", "m", "mm", 1e-3, least=-1, most=1),
    Rule("Stage.z", "stage.z", "m", "mm", 1e-3, least=-1, most=1),
    Rule("Stage.tilt_alpha", "stage.alpha", "deg", least=-360, most=360),
    Rule("Stage.tilt_beta", "stage.beta", "deg", least=-360, most=360),
    Rule("Stage.tilt", "stage.tilt", "deg", least=-360, most=360),
    Rule("Stage.rotation", "stage.rotation", "deg", least=-360, most=360),
)

#: Texts, by path below the instrument.
TEXTS: Mapping[str, str] = {
    "microscope": "instrument.model",
    "acquisition_mode": "beam.mode",
    "Detector.EDS.detector_type": "detector.type",
    "Detector.Camera.name": "detector.name",
    "Detector.Camera.Name": "detector.name",
}

_STAGE_FIELDS = frozenset(
    {"stage.x", "stage.y", "stage.z", "stage.alpha", "stage.beta", "stage.tilt", "stage.rotation"}
)
_TIME = "time.acquired_start"
_SAVED = frozenset({"stage.x", "stage.y", "stage.z", "stage.tilt", "stage.rotation", "optics.camera_length"})

#: Fields that a reader (the module of RosettaSciIO) does not give cleanly, and why.
LEFT_OUT: Mapping[str, frozenset[str]] = {
    # Stage in metres and rounded, angles rounded too; the model's class alone; time in the reading machine's zone.
    "emd": _STAGE_FIELDS | {"instrument.model", _TIME},
    # One of three tags, among them the name of DigitalMicrograph's interface and what a user called the session.
    "digitalmicrograph": frozenset({"instrument.model"}),
    # Camera length in metres; time in the reading machine's zone.
    "blockfile": frozenset({"optics.camera_length", _TIME}),
    "pantarhei": frozenset({"optics.camera_length"}),
    # Zone and clock of the reading machine; offsets in metres.
    "phenom": frozenset({"stage.x", "stage.y", "stage.z", "instrument.model", _TIME}),
    "tvips": frozenset({_TIME, "beam.current", *_STAGE_FIELDS}),
    # The time of loading, or of a day and month that cannot be told apart.
    "topspin": frozenset({_TIME}),
    "mrcz": _SAVED | {_TIME, "beam.mode"},
    "impulse": frozenset({_TIME}),
    "jobinyvon": frozenset({_TIME}),
    "empad": frozenset({_TIME}),
    # What another program has put into HyperSpy's tree, in whatever unit it had.
    "hspy": _SAVED,
    "zspy": _SAVED,
    # Dwell time in milliseconds; the instrument's type is a guess that changes nothing else.
    "msa": frozenset({"scan.dwell_time"}),
    # TIFF's own DateTime is that of the file, which may have been saved or exported at any time.
    "tiff": frozenset({_TIME}),
    # Energy in volts beside a unit that says so (also caught by the unit).
    "digitalsurf": frozenset({"beam.acceleration_voltage"}),
    # Placeholders of the program: positions of exactly zero, samples "Undefined" and "Map data".
    "bruker": frozenset({"stage.x", "stage.y", "stage.z", "sample.name"}),
    "protochips": frozenset({"sample.name"}),
    "edax": frozenset({"stage.alpha"}),
    "ripple": frozenset({_TIME, *_STAGE_FIELDS}),
    "nexus": frozenset({_TIME}),
    # The time of the measurement or of the file, whichever the reader meets last.
    "trivista": frozenset({_TIME}),
}

#: The same for values that a reader maps from certain tags: (reader, beginning of the tag) to fields.
LEFT_OUT_BY_TAG: Mapping[tuple[str, str], frozenset[str]] = {
    # Stage in metres, tilt and rotation in radians.
    ("tiff", "fei_metadata"): _STAGE_FIELDS,
    # Magnification as text ("50.00 K X"); the model is the serial number.
    ("tiff", "CZ_SEM"): frozenset({"optics.magnification", "instrument.model"}),
    ("tiff", "TVIPS"): frozenset({_TIME, *_STAGE_FIELDS}),
}

#: Readers that take day and month from text in an order that depends on the instrument PC's language.
GUESSES_DATES = frozenset({"digitalmicrograph", "tiff", "hspy", "zspy"})
#: Readers whose time zone is the file's own.
STATES_ZONE = frozenset({"tiff", "tofwerk"})
#: TIA files a dwell time as the camera's exposure unless a camera is named.
EXPOSURE_NEEDS_CAMERA = frozenset({"tia"})
