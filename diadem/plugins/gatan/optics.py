"""What a microscope's numbers in DigitalMicrograph mean, which depends on its mode.

`Indicated Magnification` is the number that the microscope shows: a magnification in imaging and scanning, the camera
length in millimetres in diffraction. `STEM Camera Length` holds in scanning alone; elsewhere it is what was left.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from diadem.hooks.fields import Found, Tree, look_up

_INFO = "Microscope Info"
#: Imaging modes in which the number shown is a camera length, besides those with DIFF in their name.
_DIFFRACTION = frozenset({"LAD", "SAD", "NBD", "CBD", "D"})
_LENGTH_UNITS = frozenset({"nm", "µm", "μm", "um", "mm", "m", "pm", "Å", "A"})
#: Millimetres below which a camera length is none of a real microscope, but one in another unit or of no meaning.
_SHORTEST = 10.0
#: Volts below which a transmission microscope's voltage is in another unit.
_LOWEST = 1000.0
_FORMATTED_VOLTAGE = re.compile(r"([\d.]+)\s*(k?V)")
_FORMATTED = re.compile(r"[\d.,]+\s*([kM]?x|[mc]?m)\Z")


class Mode:
    """How the microscope worked, as far as its tags say.

    Parameters
    ----------
    tags : object
        The image's tags.
    """

    def __init__(self, tags: Any) -> None:
        self.illumination = self._text(tags, "Illumination Mode")
        self.imaging = self._text(tags, "Imaging Mode")
        self.operation = self._text(tags, "Operation Mode")

    @staticmethod
    def _text(tags: Any, key: str) -> str:
        found = look_up(tags, f"{_INFO}/{key}")
        return found.strip() if isinstance(found, str) else ""

    @property
    def sem(self) -> bool:
        """Whether it is a scanning electron microscope."""
        return self.illumination.upper() == "SEM"

    @property
    def scanning(self) -> bool:
        """Whether the beam is scanned (STEM, SEM)."""
        if self.illumination:
            return self.sem or "STEM" in self.illumination.upper()
        return "SCAN" in self.operation.upper() or "STEM" in self.operation.upper()

    @property
    def diffraction(self) -> bool:
        """Whether the screen shows a diffraction pattern and the beam stands still."""
        modes = (self.imaging.upper(), self.operation.upper())
        return not self.scanning and any("DIFF" in mode or mode in _DIFFRACTION for mode in modes)

    @property
    def known(self) -> bool:
        """Whether there is any word on it."""
        return bool(self.illumination or self.imaging or self.operation)


def magnification(base: str, tree: Tree) -> Iterator[Found]:
    """Magnification, or camera length, by what the number shown means.

    Parameters
    ----------
    base : str
        Path of the image's tags in the tree.
    tree : mapping
        One image of ``ImageList``.

    Yields
    ------
    Found
        Nothing where neither a mode, nor the number's own unit, nor the unit of the image says what the number means.
    """
    tags = look_up(tree, base)
    mode = Mode(tags)
    key = f"{_INFO}/Indicated Magnification"
    shown = _number(look_up(tags, key))
    meaning = _meaning(mode, tags, tree)
    if shown is not None and meaning == "magnification":
        yield Found("optics.magnification", shown, f"{base}/{key}", shown)
    if shown is not None and meaning == "camera length" and shown >= _SHORTEST:
        yield Found("optics.camera_length", shown, f"{base}/{key}", shown, "mm")
    key = f"{_INFO}/STEM Camera Length"
    length = _number(look_up(tags, key))
    # some microscopes report what they show under both names
    if length is not None and length >= _SHORTEST and length != shown and mode.scanning and not mode.sem:
        yield Found("optics.camera_length", length, f"{base}/{key}", length, "mm")


def _meaning(mode: Mode, tags: Any, tree: Tree) -> str:
    """``magnification``, ``camera length`` or "" of the number shown."""
    if mode.known:
        return "camera length" if mode.diffraction else "magnification"
    formatted = look_up(tags, f"{_INFO}/Formatted Indicated Mag")
    match = _FORMATTED.match(formatted.strip()) if isinstance(formatted, str) else None
    if match is not None:
        return "magnification" if match[1].endswith("x") else "camera length"
    unit = look_up(tree, "ImageData/Calibrations/Dimension/TagGroup0/Units")
    return "magnification" if unit in _LENGTH_UNITS else ""


def voltage(base: str, tree: Tree) -> Iterator[Found]:
    """Acceleration voltage in volts, checked against the text with a unit that stands beside it in newer files."""
    tags = look_up(tree, base)
    key = f"{_INFO}/Voltage"
    volts = _number(look_up(tags, key))
    formatted = look_up(tags, f"{_INFO}/Formatted Voltage")
    match = _FORMATTED_VOLTAGE.match(formatted.strip()) if isinstance(formatted, str) else None
    written = float(match[1]) * (1e3 if match[2] == "kV" else 1.0) if match else 0.0
    if volts is None:
        return
    if written and abs(volts - written) > 0.05 * written:
        yield Found("beam.acceleration_voltage", written, f"{base}/{_INFO}/Formatted Voltage", formatted, "V")
    elif written or volts >= _LOWEST or Mode(tags).sem:
        yield Found("beam.acceleration_voltage", volts, f"{base}/{key}", volts, "V")


def modes(base: str, tree: Tree) -> Iterator[Found]:
    """Mode of the beam, kind of instrument and technique."""
    tags = look_up(tree, base)
    mode = Mode(tags)
    place = f"{base}/{_INFO}/"
    for key, said in (("Illumination Mode", mode.illumination), ("Operation Mode", mode.operation)):
        if said:
            yield Found("beam.mode", said, place + key, said)
            break
    if mode.illumination:
        kind = "sem" if mode.sem else "tem"
        yield Found("instrument.kind", kind, f"{place}Illumination Mode", mode.illumination, status="derived")
    yield from _technique(base, tags, mode)


#: `Meta Data/Signal` to the record's word.
_SIGNALS = {"EELS": "EELS", "X-ray": "EDS", "CL": "CL"}


def _technique(base: str, tags: Any, mode: Mode) -> Iterator[Found]:
    """What was measured: the signal, else the mode."""
    signal = look_up(tags, "Meta Data/Signal")
    if signal in _SIGNALS:
        yield Found("signal.technique", _SIGNALS[signal], f"{base}/Meta Data/Signal", signal, status="derived")
        return
    place, said = f"{base}/{_INFO}/Illumination Mode", mode.illumination
    if not said:
        return
    if mode.scanning:
        yield Found("signal.technique", "SEM" if mode.sem else "STEM", place, said, status="derived")
    elif mode.diffraction:
        yield Found("signal.technique", "diffraction", f"{base}/{_INFO}/Imaging Mode", mode.imaging, status="derived")
    elif "TEM" in said.upper():
        yield Found("signal.technique", "TEM", place, said, status="derived")


def _number(value: Any) -> float | None:
    """A number that is not zero, or None."""
    return float(value) if isinstance(value, (int, float)) and value else None
