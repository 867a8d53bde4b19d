"""A process that has imported everything and makes copies of itself, so that a case need not wait for an interpreter.

It reads one JSON object a line: an order for `node_faults.verbs.work`, answered by ``{"pid": …}``, or
``{"wait": pid, "patience": seconds}``, answered by ``{"code": …}``. Where the system cannot fork, each order is a new
interpreter.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import time
from typing import Any

#: What verbs import when they are first used.
_MODULES = (
    "archiving archiving_all placing repairing scrubbing dropping reindexing mending mending_parity store_verbs "
    "closing mirroring recovering rules.engine rules.dropping rules.required"
)


def main() -> None:
    """Serve until standard input ends."""
    if sys.argv[1:2] == ["--once"]:
        from node_faults.verbs import work

        work(json.loads(sys.argv[2]))
        return
    _warm()
    for line in sys.stdin:
        order = json.loads(line)
        print(json.dumps(_wait(**order) if "wait" in order else _begin(order)), flush=True)


def _warm() -> None:
    """Import what the verbs need."""
    import diadem
    from node_faults import power, verbs  # noqa: F401

    for name in _MODULES.split():
        try:
            importlib.import_module(f"diadem.node.{name}")
        except ModuleNotFoundError as error:
            print(error, file=sys.stderr)
    diadem.Node.__name__  # noqa: B018  loads it


def _begin(order: dict[str, Any]) -> dict[str, int]:
    child = os.fork()
    if child:
        return {"pid": child}
    code = 1
    try:
        from node_faults.verbs import work

        with open(os.devnull) as nothing:
            os.dup2(nothing.fileno(), 0)
        os.dup2(2, 1)
        work(order)
        code = 0
    finally:
        os._exit(code)


def _wait(wait: int, patience: float) -> dict[str, Any]:
    """Wait for the end of a process; one that does not end is killed."""
    end = time.monotonic() + patience
    while True:
        found, status = os.waitpid(wait, os.WNOHANG)
        if found:
            return {"code": os.waitstatus_to_exitcode(status)}
        if time.monotonic() > end:
            os.kill(wait, signal.SIGKILL)
            os.waitpid(wait, 0)
            return {"code": 1, "hung": True}
        time.sleep(0.001)


if __name__ == "__main__":
    main()
