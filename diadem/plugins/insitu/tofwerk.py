"""Tofwerk's TofDAQ files (mass spectra of an ion beam): log, parameters of the beam, settings of the acquisition."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any

from diadem.hooks.fields import Block, Found, Tree, look_up
from diadem.hooks.times import moments
from diadem.terms.dates import clock, from_filetime, offset_of

_LOG = "AcquisitionLog/Log"
_ENTRIES = 1000
_SETTINGS = "Configuration File Contents"
_CREATED = "HDF5 File Creation Time"
_ZERO = "TimingData/AcquisitionTimeZero"


def read(path: str, files: Sequence[str]) -> Iterator[Block]:  # noqa: ARG001
    """Attributes of the root, of the ion beam and of the timing, and the log.

    Parameters
    ----------
    path : str
        A TofDAQ file.
    files : sequence of str
        Not needed.
    """
    import h5py

    with h5py.File(path, "r") as file:
        if "TofDAQ Version" not in file.attrs:
            return
        root = _attributes(file)
        settings = str(root.pop(_SETTINGS, ""))
        tree = {**root, **{name: _attributes(file[name]) for name in ("FIBParams", "TimingData") if name in file}}
        tree["AcquisitionLog"] = {"Log": list(_log(file))}
    yield Block("tofdaq-file", tree, settings.encode(), "text/plain", place="root")


def _attributes(item: Any) -> dict[str, Any]:
    """Attributes of a group: texts, and numbers out of lists of one."""
    return {name: _plain(value) for name, value in item.attrs.items()}


def _plain(value: Any) -> Any:
    value = value.item() if getattr(value, "size", 0) == 1 else value
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _log(file: Any) -> Iterator[dict[str, Any]]:
    """Entries of the log: FILETIME, the same as text with the offset, what happened."""
    import h5py

    log = file.get(_LOG)
    if not isinstance(log, h5py.Dataset) or not log.dtype.names:
        return
    for row in log[:_ENTRIES]:
        yield {name: _plain(row[name]) for name in log.dtype.names}


def times(tree: Tree) -> Iterator[Found]:
    """Start and end by the log; without one the local time of the file, and what it was in universal time."""
    entries = look_up(tree, _LOG) or []
    for number, entry in enumerate(entries):
        text = str(entry.get("logtext", "")).lower()
        field = "time.acquired_start" if "started" in text else "time.acquired_end" if "end of" in text else ""
        if field and "acquisition" in text:
            key = f"{_LOG}/{number}/timestring"
            yield from moments(field, key, entry["timestring"], local=dt.datetime.fromisoformat(entry["timestring"]))
    if not entries:
        yield from _creation(tree)


def _creation(tree: Tree) -> Iterator[Found]:
    date, _, hour = str(tree[_CREATED]).partition(" ")
    day, month, year = (int(part) for part in date.split("."))
    time = clock(hour)
    if time is not None:
        local = dt.datetime.combine(dt.date(year, month, day), time)
        instant = from_filetime(int(look_up(tree, _ZERO) or 0))
        agrees = instant is not None and offset_of(local, instant) is not None
        yield from moments("time.acquired_start", _CREATED, tree[_CREATED], local=local, instant=instant if agrees else None)  # fmt: skip # noqa: E501


def software(tree: Tree) -> Iterator[Found]:
    version = tree["TofDAQ Version"]
    yield Found("instrument.software", f"TofDAQ {float(version):.7g}", "TofDAQ Version", version)
