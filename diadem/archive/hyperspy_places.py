"""Where HyperSpy, eXSpy and pyxem look for what a record states, and in which unit.

Units and places are those of HyperSpy's and eXSpy's chapters on the metadata structure (keV, nA, mm, mrad, s, degrees;
the thickness of a sample in m), and for ``Detector.Diffraction`` those of pyxem's `set_experimental_parameters` (camera
length in cm, exposure in ms), which have a leaf that says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """Where a field goes: a path, ``*`` standing for TEM or SEM, and what the record's number is multiplied by.

    `where` names the signals that have such a leaf: ``EDS``, ``EELS``, ``image``, ``pattern``, ``TEM``, ``SEM``, or ""
    for all. `unit` is written beside the leaf where it is not HyperSpy's.
    """

    field: str
    path: str
    factor: float = 1.0
    where: str = ""
    unit: str = ""

    @property
    def zero(self) -> bool:
        """Whether 0 is a value: a current, magnification or time of 0 is what programs write where they know none."""
        return self.field.startswith(("stage.", "scan.rotation", "detector."))


#: The later of two for the same leaf counts.
PLACES: Sequence[Place] = (
    Place("beam.acceleration_voltage", "*.beam_energy", 1e-3),
    Place("beam.probe_current", "*.beam_current", 1e9),
    Place("beam.current", "*.beam_current", 1e9),
    Place("beam.convergence_semi_angle", "*.convergence_angle", 1e3),
    Place("optics.magnification", "*.magnification"),
    Place("optics.camera_length", "*.camera_length", 1e3, "TEM"),
    Place("optics.camera_length", "*.Detector.Diffraction.camera_length", 1e2, "pattern", "cm"),
    Place("optics.working_distance", "*.working_distance", 1e3, "SEM"),
    Place("scan.dwell_time", "*.dwell_time"),
    Place("scan.dwell_time", "*.Detector.EELS.dwell_time", 1.0, "EELS"),
    Place("scan.rotation", "*.scan_rotation", 1.0, "pattern"),
    Place("camera.exposure", "*.Detector.Camera.exposure", 1.0, "image"),
    Place("camera.exposure", "*.Detector.EELS.exposure", 1.0, "EELS"),
    Place("camera.exposure", "*.Detector.Diffraction.exposure_time", 1e3, "pattern", "ms"),
    Place("eds.live_time", "*.Detector.EDS.live_time", 1.0, "EDS"),
    Place("eds.real_time", "*.Detector.EDS.real_time", 1.0, "EDS"),
    Place("eds.resolution", "*.Detector.EDS.energy_resolution_MnKa", 1.0, "EDS"),
    Place("detector.elevation", "*.Detector.EDS.elevation_angle", 1.0, "EDS"),
    Place("detector.azimuth", "*.Detector.EDS.azimuth_angle", 1.0, "EDS"),
    Place("eels.collection_semi_angle", "*.Detector.EELS.collection_angle", 1e3, "EELS"),
    Place("eels.aperture", "*.Detector.EELS.aperture_size", 1e3, "EELS"),
    Place("stage.x", "*.Stage.x", 1e3),
    Place("stage.y", "*.Stage.y", 1e3),
    Place("stage.z", "*.Stage.z", 1e3),
    Place("stage.tilt", "*.Stage.tilt_alpha", 1.0, "SEM"),  # the one tilt of a scanning microscope, where eXSpy looks
    Place("stage.alpha", "*.Stage.tilt_alpha"),
    Place("stage.beta", "*.Stage.tilt_beta"),
    Place("stage.tilt", "*.Stage.tilt", 1.0, "SEM"),
    Place("stage.rotation", "*.Stage.rotation"),
    Place("sample.thickness", "Sample.thickness"),
    Place("instrument.name", "*.microscope"),
    Place("instrument.model", "*.microscope"),
    Place("detector.name", "*.Detector.EELS.spectrometer", 1.0, "EELS"),
    Place("detector.name", "*.Detector.EDS.detector_type", 1.0, "EDS"),
    Place("detector.type", "*.Detector.EDS.detector_type", 1.0, "EDS"),
    Place("detector.type", "*.Detector.detector_type", 1.0, "image"),
    Place("detector.name", "*.Detector.detector_type", 1.0, "image"),
    Place("person.operator", "General.authors"),
    Place("person.name", "General.authors"),
    Place("sample.name", "Sample.name"),
    Place("sample.elements", "Sample.elements"),
)
