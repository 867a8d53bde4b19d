"""The text that FEI's microscopes put into ``Tecnai/Microscope Info``: lines that end with U+2028.

Its form is as NexusLIMS reads it (`process_tecnai_microscope_info`); units stand in the text itself::

    Microscope Titan 300 kV D3094 SuperTwin
    User ALICE
    Gun FEG Extr volt 4400 V Gun Lens 3 Emission 145.00uA
    Mode TEM uP SA Zoom Image Defocus (um) -0.283 Magn 185000x
    Spot 2
    Stage -259.807, 18.101, 7.060 um, 0.00, 0.11 deg
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from diadem.hooks.fields import Found, Tree, look_up

_KEY = "Tecnai/Microscope Info"
_NUMBER = r"([-+]?\d+(?:\.\d+)?)"
#: Field, pattern, unit.
_LINES: tuple[tuple[str, re.Pattern[str], str], ...] = tuple(
    (field, re.compile(pattern, re.MULTILINE), unit)
    for field, pattern, unit in (
        ("person.operator", r"^User (\S.*)$", ""),
        ("beam.source_type", r"^Gun (\S.*?) Extr volt ", ""),
        ("beam.extraction_voltage", rf"^Gun .*\bExtr volt {_NUMBER} V\b", "V"),
        ("beam.emission_current", rf"^Gun .*\bEmission {_NUMBER} ?uA", "uA"),
        ("beam.spot_index", rf"^Spot {_NUMBER}\s*$", ""),
        ("optics.defocus", rf"^Mode .*\bDefocus \(um\) {_NUMBER}", "um"),
        ("optics.magnification", rf"^Mode .*\bMagn {_NUMBER} ?x", ""),
        ("optics.camera_length", rf"^Mode .*\bCL {_NUMBER} ?m\b", "m"),
    )
)
_STAGE = re.compile(
    rf"^Stage {_NUMBER}\D*, *{_NUMBER}\D*, *{_NUMBER} ?um, *{_NUMBER}\D*, *{_NUMBER} ?deg", re.MULTILINE
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


def described(base: str, tree: Tree) -> Iterator[Found]:
    """What the text states and no tag of DigitalMicrograph states.

    Parameters
    ----------
    base : str
        Path of the image's tags in the tree.
    tree : mapping
        One image of ``ImageList``.
    """
    tags = look_up(tree, base)
    written = look_up(tags, _KEY)
    if not isinstance(written, str):
        return
    lines = written.replace("\u2028", "\n").replace("\r", "\n")
    stated = [(field, match[1], unit) for field, pattern, unit in _LINES if (match := pattern.search(lines))]
    if stage := _STAGE.search(lines):
        stated += [(field, number, unit) for (field, unit), number in zip(_AXES, stage.groups(), strict=True)]
    for field, value, unit in stated:
        if not any(look_up(tags, key) for key in _INSTEAD.get(field, ())):
            yield Found(field, value, f"{base}/{_KEY}", value, unit)
