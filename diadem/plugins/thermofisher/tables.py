"""What tags of Thermo Fisher's say together: the start, the kind of microscope, the size of a pixel."""

from __future__ import annotations

import re
from collections.abc import Iterator

from diadem.hooks.fields import Found, Tree, look_up
from diadem.hooks.times import moments
from diadem.plugins.thermofisher import settings
from diadem.terms.dates import exif, iso

_TAGS = ("FEI_HELIOS", "FEI_TITAN", "FEI_SFEG")
#: Transmission microscopes by the names that FEI and Thermo Fisher sell them under.
_TRANSMISSION = re.compile(
    r"\b(tecnai|titan|talos|themis|spectra|osiris|metrios|krios|glacios|arctica|tundra|halo|cm\s?\d{2,3})",
    re.IGNORECASE,
)


def _transmission(tree: Tree) -> tuple[str, str] | None:
    """The name of a transmission microscope and its key; None for others."""
    for tag in _TAGS:
        for key in (f"{tag}/Metadata/Instrument/InstrumentClass", f"{tag}/Root/Microscope/Value"):
            name = look_up(tree, key)
            if isinstance(name, str) and _TRANSMISSION.search(name):
                return name, key
    return None


def is_transmission(tree: Tree) -> bool:
    """Whether the instrument is a transmission microscope."""
    return _transmission(tree) is not None


def kind(tree: Tree) -> Iterator[Found]:
    """A transmission microscope by its name."""
    named = _transmission(tree)
    if named is not None:
        yield Found("instrument.kind", "tem", named[1], named[0], status="derived")


def acquired(tree: Tree) -> Iterator[Found]:
    """Start of the acquisition: the XML's where it has an offset, else the settings', else the XML's local time."""
    stamps = [
        (key, raw, moment)
        for tag in _TAGS
        for name in ("AcquisitionStartDatetime", "AcquisitionDatetime")
        if (raw := look_up(tree, key := f"{tag}/Metadata/Acquisition/{name}")) and (moment := iso(raw))
    ]
    for key, raw, moment in stamps:
        if moment.tzinfo is not None:
            yield from moments("time.acquired_start", key, raw, local=moment)
    local = next((moment.replace(tzinfo=None) for _, _, moment in stamps), None) or exif(tree.get("DateTime"))
    yield from settings.time(tree, local)
    for key, raw, moment in stamps:
        if moment.tzinfo is None:
            yield from moments("time.acquired_start", key, raw, local=moment)


def resolution(tree: Tree) -> Iterator[Found]:
    """Pixel size of a transmission image from the tags that mirror TIFF's resolution."""
    mode = look_up(tree, "FEI_HELIOS/Root/Mode/Value")
    lengths = {2: 0.0254, 3: 0.01}
    length = lengths.get(tree.get("ResolutionUnit (65452)", 0))
    if length is None or not isinstance(mode, str) or "diffraction" in mode.lower():
        return
    for direction, name in (("x", "XResolution (65450)"), ("y", "YResolution (65451)")):
        if tree.get(name):
            key = f"{name} + ResolutionUnit (65452)"
            yield Found(f"image.pixel_size_{direction}", length / tree[name], key, tree[name], "m", "derived")
