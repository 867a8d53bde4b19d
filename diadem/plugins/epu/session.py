"""What EPU's document of a session states: its start and end, the sample, and how its images are to be taken."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from diadem.hooks.fields import Derived, Found, Rule, Table, Tree, look_up
from diadem.plugins.epu.blocks import WRITER
from diadem.plugins.epu.tables import moment, positive

_SAMPLE = "Samples/_items/SampleXml"
_VERSION = re.compile(r"Applications\.Epu\S*, Version=([\d.]+)")
#: The purpose whose settings are those of the images; others are of finding and focusing.
_IMAGES = "Acquisition"


def _sample(tree: Tree) -> tuple[str, Any]:
    """Path and tree of the one sample; a list of several has none that is the session's."""
    found = look_up(tree, _SAMPLE)
    present = [one for one in found if one] if isinstance(found, list) else [found]
    if len(present) != 1 or not isinstance(present[0], Mapping):
        return "", {}
    return (f"{_SAMPLE}/{found.index(present[0])}" if isinstance(found, list) else _SAMPLE), present[0]


def _times(tree: Tree) -> Iterator[Found]:
    """Start and end: of the sample with the offset, of the session in UTC."""
    place, sample = _sample(tree)
    for name, field in (("StartDateTime", "time.acquired_start"), ("EndDateTime", "time.acquired_end")):
        known = [(f"{place}/{name}", sample.get(name)), (name, tree.get(name))]
        key, raw = next(((key, raw) for key, raw in known if raw), ("", None))
        yield from moment(key, raw, field)


def _program(tree: Tree) -> Iterator[Found]:
    raw = str(tree.get(WRITER))
    if match := _VERSION.match(raw):
        yield Found("instrument.software", f"EPU {match[1]}", WRITER, raw, status="derived")
    yield Found("instrument.kind", "tem", WRITER, raw, status="derived")


def _settings(tree: Tree) -> Iterator[Found]:
    """Spot and exposure with which images are taken; the magnification is a place in the microscope's list: 30."""
    place, sample = _sample(tree)
    pairs = look_up(sample, "MicroscopeSettings/KeyValuePairs") or {}
    (listed,) = pairs.values()
    for number, pair in enumerate(listed if isinstance(listed, list) else [listed]):
        if pair.get("key") != _IMAGES:
            continue
        for field, key, unit in (
            ("beam.spot_index", "Optics/SpotIndex", "1"),
            ("camera.exposure", "Acquisition/camera/ExposureTime", "s"),
        ):
            raw = look_up(pair, f"value/{key}")
            if raw is not None and (value := positive(raw)):
                yield Found(field, value, f"{place}/MicroscopeSettings/{number}/value/{key}", raw, unit)


TABLE: Table = (
    Derived("times", _times, cite="the offset stands in the text"),
    Derived("program", _program, cite="the document's assembly; EPU drives transmission microscopes alone"),
    Derived("settings", _settings, cite="as in the document of an image"),
    Rule("instrument.model", "MicroscopeName"),
    Rule("sample.name", "AutoloaderDescription"),
)
