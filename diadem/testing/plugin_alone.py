"""A plugin's reader in processes of its own: what it touches and leaves open, and what its surroundings do to it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from diadem.extract.parent import environment
from diadem.extract.pool import Offered, locate
from diadem.terms.units import to_si
from diadem.testing.plugin_copies import Example
from diadem.testing.plugin_reading import difference
from diadem.testing.plugin_report import Notes

#: Time zones in the form that every system understands: UTC, and one far away with summer time.
_ZONES = ("UTC0", "NZST-12NZDT")
_SECONDS = 120.0
_COMPARED = ("signals", "values", "extensions")
_LISTS = (*_COMPARED, "kinds", "outcomes", "noted", "unclosed", "left_open")

Signals = Sequence[Mapping[str, Any]]


def read_alone(example: Example, format_: str, offered: Offered, scratch: Path, notes: Notes) -> Signals:
    """Run the reader twice, in different surroundings, with nothing refused and all of it noted.

    The signals are as `diadem.testing.trial.signature` describes them.
    """
    before = _listing(example.root)
    first, second = (_trial(example, format_, offered, scratch, notes, foreign=foreign) for foreign in (False, True))
    for answer in (first, second):
        _examine(example, answer, notes)
    one, other = ({key: answer[key] for key in _COMPARED} for answer in (first, second))
    if changed := difference(one, other):
        advice = "Use datetime with a time zone, and nothing that asks the locale."
        notes.error("zone-or-locale", example.name, f"in another time zone or locale it says: {changed}", advice)
    if before != _listing(example.root):
        notes.error("not-alone", example.name, "files beside the example were changed or added")
    for kind in first["kinds"]:
        notes.kinds.add(kind)
    notes.outcomes += first["outcomes"]
    _examine_axes(example, first["signals"], notes)
    return list(first["signals"])


def _examine(example: Example, answer: Mapping[str, Any], notes: Notes) -> None:
    """One answer's failure, trespasses and open files."""
    if answer["error"]:
        notes.error("reader-failed", example.name, f"called alone, it fails: {answer['error']}")
    for what, where in answer["noted"]:
        notes.error("not-alone", example.name, f"{what}: {where.replace(str(example.root), '').lstrip('/')}")
    for message in answer["unclosed"]:
        notes.error("left-open", example.name, f"a file is not closed: {message}", "Use `with`.")
    if answer["left_open"]:
        names = ", ".join(answer["left_open"])
        notes.error("left-open", example.name, f"still open when all signals are gone: {names}", "Use `with`.")


def _examine_axes(example: Example, signals: Signals, notes: Notes) -> None:
    for axis in (axis for signal in signals for axis in signal["axes"]):
        units = axis.get("units")
        if isinstance(units, str) and units.strip() and not to_si(units)[0]:
            message = f"the unit '{units}' of axis '{axis.get('name')}' is not understood"
            notes.hint("axis-unit", example.name, message, "Write nm, um, 1/nm, eV, s, mrad …")


def _listing(root: Path) -> list[tuple[str, int, int]]:
    return [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(root.rglob("*"))]


def _trial(
    example: Example, format_: str, offered: Offered, scratch: Path, notes: Notes, *, foreign: bool
) -> dict[str, Any]:
    told = offered.of([format_ if format_ in offered.readers else example.plan.offers[0]])
    job = {
        "root": str(example.root),
        "path": str(example.path),
        "files": example.files,
        "offer": told["offers"][0],
        "fields": told["fields"],
        "packages": locate(offered.targets()),
        "foreign_locale": foreign,
    }
    scratch.mkdir(exist_ok=True)
    notes.checked["processes"] += 1
    answer = _run(job, {**environment(scratch), "TZ": _ZONES[foreign]}, scratch)
    if answer.get("locale"):
        notes.checked["foreign locales"] += 1
    return answer


def _run(job: Mapping[str, Any], surroundings: Mapping[str, str], folder: Path) -> dict[str, Any]:
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-s", "-m", "diadem.testing.trial"],
            input=json.dumps(job),
            env=dict(surroundings),
            cwd=folder,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return _nothing(f"it has not ended after {_SECONDS:.0f} s")
    try:
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        return _nothing(f"the process ended with status {done.returncode}: {done.stderr.strip()[-300:]}")
    return answer


def _nothing(error: str) -> dict[str, Any]:
    return {"error": error, **{key: [] for key in _LISTS}}
