"""EMPAD scans opened: an XML document, and frames of 128 x 128 numbers in the raw file that it names.

Behind each frame are two rows that are none of it. Axes are the reader's.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import PurePosixPath
from typing import Any, Final

from diadem.errors import ReaderError
from diadem.hooks import times
from diadem.hooks.fields import Block, Found, Tree, look_up
from diadem.hooks.formats import CutShort, Files, Opened, Signal, laid_out, pieces
from diadem.hooks.text import xml
from diadem.model.layout import ArrayLayout, steps
from diadem.terms.dates import c_time, from_epoch, offset_of

#: Bytes of a document; those seen have 4 to 6 thousand.
_MOST_BYTES: Final = 4 << 20
_ROW: Final = 128 * 4
#: How long after its last frame a document is written, at most.
_WRITTEN_WITHIN: Final = dt.timedelta(minutes=10)


def open(files: Files) -> Opened:  # noqa: A001 - what it does
    """Open a scan. Its block is the whole document, by the generation of the detector."""
    data = files[files.entry].read_at(0, _MOST_BYTES + 1)
    name, tree = xml(data) if len(data) <= _MOST_BYTES else ("", None)
    if name != "root" or not isinstance(tree, Mapping):
        raise ReaderError("it is not an EMPAD document", where=files.entry)
    second = str(look_up(tree, "sensor/type")).startswith("EMPAD2") or "rawfile" in tree
    kind = "empad2-xml" if second else "empad-xml" if "raw_file" in tree else ""
    return Opened(_signals(files, tree), [Block(kind, tree)] if kind else [])


def _signals(files: Files, tree: Tree) -> Iterator[Signal]:
    """Frames of a scan or a series in a raw file, which is one of the dataset: a document may name any."""
    named = str(look_up(tree, "raw_file/@filename") or "")
    if not named:
        raise ReaderError("no reader knows the raw files of the detector's second generation", where=files.entry)
    raw = str(PurePosixPath(files.entry).parent / named)
    missing = ReaderError(f"the data file '{named}' is not beside it", where=files.entry)

    def nowhere(number: int) -> Any:  # noqa: ARG001 - no frame is there
        raise missing

    if raw not in files and len(files) > 1:
        raise missing
    for one in files.read({raw: []}):
        shape = tuple(int(axis["size"]) for axis in one["axes"])
        if raw not in files:  # what the document says holds all the same
            yield Signal.from_reader({**one, "data": pieces(nowhere, shape, "<f4")})
            continue
        array = ArrayLayout(raw, 0, "<f4", shape, (*steps(shape[:-2], 130 * _ROW), _ROW, 4))
        if files[raw].size < (needed := prod(shape[:-2]) * 130 * _ROW):
            raise CutShort(raw, needed, files[raw].size)
        yield from laid_out([one], [array])


# -- when it was taken -------------------------------------------------------------------------------------------------


def _writings(tree: Tree) -> tuple[dt.datetime | None, dt.datetime | None, str]:
    """Local time, instant, and what stands there."""
    stamp = tree.get("timestamp")
    if not isinstance(stamp, Mapping):
        return None, None, ""
    epoch, local = stamp.get("@timestamp"), stamp.get("@isoformat")
    instant = from_epoch(float(epoch)) if epoch else None
    return dt.datetime.fromisoformat(str(local)) if local else None, instant, f"{local}, {epoch}"


def stamp(tree: Tree) -> Iterator[Found]:
    """The one time of a document of the first generation: local, and as seconds since 1970."""
    local, instant, raw = _writings(tree)
    key = "timestamp/@isoformat + timestamp/@timestamp"
    yield from times.moments("time.acquired_start", key, raw, local=local, instant=instant)


def acquisition(tree: Tree) -> Iterator[Found]:
    """Start and end of a scan of the second generation, and the offset of its clock.

    The document's own stamp gives the offset, by the difference of its two writings. Some programs write UTC as if it
    were local time; then the end of the scan is earlier by just this offset.
    """
    start, end = (c_time(str(look_up(tree, f"acquisition/{key}"))) for key in ("start_time", "end_time"))
    written, instant, _ = _writings(tree)
    apart = None if written is None or instant is None else offset_of(written, instant)
    if start is None or end is None:
        yield from stamp(tree)
        return
    # how long after the scan, by the same clock or by one that shows UTC
    later = None if written is None or apart is None else (written - end, written - end + apart)
    fits = later is not None and any(dt.timedelta(0) <= one <= _WRITTEN_WITHIN for one in later)
    for field, key, moment in (
        ("time.acquired_start", "acquisition/start_time", start),
        ("time.acquired_end", "acquisition/end_time", end),
    ):
        raw = look_up(tree, key)
        exact = (moment - apart).replace(tzinfo=dt.UTC) if fits and apart is not None else None
        yield from times.moments(field, key, raw, local=moment, instant=exact)
