"""One dataset read in the worker: probes, the HDF5 walk, the reader, and what comes of its signals."""

from __future__ import annotations

import base64
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from diadem.extract.assertions import Statement, clean, merge
from diadem.extract.axes import as_loaded, describe_axes, in_order, kind_of
from diadem.extract.blocks import Cut, cut, to_keep
from diadem.extract.extraction import issue
from diadem.extract.fault_text import fault_text
from diadem.extract.mapping import leaves
from diadem.extract.normalise import pixel_sizes, values_of
from diadem.extract.pictures import draw
from diadem.extract.quality import ASSESS, examine
from diadem.hooks.targets import target

#: A reader that cannot be lazy may read a file of at most this size.
MAX_EAGER = 256 << 20
#: Signals of one file that are described; more are counted.
MAX_SIGNALS = 256

Signals = list[dict[str, Any]]
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
        ``root``, ``entry``, ``files`` (paths), ``ids`` (path to file id), ``size``, ``lazy_only``, ``preview``,
        ``issues`` (known already), and what plugins offer: ``offers`` (name, load, probe, describe, options, by),
        ``fields`` (name, formats, blocks, tables, whole, by), ``previews`` (name, formats, draw, by), ``checks``
        (name, formats, check, when, by). ``by`` is plugin and version.
    tell : callable
        Told of kind (``reader``, ``fields``, ``previews``, ``checks``) and name of what runs now.

    Returns
    -------
    dict
        ``format, evidence, signals, fields, extensions, issues, blocks, mode, reader, preview`` (base64 or null),
        ``preview_by``, ``preview_failed``; ``outcomes`` of each rule where the job says ``explain``; ``values``
        is ``unproven`` where some are as the reader normalised them.
    """
    path = str(Path(job["root"]) / job["entry"])
    result: dict[str, Any] = {"format": "", "evidence": [], "signals": [], "fields": {}, "issues": [], "mode": "none"}
    if _leads_away(job):
        result["issues"].append(issue("symlink", "a file of the dataset is a symbolic link; it was not read"))
        return result
    if not _walked(job, result):
        result["format"] = job["offers"][0]["name"]
        return result
    offer = _choose(path, job["offers"], result)
    if offer is None:
        return result
    result["format"] = offer["name"]
    blocks = cut(path, job, offer["name"], tell)
    result["issues"] += blocks.issues
    result["extensions"] = blocks.extensions
    signals: Signals = []
    tell("reader", offer["name"])
    incomplete = result.pop("incomplete", False)
    try:
        signals = [] if incomplete else _call(path, offer, job, result)
    except Exception as error:  # readers raise anything; the dataset gets an issue, the archive goes on
        result["issues"].append(_failure(error, offer["name"]))
    else:
        if not incomplete:
            _require_signals(signals, offer, result)
    _describe(signals, offer, job, blocks, result)
    files = [str(Path(job["root"]) / name) for name in job["files"]]
    if job.get("preview") and signals:
        _preview(path, files, signals, job, result, tell)
    checks = _meant(job, "checks", offer["name"])
    known = {**result, "issues": [*job.get("issues", ()), *result["issues"]]}
    arrays = {described["id"]: signal["data"] for described, signal in zip(result["signals"], signals, strict=False)}
    result["issues"] += examine(path, files, known, checks, tell, arrays)
    tell("reader", offer["name"])  # what is left to do is nobody else's fault
    return result


def _meant(job: Mapping[str, Any], kind: str, format_: str) -> list[Mapping[str, Any]]:
    """Offers of one kind that are for a format."""
    return [offer for offer in job.get(kind, ()) if {"*", format_} & set(offer["formats"])]


def _leads_away(job: Mapping[str, Any]) -> bool:
    """Whether a file is a symbolic link."""
    return any((Path(job["root"]) / name).is_symlink() for name in job["files"])


def _walked(job: Mapping[str, Any], result: dict[str, Any]) -> bool:
    """Walk through the HDF5 files of the dataset; false where one of them may not be read."""
    from diadem.extract.hdf5_walk import walk_all

    root = Path(job["root"])
    sizes = {name: (root / name).stat().st_size for name in job["files"]}
    try:
        found = walk_all(job["entry"], sizes, lambda name: (root / name).open("rb"))
    except Exception as error:  # the library's own errors have no common class
        result["issues"].append(_failure(error, job["offers"][0]["name"]))
        return False
    result["issues"] += found.issues
    if found.missing and not found.refused:
        result["incomplete"] = True
        message = f"the data file '{found.missing[0]}' is not beside '{job['entry']}'"
        advice = "Archive the files of one dataset together."
        result["issues"].append(issue("missing-part", message, file="f1", next=advice))
    result["lazy_only"] = found.huge
    return not found.refused


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


def _call(path: str, offer: Mapping[str, Any], job: Mapping[str, Any], result: dict[str, Any]) -> Signals:
    """Call the reader, lazily where it can."""
    looked_at = any(check.get("when") == ASSESS for check in _meant(job, "checks", offer["name"]))
    if offer.get("describe") and job.get("quick", True) and not looked_at:
        try:
            signals = list(target(offer["describe"])(path))
        except Exception as error:  # a quick look that fails is no verdict: the reader is asked
            logging.getLogger(__name__).debug("description of %s: %r", offer["name"], error)
        else:
            result["mode"] = "lazy"
            return signals
    function = target(offer["load"])
    options = {"lazy": True, **offer.get("options", {})}
    lazy_only = job.get("lazy_only") or result.pop("lazy_only", False) or job["size"] > MAX_EAGER
    with warnings.catch_warnings(), _small_chunks(job["size"]):
        warnings.simplefilter("ignore")
        try:
            signals = function(path, **options)
            result["mode"] = "lazy" if options["lazy"] else "eager"
        except (ImportError, MemoryError, RecursionError):
            raise
        except Exception:
            if lazy_only or not options["lazy"]:
                raise
            signals = function(path, **{**options, "lazy": False})
            result["mode"] = "eager"
    return list(signals)


def _small_chunks(size: int) -> AbstractContextManager[Any]:
    """Let Dask's automatic chunks be small, so that a preview reads little, but not more than some thousands."""
    wanted = max(4 << 20, size // 4096)
    if "dask" not in sys.modules:
        os.environ["DASK_ARRAY__CHUNK_SIZE"] = str(wanted)  # for a reader that imports it
        return nullcontext()
    import dask.config

    manager: AbstractContextManager[Any] = dask.config.set({"array.chunk-size": wanted})
    return manager


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


def _require_signals(signals: Signals, offer: Mapping[str, Any], result: dict[str, Any]) -> None:
    """Say where there is none, or more than are described."""
    if not signals:
        result["issues"].append(issue("no-signal", f"the reader '{offer['name']}' found no signal in this file"))
    if len(signals) > MAX_SIGNALS:
        result["issues"].append(issue("many-signals", f"{len(signals)} signals, the first {MAX_SIGNALS} are described"))


def _describe(
    signals: Signals, offer: Mapping[str, Any], job: Mapping[str, Any], blocks: Cut, result: dict[str, Any]
) -> None:
    """Signals, fields and vendor blocks of what was found."""
    names = [f"s{number}" for number in range(1, min(len(signals), MAX_SIGNALS) + 1)]
    generic: list[Statement] = []
    for name, signal in zip(names, signals, strict=False):
        result["issues"] += signal.get("issues", ())
        found = leaves(signal)
        described, kind, axes = _signal(name, signal, found)
        result["signals"].append(described)
        blocks.add_tree(signal.get("original_metadata"), _module(offer), len(generic))
        stated = [] if blocks.whole else [*values_of(_module(offer), found)]
        if stated:
            result["values"] = "unproven"
        generic.append(Statement((name,), offer["by"], [*stated, *pixel_sizes(kind, axes, described["shape"])]))
    statements, issues = blocks.statements(names)
    if job.get("explain"):
        result["outcomes"] = blocks.told()
    ids = {"": "f1", **{str(Path(job["root"]) / path): id_ for path, id_ in job.get("ids", {}).items()}}
    merged = merge([*statements, *generic], ids)
    result["fields"] = merged.fields
    result["issues"] += [*issues, *merged.issues]
    if job.get("keep", True):
        result["blocks"], too_large = to_keep(blocks, ids)
        result["issues"] += too_large


def _module(offer: Mapping[str, Any]) -> str:
    """Name of the reader's module."""
    reader: str = offer["load"].partition(":")[0].rpartition(".")[2]
    return offer["name"] if reader == "reader" else reader


def _signal(
    name: str, signal: Mapping[str, Any], found: Mapping[str, Any]
) -> tuple[dict[str, Any], str, Sequence[Mapping[str, Any]]]:
    """One signal as JSON, its kind, and its axes as they are when it is loaded."""
    data, axes = signal["data"], as_loaded(signal, in_order(signal.get("axes") or []))
    shape = [int(length) for length in getattr(data, "shape", ())]
    kind = kind_of(axes, shape, signal.get("metadata") or {})
    title = found.get("General.title")
    described = {"id": name, "title": clean(title.value) if title else "", "kind": kind, "shape": shape}
    described["dtype"] = _dtype(getattr(data, "dtype", None))
    described["axes"] = describe_axes(axes, shape)
    return {key: value for key, value in described.items() if value != "" or key == "id"}, kind, axes


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
    path: str, files: Sequence[str], signals: Signals, job: Mapping[str, Any], result: dict[str, Any], tell: Tell
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
            picture = drawn.picture or preview(signals)
        except Exception as error:  # data that cannot be read shows only here, and the record says so
            result["preview_failed"] = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            return
    result["preview"] = base64.b64encode(picture).decode() if picture else None
    result["preview_by"] = drawn.by
    result["preview_ms"] = round(1e3 * (time.perf_counter() - started), 1)
