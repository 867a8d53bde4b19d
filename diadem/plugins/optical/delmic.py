"""What of Odemis' HDF5 files (Delmic) is found by the names of components.

The state of every component of the microscope is there as pairs of value and unit: ``[0.002027, "s"]``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from diadem.hooks.fields import Found, Tree

_SETTINGS = "ExtraSettings"


def _pair(component: Any, name: str) -> tuple[Any, str] | None:
    """A value with its unit; None where there is no such attribute."""
    found = component.get(name) if isinstance(component, Mapping) else None
    if isinstance(found, Sequence) and not isinstance(found, str) and len(found) == 2:
        return found[0], found[1] if isinstance(found[1], str) else ""
    return None


def column(tree: Tree) -> Iterator[Found]:
    """Voltage and current, where a component of their own controls the beam."""
    for name, component in (tree.get(_SETTINGS) or {}).items():
        if "beam" not in name.lower() or _pair(component, "dwellTime") is not None:
            continue
        for field, attribute in (("acceleration_voltage", "accelVoltage"), ("probe_current", "probeCurrent")):
            if (pair := _pair(component, attribute)) is not None:
                yield Found(f"beam.{field}", pair[0], f"{_SETTINGS}/{name}/{attribute}", pair[0], pair[1])


def stage(tree: Tree) -> Iterator[Found]:
    """Position of the sample's stage, where it is in metres."""
    for name, component in (tree.get(_SETTINGS) or {}).items():
        pair = _pair(component, "position")
        if "stage" not in name.lower() or pair is None or pair[1] != "m" or not isinstance(pair[0], Mapping):
            continue
        for axis in "xyz":
            if axis in pair[0]:
                yield Found(f"stage.{axis}", pair[0][axis], f"{_SETTINGS}/{name}/position/{axis}", pair[0][axis], "m")
        return


def exposure(tree: Tree) -> Iterator[Found]:
    """Exposure of the camera that made the picture: the component's whose exposure is the integration time."""
    integrated = float(tree["IntegrationTime"])
    for name, component in (tree.get(_SETTINGS) or {}).items():
        pair = _pair(component, "exposureTime")
        if pair is not None and pair[1] == "s" and math.isclose(float(pair[0]), integrated, rel_tol=1e-3):
            yield Found("camera.exposure", pair[0], f"{_SETTINGS}/{name}/exposureTime", pair[0], pair[1])
            return
