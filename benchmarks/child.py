"""DIADEM in a process of its own, which also tells its own peak memory and the seconds of the call itself.

``child.py NOTE.json cli ARGUMENTS…`` runs the command line; ``child.py NOTE.json verify PATH LEVEL`` makes the one call
and times it without interpreter and imports. The note is written when the process ends, whatever the outcome.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from machine import peak_memory


def main() -> int:
    """Do it; return the exit code."""
    note, verb, *arguments = sys.argv[1:]
    facts: dict[str, object] = {}
    try:
        if verb == "cli":
            return _command_line(arguments)
        return _verify(arguments[0], arguments[1], facts)
    finally:
        facts["peak"] = peak_memory()
        Path(note).write_text(json.dumps(facts))


def _command_line(arguments: list[str]) -> int:
    from diadem.cli.main import run

    try:
        run(arguments)
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)


def _verify(path: str, level: str, facts: dict[str, object]) -> int:
    import diadem

    diadem.verify(path, level="quick")  # loads every module that the timed call needs
    start = time.perf_counter()
    report = diadem.verify(path, level=level)
    facts["seconds"] = time.perf_counter() - start
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
