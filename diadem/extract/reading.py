"""One dataset read in the worker: probes, the HDF5 walk, the reader, and what comes of its signals."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from diadem.extract.assertions import Statement, clean, merge, pixel_sizes
from diadem.extract.axes import describe_axes, in_order, kind_of
from diadem.extract.blocks import Cut, cut, to_keep
from diadem.extract.extraction import issue, too_short
from diadem.extract.fault_text import fault_text
from diadem.extract.opening import LocalFiles, array_of, open_dataset
from diadem.extract.pictures import draw, packed
from diadem.extract.quality import ASSESS, examine
from diadem.extract.refusals import Walk, look_through
from diadem.hooks.formats import CutShort, Opened, Signal
from diadem.hooks.offers import ReaderOffer
from diadem.hooks.targets import target

#: Signals of one file that are described; more are counted.
MAX_SIGNALS = 256

#: What a job says of a reader.
_OFFERED = ("name", "open", "load", "describe", "options")

#: Told of kind and name of what runs now.
Tell = Callable[[str, str], None]


class Declined(Exception):
    """No probe recognised the file."""


def _silent(_kind: str, _name: str) -> None:
    """Tell nobody."""


def read_dataset(job: Mapping[str, Any], tell: Tell = _silent) -> dict[str, Any]:
    """Read one dataset.

    Parameters
    ----------
    job : mapping
        ``root``, ``entry``, ``files`` (paths, the primary one first), ``ids`` (path to file id), ``size``, ``preview``,
        ``issues`` (known already), ``sizes_only`` (whether only files that are cut short are asked for), and what
        plugins offer: ``offers`` (name, open, load, probe, describe, options, by), ``fields`` (name, formats, blocks,
        tables, by), ``previews`` (name, formats, draw, by), ``checks`` (name, formats, check, when, by). ``by`` is
        plugin and version.
    tell : callable
        Told of kind (``reader``, ``fields``, ``previews``, ``checks``) and name of what runs now.

    Returns
    -------
    dict
        ``format, evidence, signals, fields, extensions, issues, blocks, mode, reader, preview`` (pixels or null),
        ``preview_by``, ``preview_failed``; ``outcomes`` of each rule where the job says ``explain``.
    """
    path = str(Path(job["root"]) / job["entry"])
    result: dict[str, Any] = {"format": "", "evidence": [], "signals": [], "fields": {}, "issues": [], "mode": "none"}
    if any((Path(job["root"]) / name).is_symlink() for name in job["files"]):
        result["issues"].append(issue("symlink", "a file of the dataset is a symbolic link; it was not read"))
        return result
    walked = Walk(issues=result["issues"])
    names = [offer["name"] for offer in job["offers"]]
    try:
        look_through(walked, Path(job["root"]), job["entry"], job["files"], names, job.get("ids", {}))
    except Exception as error:  # the HDF5 library's own errors have no common class
        walked.refused = True
        result["issues"].append(_failure(error, names[0]))
    if walked.refused:
        result["format"] = names[0]
        return result
    if walked.missing:
        message = f"the data file '{walked.missing[0]}' is not beside '{job['entry']}'"
        advice = "Archive the files of one dataset together."
        result["issues"].append(issue("missing-part", message, file="f1", next=advice))
    offer = _choose(path, job["offers"], result)
    if offer is None:
        return result
    result["format"] = offer["name"]
    lazy_only = walked.huge or any(found["code"] == "truncated" for found in result["issues"])
    format_ = ReaderOffer(suffixes=(), **{key: offer[key] for key in _OFFERED if key in offer})
    with LocalFiles(Path(job["root"]), job["entry"], job["files"], format_, job["size"], lazy_only) as files:
        _read(files, format_, offer["by"], job, result, tell, incomplete=bool(walked.missing))
    tell("reader", offer["name"])  # what is left to do is nobody else's fault
    return result


def _read(
    files: LocalFiles,
    offer: ReaderOffer,
    by: Mapping[str, str],
    job: Mapping[str, Any],
    result: dict[str, Any],
    tell: Tell,
    *,
    incomplete: bool,
) -> None:
    """Blocks and signals of a dataset, and what comes of them."""
    path, paths = files.path(), [str(Path(job["root"]) / name) for name in files]
    checks = _meant(job, "checks", offer.name)
    looked_at = any(check.get("when") == ASSESS for check in checks)
    quick = job.get("quick", True) and not looked_at
    tell("reader", offer.name)
    try:
        opened = Opened() if incomplete else open_dataset(files, offer, quick=quick)
    except Exception as error:  # the format's own, or an import
        opened = Opened(_raises(error))
        if isinstance(error, CutShort):
            _note_short(error, job, result)
    if offer.open and files.entry in files and opened.size > (size := files[files.entry].size):
        _note_short(CutShort(files.entry, opened.size, size), job, result)
        files.lazy_only = True
    if job.get("sizes_only"):
        return
    blocks = cut(path, job, offer.name, tell, opened.blocks)
    for short in blocks.short:
        _note_short(short, job, result)
    result["issues"] += blocks.issues
    result["extensions"] = blocks.extensions
    tell("reader", offer.name)
    signals: list[Signal] = []
    try:
        signals += opened.signals
        for signal in signals if not quick else ():
            with suppress(Exception):  # axes and array are known without it
                _ = signal.reader and signal.reader()
        result["mode"] = files.mode
    except CutShort as short:
        _note_short(short, job, result)
    except Exception as error:  # readers raise anything; the dataset gets an issue, the archive goes on
        result["issues"].append(_failure(error, offer.name))
    else:
        if not incomplete:
            _require_signals(signals, offer, result)
    _describe(signals, offer, by, job, blocks, result)
    if job.get("preview") and signals:
        dictionaries = [signal.dictionary(array_of(signal, files, path)) for signal in signals]
        _preview(path, paths, dictionaries, job, result, tell)
    known = {**result, "issues": [*job.get("issues", ()), *result["issues"]]}
    arrays = {}
    if looked_at:
        described = zip(result["signals"], signals, strict=False)
        arrays = {one["id"]: array_of(signal, files, path) for one, signal in described}
    result["issues"] += examine(path, paths, known, checks, tell, arrays)


def _note_short(short: CutShort, job: Mapping[str, Any], result: dict[str, Any]) -> None:
    """Tell once of a file that it is shorter than it says, whoever has noticed it."""
    file = job.get("ids", {}).get(short.name, "f1")
    if not any(found["code"] == "truncated" and found.get("file") == file for found in result["issues"]):
        result["issues"].append(too_short(short.name, file, short.needed, short.size))


def _raises(error: Exception) -> Iterator[Signal]:
    """Signals that cannot be told."""
    yield from ()
    raise error


def _meant(job: Mapping[str, Any], kind: str, format_: str) -> list[Mapping[str, Any]]:
    """Offers of one kind that are for a format."""
    return [offer for offer in job.get(kind, ()) if {"*", format_} & set(offer["formats"])]


def _choose(path: str, offers: Sequence[Mapping[str, Any]], result: dict[str, Any]) -> Mapping[str, Any] | None:
    """The first offer whose probe accepts the file, or that has none."""
    for offer in offers:
        if not offer.get("probe"):
            return offer
        try:
            if target(offer["probe"])(path):
                result["evidence"].append("content")
                return offer
        except Exception as error:  # a probe that fails does not recognise the file
            logging.getLogger(__name__).debug("probe of %s: %r", offer["name"], error)
    return None


def _failure(error: Exception, reader: str) -> dict[str, Any]:
    """A reader's exception as an issue."""
    name = type(error).__name__
    if isinstance(error, ImportError):
        missing = getattr(error, "name", None) or str(error)
        message = f"the reader '{reader}' needs a package that is not installed: {missing}"
        return issue(
            "reader-missing", message, reader=reader, next=f"Install it: pip install {error.name}" if error.name else ""
        )
    code = "memory-limit" if isinstance(error, MemoryError) else "reader-failed"
    message = f"the reader '{reader}' cannot read this file: {fault_text(error)}"
    return issue(code, message, reader=reader, exception=name)


def _require_signals(signals: Sequence[Signal], offer: ReaderOffer, result: dict[str, Any]) -> None:
    """Say where there is none, or more than are described."""
    if not signals:
        result["issues"].append(issue("no-signal", f"the reader '{offer.name}' found no signal in this file"))
    if len(signals) > MAX_SIGNALS:
        result["issues"].append(issue("many-signals", f"{len(signals)} signals, the first {MAX_SIGNALS} are described"))


def _describe(
    signals: Sequence[Signal],
    offer: ReaderOffer,
    by: Mapping[str, str],
    job: Mapping[str, Any],
    blocks: Cut,
    result: dict[str, Any],
) -> None:
    """Signals, fields and vendor blocks of what was found."""
    names = [f"s{number}" for number in range(1, min(len(signals), MAX_SIGNALS) + 1)]
    sizes: list[Statement] = []
    for name, signal in zip(names, signals, strict=False):
        result["issues"] += signal.issues
        axes, shape = in_order(signal.axes), list(signal.shape)
        kind = kind_of(axes, shape, signal.metadata)
        general = signal.metadata.get("General")
        title = clean(general.get("title")) if isinstance(general, Mapping) else ""
        described = {"id": name, "title": title, "kind": kind, "shape": shape, "dtype": _dtype(signal.dtype)}
        described["axes"] = describe_axes(axes, shape)
        result["signals"].append({key: value for key, value in described.items() if value != ""})
        blocks.add_tree(signal.more.get("original_metadata"), _module(offer), len(sizes))
        sizes.append(Statement((name,), by, [*pixel_sizes(kind, axes, shape)]))
    statements, issues = blocks.statements(names)
    if job.get("explain"):
        result["outcomes"] = blocks.told()
    ids = {"": "f1", **job.get("ids", {})}
    ids |= {str(Path(job["root"]) / path): id_ for path, id_ in job.get("ids", {}).items()}
    merged = merge([*statements, *sizes], ids)
    result["fields"] = merged.fields
    result["issues"] += [*issues, *merged.issues]
    if job.get("keep", True):
        result["blocks"], too_large = to_keep(blocks, ids)
        result["issues"] += too_large


def _module(offer: ReaderOffer) -> str:
    """Name of the reader's module."""
    reader = offer.load.partition(":")[0].rpartition(".")[2]
    return reader if reader not in ("", "reader") else offer.name


def _dtype(dtype: Any) -> str:
    """NumPy's short name; colours as HyperSpy calls them."""
    if dtype is None:
        return "object"
    if dtype.names:
        names = "".join(dtype.names).lower()
        bits = 8 * dtype[0].itemsize
        return f"{names}{bits}" if set(names) <= set("rgba") else "struct"
    return str(dtype.str)


def _preview(
    path: str,
    files: Sequence[str],
    signals: Sequence[dict[str, Any]],
    job: Mapping[str, Any],
    result: dict[str, Any],
    tell: Tell,
) -> None:
    """A picture, a plugin's or our own; its failure is noted and harms nothing else."""
    from diadem.extract.preview import preview

    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        drawn = draw(path, files, signals, _meant(job, "previews", result["format"]), tell)
        result["issues"] += drawn.issues
        tell("previews", "")
        try:
            picture = preview(signals) if drawn.picture is None else drawn.picture
        except Exception as error:  # data that cannot be read shows only here, and the record says so
            result["preview_failed"] = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            return
    result["preview"] = None if picture is None else packed(picture)
    result["preview_by"] = drawn.by
    result["preview_ms"] = round(1e3 * (time.perf_counter() - started), 1)
