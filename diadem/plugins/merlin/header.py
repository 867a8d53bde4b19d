"""The text before each frame: fields between commas, 384 bytes for one chip, 768 for four.

Meaning and units of the fields: "MIB file format" of the Merlin manual (Quantum Detectors), checked against the two
public programs that read it field by field, ``ePSIC-DLS/mib_props`` (``mib_header_MQ1.h``) and
``areaDetector/ADMerlin`` (``mpxConnection.cpp``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: Names of the fields before the thresholds.
_NAMES = (
    "Header ID", "Acquisition Sequence Number", "Data Offset", "Number of Chips", "Pixel Dimension X",
    "Pixel Dimension Y", "Pixel Depth", "Sensor Layout", "Chip Select", "Time Stamp", "Acquisition Shutter Time",
    "Counter", "Colour Mode", "Gain Mode",
)  # fmt: skip
_THRESHOLDS = 8
#: Names of the fields after ``MQ1A``, which older programs do not write.
_EXTENSION = ("Time Stamp Extended", "Acquisition Shutter Time (ns)", "Counter Depth")
#: A chip's digital-to-analogue converters: the format's name and 27 numbers.
_DAC = 28
#: Bytes of the longest header that is believed; four chips need 768.
LONGEST = 16384
#: Bits of a pixel as a packed file has it, by the depth of the counter; LiberTEM, `mib.py`.
_BITS_OF_RAW = {"1": 1, "6": 8, "12": 16, "24": 32}


@dataclass(frozen=True, slots=True)
class Header:
    """One frame's header.

    Attributes
    ----------
    tree : dict
        Fields by name, as texts.
    length : int
        Bytes of the header.
    step : int
        Bytes from the beginning of this frame to that of the next; 0 where the header does not tell.
    """

    tree: dict[str, object]
    length: int
    step: int


def parse(data: bytes) -> Header | None:
    """Read a header from the beginning of a frame; None where there is none.

    Parameters
    ----------
    data : bytes
        The beginning of the frame, `LONGEST` bytes or what there is.
    """
    if not data.startswith(b"MQ1,"):
        return None
    parts = data[:LONGEST].decode("latin-1").split(",")
    if len(parts) <= len(_NAMES) or not _is_count(parts[2]) or int(parts[2]) > LONGEST:
        return None
    length = int(parts[2])
    parts = [part.strip(" \0\r\n\t") for part in data[:length].decode("latin-1").split(",")]
    if len(parts) <= len(_NAMES):
        return None
    tree: dict[str, object] = dict(zip(_NAMES, parts, strict=False))
    rest = parts[len(_NAMES) :]
    tree["Threshold (keV)"] = rest[:_THRESHOLDS]
    if "MQ1A" in rest:
        place = rest.index("MQ1A")
        tree["Header Extension ID"] = "MQ1A"
        tree |= zip(_EXTENSION, rest[place + 1 :], strict=False)
        rest = rest[:place]
    tree["DACs"] = [rest[start : start + _DAC] for start in range(_THRESHOLDS, len(rest), _DAC) if any(rest[start:])]
    return Header(tree, length, _step(parts, tree, length))


def _is_count(text: str) -> bool:
    """Whether a text is a number of not too many digits."""
    return text.isdecimal() and len(text) < 10


def _step(parts: Sequence[str], tree: dict[str, object], length: int) -> int:
    """Bytes from one header to the next."""
    columns, rows, kind = parts[4], parts[5], parts[6]
    if not (_is_count(columns) and _is_count(rows) and _is_count(kind[1:])):
        return 0
    bits = int(kind[1:]) if kind.startswith("U") else 0
    if kind.startswith("R") and (depth := str(tree.get("Counter Depth", ""))) in _BITS_OF_RAW:
        bits = _BITS_OF_RAW[depth]
    pixels = int(columns) * int(rows) * bits
    return length + pixels // 8 if pixels and pixels % 8 == 0 else 0
