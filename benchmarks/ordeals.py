"""Ordeals in network namespaces, one after the other until enough was done: options, a line for each, figures."""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import machine

from tests import namespaces
from tests.network.interruptions import remove

Figures = dict[str, Any]


@dataclass(frozen=True)
class Trial:
    """What is tried again and again.

    Attributes
    ----------
    what : str
        How what is done to it is called: ``faults``; the option that says how many.
    columns : sequence of (str, str)
        Title and figure of what is shown of each ordeal beside that: counts, or bytes.
    run : callable
        One ordeal, in a new folder, with so many of them at most; its figures.
    """

    what: str
    columns: Sequence[tuple[str, str]]
    run: Callable[[Path, argparse.Namespace, random.Random, int], Figures]


def parser(doc: str | None, trial: Trial, **usual: Any) -> argparse.ArgumentParser:
    """The options that all of them have; `usual` has what they are where nobody says."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument(f"--{trial.what}", type=int, default=200)
    made.add_argument("--seed", type=int, default=1)
    made.add_argument("--size", type=int, default=usual["size"], help="MiB of the large files of a package")
    made.add_argument("--files", type=int, default=usual["files"], help="small files beside them")
    made.add_argument("--each", type=int, default=usual["each"], help=f"{trial.what} of one ordeal, at most")
    made.add_argument("--rate", default=usual["rate"], help="what may be carried a second")
    made.add_argument("--wait", type=float, default=usual["wait"], help="seconds until the next of them, at most")
    made.add_argument("--stop", action="store_true", help="end at the first promise that is broken")
    made.add_argument("--keep", action="store_true", help="leave nodes and packages where they are")
    made.add_argument("--work", type=Path, help="a folder that may be filled and emptied")
    made.add_argument("--json", type=Path, help="where to keep the figures")
    return made


def main(trial: Trial, options: argparse.Namespace) -> int:
    """Try it; 1 where a promise was broken, 2 where it cannot be tried here."""
    if why := namespaces.missing():
        print(f"not run: {why}")
        return 2
    if options.work:
        options.work.mkdir(parents=True, exist_ok=True)
    done = list(_ordeals(trial, options, Path(tempfile.mkdtemp(dir=options.work))))
    print(_kinds(done))
    return 1 if any("broken" in one for one in done) else 0


def _ordeals(trial: Trial, options: argparse.Namespace, work: Path) -> Iterator[Figures]:
    titles = ["ordeal", trial.what, *(title for title, _ in trial.columns), "memory", "seconds"]
    print(f"| {' | '.join(titles)} |\n{'|---' * len(titles)}|", flush=True)
    done: list[Figures] = []
    while (left := getattr(options, trial.what) - sum(one["interruptions"] for one in done)) > 0:
        folder, began = work / f"ordeal {len(done)}", time.monotonic()
        folder.mkdir()
        source = random.Random(f"{options.seed} {len(done)}")
        one = trial.run(folder, options, source, min(left, options.each))
        one["seconds"] = round(time.monotonic() - began, 1)
        done.append(one)
        print(_row(trial, len(done), one), flush=True)
        if not options.keep:
            remove(folder)
        if options.json:
            _keep(options, done)
        yield one
        if "broken" in one and options.stop:
            break


def _row(trial: Trial, number: int, one: Figures) -> str:
    begin, end = f"| {number} | {one['interruptions']} |", f"| {one['seconds']} |"
    if "broken" in one:
        return f"{begin} broken {'| ' * len(trial.columns)}{end}\n{one['broken']}"
    are_bytes = ("again", "bound")
    shown = [f"{one[name] / 1e6:.1f} MB" if name.startswith(are_bytes) else one[name] for _, name in trial.columns]
    return f"{begin} {' | '.join(map(str, shown))} | {max(one['memory'].values()) / 1e6:.0f} MB {end}"


def _keep(options: argparse.Namespace, done: list[Figures]) -> None:
    document = {
        "machine": machine.describe(Path(tempfile.gettempdir())),
        "seed": options.seed,
        "size_mib": options.size,
        "files": options.files,
        "interruptions": sum(one["interruptions"] for one in done),
        "kinds": _kinds(done),
        "ordeals": done,
    }
    options.json.write_text(json.dumps(document, indent=1))


def _kinds(done: list[Figures]) -> dict[str, int]:
    return dict(sum((Counter(one["kinds"]) for one in done), Counter()))


def judged(ordeal: Any, course: Callable[[], None]) -> Figures:
    """Figures of an ordeal after its course; or what went wrong, with all that was done and said."""
    try:
        course()
        found: Figures = ordeal.judged()
    except Exception:
        words = [traceback.format_exc(), ordeal.log()]
        return {"interruptions": ordeal.interruptions, "kinds": dict(ordeal.counts), "broken": "\n".join(words)}
    return found
