"""Elements in Bruker's XML, whose lists stand in containers of several kinds; and its dates."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

from diadem.hooks.fields import Found, Tree, look_up
from diadem.hooks.times import moments
from diadem.plugins.bruker.xml_tree import every
from diadem.terms.dates import clock
from diadem.terms.matter import symbols_among


def map_elements(tree: Tree) -> Iterator[Found]:
    """Elements that were mapped; older versions have one unnamed list, newer ones also those of points and lines."""
    containers = every(tree.get("TRTSpectrumDatabase"), "TRTContainerClass")
    lists = [
        listed
        for container in containers
        for listed in every(container.get("ChildClassInstances"), "TRTElementInformationList")
    ]
    for listed in sorted(lists, key=lambda listed: listed.get("Name") != "MapElements")[:1]:
        regions = look_up(listed, "TRTSpectrumRegionList/ChildClassInstances")
        yield from _elements(
            regions, "TRTSpectrumRegion", f"TRTSpectrumDatabase/TRTContainerClass/{listed.get('Name')}"
        )


def spectrum_elements(tree: Tree) -> Iterator[Found]:
    """Elements that were looked for."""
    key = "TRTSpectrum/TRTPSEElementList/ChildClassInstances"
    yield from _elements(look_up(tree, key), "TRTPSEElement", key)


def _elements(tree: Any, kind: str, key: str) -> Iterator[Found]:
    names = symbols_among(item.get("Name") for item in every(tree, kind))
    if names:
        yield Found("sample.elements", names, key, names)


def acquired(header: Tree) -> Iterator[Found]:
    """Day, month and year, whatever stands between them in other programs; hours and minutes without zeros."""
    date, hour = str(header["Date"]), str(header["Time"])
    day, month, year = (int(part) for part in date.split("."))
    time = clock(":".join(f"{int(part):02d}" for part in hour.split(":")))
    if time is not None:
        local = dt.datetime.combine(dt.date(year, month, day), time)
        yield from moments("time.acquired_start", "Date + Time", f"{date} {hour}", local=local)
