"""What the groups of a Berkeley EMD file state.

Units that are not written are known of one writer alone, the acquisition programs of NCEM (``ercius/openNCEM``,
``python_titan/STEMTomo7.py`` and ``STEMexperiments.py``): they copy FEI's scripting interface, which counts in volts,
metres, radians and seconds ("TEM Scripting", FEI: Gun.HTValue, Projection.CameraLength, Illumination.ConvergenceAngle
and ProbeDefocus, AcqParams.DwellTime). Such a file has both `high tension` and `spot size`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from diadem.hooks.fields import Found, Tree
from diadem.plugins.ncem.attributes import Attribute, attributes, quantity

#: Field, its unit, names that mean it, the unit in which NCEM's programs write it.
_QUANTITIES: Sequence[tuple[str, str, tuple[str, ...], str]] = (
    (
        "beam.acceleration_voltage", "V",
        ("high tension", "accelerating voltage", "acceleration voltage", "voltage", "beam voltage", "beam energy"),
        "V",
    ),
    (
        "beam.convergence_semi_angle", "rad",
        ("convergence semi angle", "convergence semiangle", "semi convergence angle", "convergence angle"),
        "rad",
    ),
    ("beam.extraction_voltage", "V", ("extraction voltage", "extractor voltage"), ""),
    ("beam.emission_current", "A", ("emission", "emission current"), ""),
    ("beam.current", "A", ("beam current",), ""),
    ("beam.probe_current", "A", ("probe current",), ""),
    ("beam.screen_current", "A", ("screen current",), ""),
    ("optics.camera_length", "m", ("camera length",), "m"),
    ("optics.defocus", "m", ("defocus",), "m"),
    ("optics.working_distance", "m", ("working distance",), ""),
    ("scan.dwell_time", "s", ("dwell time", "pixel dwell time"), "s"),
    ("scan.rotation", "deg", ("scan rotation", "stem rotation"), ""),
    ("camera.exposure", "s", ("exposure", "exposure time"), ""),
    ("eds.real_time", "s", ("real time",), ""),
    ("eds.live_time", "s", ("live time",), ""),
    ("eds.resolution", "eV", ("mn ka resolution", "energy resolution mn ka"), ""),
    ("stage.x", "m", ("stage x",), ""),
    ("stage.y", "m", ("stage y",), ""),
    ("stage.z", "m", ("stage z",), ""),
    ("stage.alpha", "deg", ("stage a", "stage alpha", "alpha tilt", "tilt alpha"), ""),
    ("stage.beta", "deg", ("stage b", "stage beta", "beta tilt", "tilt beta"), ""),
    ("sample.thickness", "m", ("thickness", "sample thickness"), ""),
)  # fmt: skip

#: Field and names of bare numbers.
_NUMBERS: Sequence[tuple[str, tuple[str, ...]]] = (
    ("optics.magnification", ("magnification", "stem magnification")),
    ("camera.binning", ("binning",)),
)

#: Group, field, names in the order of preference.
_TEXTS: Sequence[tuple[str, str, tuple[str, ...]]] = (
    ("microscope", "instrument.model", ("name", "microscope name", "microscope", "microscope model", "model")),
    ("microscope", "instrument.vendor", ("manufacturer", "vendor")),
    ("microscope", "instrument.serial", ("serial", "serial number")),
    ("microscope", "detector.name", ("detector", "detector name", "camera", "camera name")),
    ("microscope", "stage.holder", ("holder", "holder type", "sample holder")),
    ("user", "person.operator", ("name", "user name", "operator")),
    ("sample", "sample.name", ("name", "sample name", "material")),
    ("sample", "sample.identifier", ("id", "sample id", "identifier")),
    ("sample", "sample.prep_step", ("preparation", "preparation method")),
)

#: Below this a high tension without a unit is no number of volts.
_LEAST_VOLTS = 1000


def quantities(tree: Tree) -> Iterator[Found]:
    """Numbers of the groups `microscope`, `sample` and `calibration`."""
    for group in ("microscope", "sample", "calibration"):
        content = tree.get(group)
        if isinstance(content, Mapping):
            yield from _quantities(group, content)


def _quantities(group: str, content: Mapping[str, Any]) -> Iterator[Found]:
    """Numbers of one group."""
    found = list(attributes(content))
    prefix = f"{group}/" if group else ""
    known = _is_of_ncem(found)
    for field, unit, names, default in _QUANTITIES:
        for attribute in _named(found, names):
            number = quantity(attribute, unit, default if known else "")
            if number is not None and (number[0] or field.startswith("stage.")):
                yield Found(field, number[0], prefix + attribute.key, attribute.raw, number[1])
                break
    for field, names in _NUMBERS:
        for attribute in _named(found, names):
            number = quantity(attribute, "1")
            if number is not None and number[0] > 0:
                yield Found(field, number[0], prefix + attribute.key, attribute.raw, number[1])
                break
    for attribute in _named(found, ("spot size", "spot index")):
        if attribute.unit == "" and isinstance(attribute.value, (int, float)) and 1 <= attribute.value <= 11:
            yield Found("beam.spot_index", float(attribute.value), prefix + attribute.key, attribute.raw, "1")


def _is_of_ncem(found: Sequence[Attribute]) -> bool:
    """Whether NCEM's acquisition programs wrote the group."""
    values = {attribute.name: attribute for attribute in found if attribute.unit == ""}
    tension = values["high tension"].value if "high tension" in values else None
    return isinstance(tension, (int, float)) and tension >= _LEAST_VOLTS and "spot size" in values


def _named(found: Sequence[Attribute], names: Sequence[str]) -> Iterator[Attribute]:
    """Attributes of these names, those of the first name first."""
    for name in names:
        yield from (attribute for attribute in found if attribute.name == name)


def texts(tree: Tree) -> Iterator[Found]:
    """Names of the microscope, of people and samples."""
    for group, field, names in _TEXTS:
        content = tree.get(group)
        if not isinstance(content, Mapping):
            continue
        for attribute in _named(list(attributes(content)), names):
            if isinstance(attribute.raw, str) and attribute.raw.strip():
                yield Found(field, attribute.raw, f"{group}/{attribute.key}", attribute.raw)
                break


def dictionary(tree: Tree) -> Iterator[Found]:
    """Numbers of a dictionary whose names have their units."""
    yield from _quantities("", tree)
