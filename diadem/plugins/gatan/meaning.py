"""What DigitalMicrograph's tags mean where that is no data: the mode decides, dates that refuse to guess, texts.

`Indicated Magnification` is the number that the microscope shows: a magnification in imaging and scanning, the camera
length in millimetres in diffraction. `STEM Camera Length` holds in scanning alone; elsewhere it is what was left.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from typing import Any

from diadem.hooks.fields import Found, Tree, look_up
from diadem.hooks.times import moments
from diadem.terms.dates import c_time, decided, from_epoch, from_filetime, moments_of, offset_of

#: Where an image has its tags; where StackBuilder puts those of the images that it has stacked.
PLACES = ("ImageTags/source/Tags at creation", "ImageTags")

# -- the microscope's mode -----------------------------------------------------------------------------------------

_INFO = "Microscope Info"
#: Imaging modes in which the number shown is a camera length, besides those with DIFF in their name.
_DIFFRACTION = frozenset({"LAD", "SAD", "NBD", "CBD", "D"})
_LENGTH_UNITS = frozenset({"nm", "µm", "μm", "um", "mm", "m", "pm", "Å", "A"})
#: Millimetres below which a camera length is none of a real microscope, but one in another unit or of no meaning.
_SHORTEST = 10.0
#: Volts below which a transmission microscope's voltage is in another unit.
_LOWEST = 1000.0
_VOLTAGE = re.compile(r"([\d.]+)\s*(k?V)")
_MAGNIFICATION = re.compile(r"[\d.,]+\s*([kM]?x|[mc]?m)\Z")


def _mode(tags: Any, name: str) -> str:
    """A mode in capitals; "" where nothing is said."""
    said = look_up(tags, f"{_INFO}/{name} Mode")
    return said.strip().upper() if isinstance(said, str) else ""


def magnification(tree: Tree) -> Iterator[Found]:
    """Magnification, or camera length, by what the number shown means.

    Nothing where neither a mode, nor the number's own unit, nor the unit of the image says it.
    """
    for base in PLACES:
        tags = look_up(tree, base)
        modes = [_mode(tags, name) for name in ("Illumination", "Imaging", "Operation")]
        illumination, imaging, operation = modes
        scanning = "STEM" in (illumination or operation) or (not illumination and "SCAN" in operation)
        if any(modes):
            moves = scanning or illumination == "SEM"
            length = not moves and any("DIFF" in mode or mode in _DIFFRACTION for mode in (imaging, operation))
            known = True
        else:
            formatted = look_up(tags, f"{_INFO}/Formatted Indicated Mag")
            match = _MAGNIFICATION.match(formatted.strip()) if isinstance(formatted, str) else None
            length = match is not None and not match[1].endswith("x")
            unit = look_up(tree, "ImageData/Calibrations/Dimension/TagGroup0/Units")
            known = match is not None or unit in _LENGTH_UNITS
        key = f"{_INFO}/Indicated Magnification"
        shown = _nonzero(look_up(tags, key))
        if shown is not None and known and not length:
            yield Found("optics.magnification", shown, f"{base}/{key}", shown)
        elif shown is not None and known and shown >= _SHORTEST:
            yield Found("optics.camera_length", shown, f"{base}/{key}", shown, "mm")
        key = f"{_INFO}/STEM Camera Length"
        left = _nonzero(look_up(tags, key))
        # some microscopes report what they show under both names
        if scanning and left is not None and left >= _SHORTEST and left != shown:
            yield Found("optics.camera_length", left, f"{base}/{key}", left, "mm")


def voltage(tags: Tree) -> Iterator[Found]:
    """Acceleration voltage in volts, checked against the text with a unit that stands beside it in newer files."""
    key = f"{_INFO}/Voltage"
    volts = _nonzero(look_up(tags, key))
    formatted = look_up(tags, f"{_INFO}/Formatted Voltage")
    match = _VOLTAGE.match(formatted.strip()) if isinstance(formatted, str) else None
    written = float(match[1]) * (1e3 if match[2] == "kV" else 1.0) if match else 0.0
    if volts is None:
        return
    if written and abs(volts - written) > 0.05 * written:
        yield Found("beam.acceleration_voltage", written, f"{_INFO}/Formatted Voltage", formatted, "V")
    elif written or volts >= _LOWEST or _mode(tags, "Illumination") == "SEM":
        yield Found("beam.acceleration_voltage", volts, key, volts, "V")


def _nonzero(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and value else None


# -- values --------------------------------------------------------------------------------------------------------

#: Tags with an exposure, the preferred one first; their names end with the unit.
_EXPOSURES = (
    "DataBar/Exposure Time (s)",
    "Acquisition/Parameters/High Level/Exposure (s)",
    "Acquisition/Parameters/Detector/exposure (s)",
    "EELS/Acquisition/Exposure (s)",
    "CL/Acquisition/Exposure (s)",
    "Acquisition/Frame/Sequence/Exposure Time (ns)",
)
#: A sum of two exposures is longer than one of them by more than rounding.
_IN_TURNS = 1.02


def exposure(tags: Tree) -> Iterator[Found]:
    """Of two spectra that are taken in turns each has its own; the tags of the camera have the sum."""
    own = "EELS/Acquisition/Exposure (s)"
    key = next((key for key in _EXPOSURES if float(look_up(tags, key) or 0)), own)
    turn = look_up(tags, own)
    if turn and float(look_up(tags, key)) > _IN_TURNS * float(turn):
        key = own
    if raw := look_up(tags, key):
        yield Found("camera.exposure", float(raw), key, raw, key.rpartition("(")[2].rstrip(")"))


def emission(tags: Tree) -> Iterator[Found]:
    """Emission current; its micro sign is one of two characters, and another one on a PC with another code page."""
    for key, value in (look_up(tags, _INFO) or {}).items():
        if key.startswith("Emission Current (") and key.endswith("A)"):
            yield Found("beam.emission_current", value, f"{_INFO}/{key}", value, "uA")


def live_times(tags: Tree) -> Iterator[Found]:
    """Live and real time of one spectrum: in a spectrum image they are what was set last."""
    live, real = (look_up(tags, f"EDS/{key} time") for key in ("Live", "Real"))
    if look_up(tags, "EDS/Images") is None and 0 < float(live) <= 1.001 * float(real):
        yield Found("eds.live_time", live, "EDS/Live time", live, "s")
        yield Found("eds.real_time", real, "EDS/Real time", real, "s")


# -- when: local texts of the PC's language beside instants that need none -------------------------------------------

#: FILETIMEs of the moment that `Acquisition Date` and `Acquisition Time` tell; the second one in versions before 2.
_FILETIMES = ("DataBar/Acquisition Time (OS)", "DataBar/System Info")
#: Milliseconds since 1970 when the camera was told to begin.
_EPOCH = "Acquisition/Frame/Sequence/Acquisition Start Time (epoch)"
#: Groups with a date, a start and an end of their own.
_SPANS = ("SI", "EELS", "EDS", "CL")
#: Of spectra of a photomultiplier behind a grating that is turned.
_SERIAL = "CL/Acquisition/Acquisition begin"
_START, _END = "time.acquired_start", "time.acquired_end"
_DAY = dt.timedelta(days=1)


def acquired(tags: Tree) -> Iterator[Found]:
    """Start and end of an acquisition.

    Start and end of spectra; then the time of the data bar, which of spectra is that of their first frame, with the
    offset where an instant stands beside it. Of a date whose order of day and month nothing decides, only what the
    instant says.
    """
    instant, key, raw = _instant(tags)
    date, clock = (look_up(tags, f"DataBar/Acquisition {part}") for part in ("Date", "Time"))
    readings = moments_of(date, clock) if isinstance(date, str) and isinstance(clock, str) else []
    if (one := _decided(readings, tags, instant)) is not None:
        readings = [one]
    local = readings[0] if len(readings) == 1 else None
    yield from _span(tags, instant, local)
    if isinstance(begun := look_up(tags, _SERIAL), str):  # measured channel by channel: day and time in one text
        several = moments_of(*begun.strip().partition(" ")[::2])
        yield from moments(_START, _SERIAL, begun, local=_decided(several, tags, instant) or several)
    locator, text = "DataBar/Acquisition Date + DataBar/Acquisition Time", f"{date} {clock}"
    if local is not None and instant is not None:
        yield from moments(_START, f"{locator} + {key}", f"{text} + {raw}", local=local, instant=instant)
    elif instant is not None:
        yield from moments(_START, key, raw, instant=instant)
    else:
        yield from moments(_START, locator, text, local=readings)


def _instant(tags: Any) -> tuple[dt.datetime | None, str, Any]:
    """The moment in UTC, its tag and what stands there."""
    for key in _FILETIMES:
        raw = look_up(tags, key)
        if isinstance(raw, (int, float)) and (moment := from_filetime(int(raw))) is not None:
            return moment, key, raw
    raw = look_up(tags, _EPOCH)
    if isinstance(raw, (int, float)) and (moment := from_epoch(raw / 1e3)) is not None:
        return moment, _EPOCH, raw
    return None, "", None


def _decided(candidates: list[dt.datetime], tags: Any, near: dt.datetime | None) -> dt.datetime | None:
    """The one local time that can be, by an instant, else by the day that the scan generator notes in English."""
    local = decided(candidates, near)
    stamp = look_up(tags, "DigiScan/TimeStamp")
    noted = c_time(stamp) if local is None and isinstance(stamp, str) else None
    if noted is None:
        return local
    close = [candidate for candidate in candidates if abs(candidate - noted) < dt.timedelta(hours=6)]
    return close[0] if len(close) == 1 else None


def _span(tags: Any, instant: dt.datetime | None, local: dt.datetime | None) -> Iterator[Found]:
    """Start and end of a spectrum or spectrum image, of the first group that tells them."""
    for group in _SPANS:
        date, clock, end = (look_up(tags, f"{group}/Acquisition/{key}") for key in ("Date", "Start time", "End time"))
        if not isinstance(date, str) or not isinstance(clock, str):
            continue
        place, raw, readings = f"{group}/Acquisition/", f"{date} {clock}", moments_of(date, clock)
        # One PC has written this and the data bar: it is of the same day, by a clock of the same offset.
        near = [one for one in readings if local is not None and abs(one - local) < _DAY]
        start = _decided(near or readings, tags, instant)
        if start is None:
            yield from moments(_START, f"{place}Date + {place}Start time", raw, local=readings)
            continue
        apart = offset_of(local, instant) if local and instant and abs(start - local) <= _DAY else None
        yield from moments(_START, f"{place}Date + {place}Start time", raw, local=start, instant=_utc(start, apart))
        ends = moments_of(date, end) if isinstance(end, str) else []
        clocks = (dt.datetime.combine(start.date() + day, one.time()) for one in ends for day in (dt.timedelta(), _DAY))
        last = min((moment for moment in clocks if moment >= start), default=None)  # next day if need be
        if last is not None:
            keys = f"{place}Date + {place}End time"
            yield from moments(_END, keys, f"{date} {end}", local=last, instant=_utc(last, apart))
        return


def _utc(local: dt.datetime, apart: dt.timedelta | None) -> dt.datetime | None:
    return None if apart is None else (local - apart).replace(tzinfo=dt.UTC)


# -- the text that FEI's microscopes put into a tag ------------------------------------------------------------------
#
# Its lines end with U+2028; its form is as NexusLIMS reads it (`process_tecnai_microscope_info`):
#
#     Microscope Titan 300 kV D3094 SuperTwin
#     User ALICE
#     Gun FEG Extr volt 4400 V Gun Lens 3 Emission 145.00uA
#     Mode TEM uP SA Zoom Image Defocus (um) -0.283 Magn 185000x
#     Spot 2
#     Stage -259.807, 18.101, 7.060 um, 0.00, 0.11 deg

_TEXT = "Tecnai/Microscope Info"
_DIGITS = r"([-+]?\d+(?:\.\d+)?)"
#: Field, pattern, unit.
_LINES: tuple[tuple[str, re.Pattern[str], str], ...] = tuple(
    (field, re.compile(pattern, re.MULTILINE), unit)
    for field, pattern, unit in (
        ("person.operator", r"^User (\S.*)$", ""),
        ("beam.source_type", r"^Gun (\S.*?) Extr volt ", ""),
        ("beam.extraction_voltage", rf"^Gun .*\bExtr volt {_DIGITS} V\b", "V"),
        ("beam.emission_current", rf"^Gun .*\bEmission {_DIGITS} ?uA", "uA"),
        ("beam.spot_index", rf"^Spot {_DIGITS}\s*$", ""),
        ("optics.defocus", rf"^Mode .*\bDefocus \(um\) {_DIGITS}", "um"),
        ("optics.magnification", rf"^Mode .*\bMagn {_DIGITS} ?x", ""),
        ("optics.camera_length", rf"^Mode .*\bCL {_DIGITS} ?m\b", "m"),
    )
)
_STAGE = re.compile(
    rf"^Stage {_DIGITS}\D*, *{_DIGITS}\D*, *{_DIGITS} ?um, *{_DIGITS}\D*, *{_DIGITS} ?deg", re.MULTILINE
)
_AXES = (("stage.x", "um"), ("stage.y", "um"), ("stage.z", "um"), ("stage.alpha", "deg"), ("stage.beta", "deg"))
#: What the tags of DigitalMicrograph say of the same; they go before the text.
_INSTEAD = {
    "person.operator": ("Session Info/Operator", "Microscope Info/Operator"),
    "optics.magnification": ("Microscope Info/Indicated Magnification",),
    "optics.camera_length": ("Microscope Info/Indicated Magnification",),
    "beam.emission_current": ("Microscope Info/Emission Current (µA)",),
    **dict.fromkeys((field for field, _ in _AXES), ("Microscope Info/Stage Position",)),
}


def tecnai(tags: Tree) -> Iterator[Found]:
    """What the text states and no tag of DigitalMicrograph states."""
    text = look_up(tags, _TEXT)
    if not isinstance(text, str):
        return
    lines = text.replace("\u2028", "\n").replace("\r", "\n")
    stated = [(field, match[1], unit) for field, pattern, unit in _LINES if (match := pattern.search(lines))]
    if stage := _STAGE.search(lines):
        stated += [(field, digits, unit) for (field, unit), digits in zip(_AXES, stage.groups(), strict=True)]
    for field, value, unit in stated:
        if not any(look_up(tags, key) for key in _INSTEAD.get(field, ())):
            yield Found(field, value, _TEXT, value, unit)
