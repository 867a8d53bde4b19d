"""A plugin's reader in processes of its own: what it touches and leaves open, and what its surroundings do to it.

``python -m diadem.testing.trial`` is such a process: it refuses nothing and notes everything. It gets one job as JSON
on standard input, and answers as JSON on standard output; who starts it chooses its time zone by the environment.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import json
import locale
import math
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diadem.errors import line_of
from diadem.extract import sandbox
from diadem.extract.extraction import COMMON_MODULES, LARGE_MODULES
from diadem.extract.opening import LocalFiles, array_of, open_dataset
from diadem.extract.tables import cut
from diadem.hooks.offers import ReaderOffer
from diadem.serialization import typed_json
from diadem.terms.units import to_si
from diadem.testing.plugin_report import difference

if TYPE_CHECKING:
    from diadem.extract.pool import Offered
    from diadem.testing.plugin_examples import Example
    from diadem.testing.plugin_report import Notes

#: Time zones in the form that every system understands: UTC, and one far away with summer time.
_ZONES = ("UTC0", "NZST-12NZDT")
_SECONDS = 120.0
#: What must be the same there; and all that a reader says.
_STATED = ("signals", "values", "extensions")
_NOTHING: Mapping[str, Any] = {"signals": [], "kinds": [], "values": [], "outcomes": [], "extensions": [], "error": ""}
#: Bytes of an array that is read whole to be compared.
MAX_ARRAY = 256 << 20
#: Locales whose decimal comma, month names and character sets differ from C's; the first that the system has is taken.
_LOCALES = ("de_DE.UTF-8", "fr_FR.UTF-8", "pl_PL.UTF-8", "German_Germany.1252")

Signals = Sequence[Mapping[str, Any]]
#: What may be found in the other surroundings only.
_FOUND_ABROAD = frozenset({"zone-or-locale", "reader-failed", "not-alone", "left-open"})


def read_alone(example: Example, format_: str, offered: Offered, scratch: Path, notes: Notes) -> Signals:
    """Run the reader, and again in other surroundings, with nothing refused and all of it noted.

    The signals are as `signature` describes them.
    """
    from diadem.extract.pool import locate  # not needed, and slow to import, in the process itself

    before = _listing(example.root)
    told = offered.of([format_ if format_ in offered.readers else example.plan.offers[0]])
    job = {
        "root": str(example.root),
        "path": str(example.path),
        "files": example.files,
        "offer": told["offers"][0],
        "fields": told["fields"],
        "packages": locate(offered.targets()),
    }
    scratch.mkdir(exist_ok=True)
    surroundings = (False, True) if notes.wants(_FOUND_ABROAD) else (False,)
    answers = [_answer(job | {"foreign": foreign}, scratch) for foreign in surroundings]
    for answer in answers:
        notes.checked["processes"] += 1
        notes.checked["foreign locales"] += bool(answer.get("locale"))
        if answer["error"]:
            notes.error("reader-failed", example.name, f"called alone, it fails: {answer['error']}")
        for what, where in answer["noted"]:
            notes.error("not-alone", example.name, f"{what}: {where.replace(str(example.root), '').lstrip('/')}")
        for message in answer["unclosed"]:
            notes.error("left-open", example.name, f"a file is not closed: {message}", "Use `with`.")
        if answer["left_open"]:
            names = ", ".join(answer["left_open"])
            notes.error("left-open", example.name, f"still open when all signals are gone: {names}", "Use `with`.")
    stated = [{key: answer[key] for key in _STATED} for answer in answers]
    if changed := difference(stated[0], stated[-1]):
        advice = "Use datetime with a time zone, and nothing that asks the locale."
        notes.error("zone-or-locale", example.name, f"in another time zone or locale it says: {changed}", advice)
    if before != _listing(example.root):
        notes.error("not-alone", example.name, "files beside the example were changed or added")
    notes.kinds.update(answers[0]["kinds"])
    notes.outcomes += answers[0]["outcomes"]
    signals: Signals = answers[0]["signals"]
    for axis in (axis for signal in signals for axis in signal["axes"]):
        units = axis.get("units")
        if isinstance(units, str) and units.strip() and not to_si(units)[0]:
            message = f"the unit '{units}' of axis '{axis.get('name')}' is not understood"
            notes.hint("axis-unit", example.name, message, "Write nm, um, 1/nm, eV, s, mrad …")
    return signals


def _listing(root: Path) -> list[tuple[str, int, int]]:
    return [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(root.rglob("*"))]


def _answer(job: Mapping[str, Any], scratch: Path) -> dict[str, Any]:
    """What a process answers; one that does not says in ``error`` what became of it."""
    from diadem.extract.parent import environment

    error = f"it has not ended after {_SECONDS:.0f} s"
    with contextlib.suppress(subprocess.TimeoutExpired):
        done = subprocess.run(
            [sys.executable, "-P", "-s", "-m", "diadem.testing.trial"],
            input=json.dumps(job),
            env={**environment(scratch), "TZ": _ZONES[job["foreign"]]},
            cwd=scratch,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=_SECONDS,
            check=False,
        )
        error = f"the process ended with status {done.returncode}: {done.stderr.strip()[-300:]}"
        with contextlib.suppress(ValueError, IndexError):
            answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
            return answer
    return {**_NOTHING, "noted": [], "unclosed": [], "left_open": [], "error": error}


# -- the process ------------------------------------------------------------------------------------------------------


def main() -> None:
    """Answer the job."""
    job, chosen = json.loads(sys.stdin.buffer.read()), ""
    sandbox.install(job["packages"])
    for name in _LOCALES if job["foreign"] else ():
        with contextlib.suppress(locale.Error):
            chosen = locale.setlocale(locale.LC_ALL, name)
            break
    print(json.dumps({"locale": chosen, **run(job)}, default=str))  # noqa: T201 - the answer


def run(job: Mapping[str, Any]) -> dict[str, Any]:
    """Read a dataset and tell what came of it.

    Beside what the reader says there is ``noted``, what a worker would have refused; ``unclosed`` and ``left_open``
    files; and ``error``, "" if all went well.
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
    answer = dict(_NOTHING)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", ResourceWarning)
        try:
            with contextlib.redirect_stdout(sys.stderr):
                _read(job, answer)
        except Exception as error:  # the plugin's own
            answer["error"] = f"{type(error).__name__}: {line_of(error)}"
        gc.collect()
    answer["noted"] = sorted(set(noted))
    messages = {str(item.message) for item in warned}
    answer["unclosed"] = sorted(message for message in messages if any(place in message for place in places))
    with guard.lifted():
        answer["left_open"] = sorted(still_open([Path(job["root"], name) for name in job["files"]]))
    return answer


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
    about |= {key: json.loads(typed_json.encode(signal.get(key) or empty)) for key, empty in _COMPARED.items()}
    return about | {"sha256": digest(array)}


def digest(array: Any) -> str:
    """SHA-256 of an array's values in C order; "" where there are too many to be read for a test."""
    if math.prod(map(int, array.shape), start=int(array.dtype.itemsize)) > MAX_ARRAY:
        return ""
    import numpy as np

    whole = array.compute(scheduler="synchronous") if hasattr(array, "compute") else array
    values = np.ascontiguousarray(whole.todense() if hasattr(whole, "todense") else whole)
    return hashlib.sha256(values.tobytes()).hexdigest()


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
    held: list[os.stat_result] = []
    for descriptor in range(3, 1024):
        with contextlib.suppress(OSError):
            held.append(os.fstat(descriptor))
    yield from (
        file.name for file in files if file.exists() and any(os.path.samestat(file.stat(), one) for one in held)
    )


if __name__ == "__main__":
    main()
