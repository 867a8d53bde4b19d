"""A reader run alone in a process that refuses nothing and notes everything: ``python -m diadem.testing.trial``.

One job as JSON on standard input, one answer as JSON on standard output. The process that starts it chooses time zone
and locale by the environment. Used by `diadem.testing.check_plugin`.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import json
import locale
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from diadem.errors import line_of
from diadem.extract import sandbox
from diadem.extract.extraction import COMMON_MODULES, LARGE_MODULES
from diadem.extract.opening import LocalFiles, array_of, open_dataset
from diadem.extract.tables import cut
from diadem.hooks.offers import ReaderOffer
from diadem.serialization import typed_json

#: Bytes of an array that is read whole to be compared.
MAX_ARRAY = 256 << 20
#: Locales whose decimal comma, month names and character sets differ from C's; the first that the system has is taken.
_LOCALES = ("de_DE.UTF-8", "fr_FR.UTF-8", "pl_PL.UTF-8", "German_Germany.1252")


def main() -> None:
    """Answer the job."""
    job = json.loads(sys.stdin.buffer.read())
    sandbox.install(job["packages"])
    chosen = _foreign_locale() if job["foreign_locale"] else ""
    print(json.dumps({"locale": chosen, **run(job)}, default=str))  # noqa: T201 - the answer


def _foreign_locale() -> str:
    for name in _LOCALES:
        with contextlib.suppress(locale.Error):
            return locale.setlocale(locale.LC_ALL, name)
    return ""


def run(job: Mapping[str, Any]) -> dict[str, Any]:
    """Read a dataset and tell what came of it.

    Parameters
    ----------
    job : mapping
        ``path``, ``root``, ``files`` (relative), ``offer`` and ``fields`` as workers are told, ``packages``.

    Returns
    -------
    dict
        ``signals`` (shape, type, digest, axes, metadata),
        ``kinds`` of blocks, ``values`` of tables, ``outcomes`` of their rules, ``extensions``,
        ``noted`` (what a worker would have refused),
        ``unclosed`` and ``left_open`` (files), ``error`` ("" if all went well).
    """
    noted: list[tuple[str, str]] = []
    places = [job["root"], str(Path(job["root"]).resolve())]
    guard = sandbox.Guard(
        sandbox.scratch_folder(), sandbox.readable(job["packages"]), lambda what, where: noted.append((what, where))
    )
    for name in (*COMMON_MODULES, (job["offer"]["open"] or job["offer"]["load"]).partition(":")[0]):
        with contextlib.suppress(ImportError):
            __import__(name)
    sandbox.import_freely(guard, LARGE_MODULES)
    guard.enter(Path(job["root"]))
    guard.install()
    answer: dict[str, Any] = {
        "signals": [],
        "kinds": [],
        "values": [],
        "outcomes": [],
        "extensions": [],
        "error": "",
    }
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", ResourceWarning)
        try:
            with contextlib.redirect_stdout(sys.stderr):
                _read(job, answer)
        except Exception as error:  # the plugin's own
            answer["error"] = f"{type(error).__name__}: {line_of(error)}"
        gc.collect()
    answer["noted"] = sorted(set(noted))
    answer["unclosed"] = sorted({str(item.message) for item in warned if _is_of(str(item.message), places)})
    with guard.lifted():
        answer["left_open"] = sorted(still_open([Path(job["root"], name) for name in job["files"]]))
    return answer


def _is_of(message: str, places: Sequence[str]) -> bool:
    return any(place in message for place in places)


def _read(job: Mapping[str, Any], answer: dict[str, Any]) -> None:
    """Have reader, blocks and tables at work; nothing of them is kept when this returns."""
    offer, root = job["offer"], Path(job["root"])
    format_ = ReaderOffer(suffixes=(), **{key: offer[key] for key in ("name", "open", "load", "options")})
    with LocalFiles(root, Path(job["path"]).relative_to(root).as_posix(), job["files"], format_) as files:
        opened = open_dataset(files, format_)
        found = cut(job["path"], job, offer["name"], lambda _kind, _name: None, opened.blocks)
        signals = [signal.dictionary(array_of(signal, files, job["path"])) for signal in opened.signals]
        answer["signals"] = [signature(signal) for signal in signals]
    for number, signal in enumerate(signals):
        found.add_tree(signal.get("original_metadata"), offer["name"], number)
    statements, _ = found.statements([f"s{number}" for number in range(1, len(signals) + 1)])
    answer["values"] = [
        [value.field, value.value, value.status, value.offset_status, value.locator]
        for statement in statements
        for value in statement.values
    ]
    answer["outcomes"] = found.told()
    answer["extensions"] = found.extensions
    answer["kinds"] = sorted({block.kind for block in (*found.blocks, *found.trees)})


#: What of a signal is compared beside its array, and what stands where it says nothing.
_COMPARED: Mapping[str, Any] = {"axes": [], "metadata": {}, "original_metadata": {}}


def signature(signal: Mapping[str, Any]) -> dict[str, Any]:
    """What can be compared of a signal: shape, type and digest of the array, axes and metadata as typed JSON."""
    array = signal["data"]
    about: dict[str, Any] = {"shape": [int(size) for size in array.shape], "dtype": str(array.dtype)}
    about |= {key: _plain(signal.get(key) or empty) for key, empty in _COMPARED.items()}
    return about | {"sha256": digest(array)}


def _plain(value: Any) -> Any:
    return json.loads(typed_json.encode(value))


def digest(array: Any) -> str:
    """SHA-256 of an array's values in C order; "" where there are too many to be read for a test."""
    if int(array.dtype.itemsize) * int(_product(array.shape)) > MAX_ARRAY:
        return ""
    import numpy as np

    whole = array.compute(scheduler="synchronous") if hasattr(array, "compute") else array
    values = np.ascontiguousarray(whole.todense() if hasattr(whole, "todense") else whole)
    return hashlib.sha256(values.tobytes()).hexdigest()


def _product(shape: Sequence[int]) -> int:
    total = 1
    for size in shape:
        total *= int(size)
    return total


def still_open(files: Sequence[Path]) -> Iterator[str]:
    """Those of the files that this process holds open, by name."""
    if os.name == "nt":
        for file in files:
            try:
                file.rename(file.with_name(file.name + "~"))
                file.with_name(file.name + "~").rename(file)
            except PermissionError:
                yield file.name
        return
    held = set(_held())
    yield from (file.name for file in files if file.exists() and _identity(file.stat()) in held)


def _held() -> Iterator[tuple[int, int]]:
    for descriptor in range(3, 1024):
        with contextlib.suppress(OSError):
            yield _identity(os.fstat(descriptor))


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


if __name__ == "__main__":
    main()
