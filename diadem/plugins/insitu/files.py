"""Logs of holders and of mass spectrometers opened: RosettaSciIO reads the numbers, the metadata are cut out here."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from diadem.hooks.fields import Block, Found, Tree, look_up
from diadem.hooks.formats import Files, Opened
from diadem.hooks.hdf5 import attributes, is_array, plain, shows
from diadem.hooks.times import moments
from diadem.terms.dates import clock, from_filetime, offset_of

# -- DENSsolutions' DigiHeater: three lines of header, then a table of temperatures ----------------------------------

_FIRST = re.compile(r"(\d\d)/(\d\d)/'(\d\d) (\d\d:\d\d)\t(Digiheater \S+)\Z")
#: Lines that are looked at, empty ones before the header among them, and characters in a line.
_LINES, _LONGEST = 8, 1000


def open_dens(files: Files) -> Opened:
    """Open a log of a heating holder: date, version, and the calibration as pairs of ``name = value``."""
    text = files[files.entry].read_at(0, _LINES * _LONGEST).decode("latin-1")
    first, *others = [line[:_LONGEST] for line in text.splitlines()[:_LINES] if line] or [""]
    if (match := _FIRST.match(first)) is None:
        return Opened(files.signals())
    pairs = (part.partition("=") for line in others[:2] for part in line.split("\t"))
    calibration = {name.strip(): value.strip() for name, equals, value in pairs if equals}
    tree = {"Date": first.partition("\t")[0], "Version": match[5], **calibration}
    return Opened(files.signals(), [Block("digiheater-header", tree, place="header")])


def heater_time(tree: Tree) -> Iterator[Found]:
    """The date has an apostrophe before the year, as no language's dates have: the order is the program's own."""
    match = _FIRST.match(f"{tree['Date']}\t{tree['Version']}")
    hour = clock(match[4]) if match else None
    if match and hour:
        day = dt.date(2000 + int(match[3]), int(match[2]), int(match[1]))
        yield from moments("time.acquired_start", "Date", tree["Date"], local=dt.datetime.combine(day, hour))


# -- DENSsolutions' Impulse: the log of an experiment, `<name>_Metadata.log`, beside its table -----------------------

_ENDING = "_metadata.log"
_LARGEST = 1 << 20
_NOTES = "Live notes"


def open_impulse(files: Files) -> Opened:
    """Open a table of Impulse, and the log beside it."""
    return Opened(files.signals(), _experiment(files))


def _experiment(files: Files) -> Iterator[Block]:
    for name in files:
        if name.lower().endswith(_ENDING):
            tree = experiment_log(files[name].read_at(0, _LARGEST).decode("utf-8-sig", "replace"))
            if "Experiment date" in tree:
                yield Block("impulse-log", tree, place=PurePosixPath(name).name, file=name)


def experiment_log(text: str) -> dict[str, str]:
    """Name and value in each line of a log, then the notes that were taken, one text of several lines."""
    found: dict[str, str] = {}
    lines = text.splitlines()
    for number, line in enumerate(lines):
        name, comma, value = line.partition(",")
        if name == _NOTES:
            found[_NOTES] = "\n".join([value.strip(), *lines[number + 1 :]])
            break
        if comma:
            found[name.strip()] = value.strip().strip('"')
    return found


# -- Protochips: tables whose second column has notes, `User agreeing to terms = eric` -------------------------------

_HEAD = 64 << 10
_NOTE = re.compile(r"\s*\d+\s*,\s*([^=,]+?) = ([^,]*?)\s*,")


def open_protochips(files: Files) -> Opened:
    tree = notes(files[files.entry].read_at(0, _HEAD).decode("latin-1"))
    return Opened(files.signals(), [Block("protochips-notes", tree, place="Notes")] if tree else [])


def notes(text: str) -> dict[str, str]:
    """Names and values of the notes in the first lines; the first of a name counts."""
    found: dict[str, str] = {}
    lines = text.splitlines()
    for line in lines[1:] if lines and lines[0].replace(" ", "").startswith("Time,Notes,") else ():
        if match := _NOTE.match(line):
            found.setdefault(match[1], match[2])
    return found


# -- Tofwerk's TofDAQ: mass spectra of an ion beam -------------------------------------------------------------------

_LOG = "AcquisitionLog/Log"
_ENTRIES = 1000
_SETTINGS = "Configuration File Contents"
_CREATED = "HDF5 File Creation Time"
_ZERO = "TimingData/AcquisitionTimeZero"


def is_tofwerk(path: str) -> bool:
    """TofDAQ names its version in an attribute of the root."""
    return shows(path, lambda root: "TofDAQ Version" in root.attrs or "FullSpectra" in root)


def open_tofwerk(files: Files) -> Opened:
    return Opened(files.signals(), _tofdaq(files))


def _tofdaq(files: Files) -> Iterator[Block]:
    """Attributes of the root, the ion beam and the timing, and the log: FILETIME, the same as text, what happened."""
    import h5py

    with h5py.File(files.hdf5(), "r") as file:
        if "TofDAQ Version" not in file.attrs:
            return
        tree: dict[str, Any] = attributes(file)
        settings = str(tree.pop(_SETTINGS, ""))
        tree |= {name: attributes(file[name]) for name in ("FIBParams", "TimingData") if name in file}
        log = file.get(_LOG)
        names = log.dtype.names or () if is_array(log, "V") else ()
        rows = [{name: plain(row[name]) for name in names} for row in log[:_ENTRIES]] if names else []
        tree["AcquisitionLog"] = {"Log": rows}
    yield Block("tofdaq-file", tree, settings.encode(), "text/plain", place="root")


def tofdaq_times(tree: Tree) -> Iterator[Found]:
    """Start and end by the log; without one the local time of the file, and what it was in universal time."""
    entries = look_up(tree, _LOG) or []
    for number, entry in enumerate(entries):
        text = str(entry.get("logtext", "")).lower()
        field = "time.acquired_start" if "started" in text else "time.acquired_end" if "end of" in text else ""
        if field and "acquisition" in text:
            key = f"{_LOG}/{number}/timestring"
            yield from moments(field, key, entry["timestring"], local=dt.datetime.fromisoformat(entry["timestring"]))
    if entries:
        return
    date, _, hour = str(tree[_CREATED]).partition(" ")
    day, month, year = (int(part) for part in date.split("."))
    if (time := clock(hour)) is not None:
        local = dt.datetime.combine(dt.date(year, month, day), time)
        instant = from_filetime(int(look_up(tree, _ZERO) or 0))
        instant = instant if instant is not None and offset_of(local, instant) is not None else None
        yield from moments("time.acquired_start", _CREATED, tree[_CREATED], local=local, instant=instant)


def tofdaq_software(tree: Tree) -> Iterator[Found]:
    version = tree["TofDAQ Version"]
    yield Found("instrument.software", f"TofDAQ {float(version):.7g}", "TofDAQ Version", version)


# -- Balzers' and Pfeiffer's Quadstar, whose tree is the reader's ----------------------------------------------------


def quadstar_time(header: Tree) -> Iterator[Found]:
    """When the measurement was started: years count from 1900; no zone is stated."""
    parts = [int(header[name]) for name in ("year", "month", "day", "hour", "minute", "second")]
    local = dt.datetime(1900 + parts[0], *parts[1:])  # type: ignore[arg-type]  # noqa: DTZ001 - no zone is stated
    yield from moments("time.acquired_start", "year + hour", parts, local=local)
