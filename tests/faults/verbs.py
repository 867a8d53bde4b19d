"""What a process does to a node, alone or until it is killed: one verb, its answer written to a file."""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import diadem
from diadem.errors import DiademError
from diadem.node.node import Node
from tests.faults.power import cut_power, kill_myself

Arguments = Mapping[str, Any]


def _archive(node: Node, source: str) -> dict[str, Any]:
    return node.archive(source, now=True, as_one=True).to_dict()


def _grow(node: Node, url: str) -> dict[str, Any]:
    """One more store, and everything copied into it."""
    if "third" not in {state.name for state in node.stores}:
        node.stores.add(url, name="third", place="a third disk")
    return node.repair().to_dict()


def _drop(node: Node, package: str, store: str) -> dict[str, Any]:
    """One of two copies goes, which the policy allows only where somebody says so."""
    return node.drop(package, store, reason="a trial", below_minimum=True).to_dict()


VERBS: dict[str, Callable[..., dict[str, Any]]] = {
    "archive": _archive,
    "scrub": lambda node: node.scrub().to_dict(),
    "repair": lambda node: node.repair().to_dict(),
    "drop": _drop,
    "delete": lambda node, package: node.delete(package, reason="a trial").to_dict(),
    "reindex": lambda node: node.reindex().to_dict(),
    "grow": _grow,
}


def perform(folder: str, verb: str, arguments: Arguments) -> dict[str, Any]:
    """Open the node, do it, close the node; what came of it."""
    try:
        with diadem.open_node(folder, rebuild=verb == "reindex") as node:
            return {"done": VERBS[verb](node, **arguments)}
    except DiademError as error:
        return {"error": error.message, "code": error.exit_code, "kind": type(error).__name__}
    except Exception:
        return {"crash": traceback.format_exc()}


def work(order: Mapping[str, Any]) -> None:
    """Carry out an order: wait for its moment, prepare its accident, do it, and write the answer."""
    accident = order.get("accident") or {}
    if order.get("start"):
        while time.time() < order["start"]:
            pass
    if accident.get("event") is not None:
        _die_at_change(order["watch"], accident["event"])
    if accident.get("limit") is not None:
        _limit_files(int(accident["limit"]))
    if accident.get("power") is not None:
        cut_power(**accident["power"])
    answer = perform(order["node"], order["verb"], order["arguments"])
    if accident.get("limit") is not None:
        _limit_files(None)
    draft = f"{order['answer']}.part"
    Path(draft).write_text(json.dumps(answer))
    os.replace(draft, order["answer"])


#: Events after which something in the file system is another, as `sys.audit` names them.
_CHANGES = frozenset(
    {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.utime", "os.truncate", "os.link", "os.symlink"}
)


def _die_at_change(watch: str, last: int) -> None:
    """Count the changes below a folder; at the `last` one the process is killed, before it is made."""
    counter = [0]

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            if not (isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
                return
        elif event not in _CHANGES:
            return
        path = arguments[0]
        if isinstance(path, int) or os.fsdecode(path).startswith(watch) or not os.fsdecode(path).startswith(os.sep):
            counter[0] += 1
            if counter[0] == last:
                kill_myself()

    sys.addaudithook(hook)


def _limit_files(size: int | None) -> None:
    """Let every write past this size fail, as a full disk lets it; None lifts the limit."""
    import resource
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard if size is None else size, hard))


if __name__ == "__main__":
    work(json.loads(sys.argv[1]))
    sys.stderr.flush()
    os._exit(0)  # the verb has ended, and its books with it: what an interpreter does at its end is not tried
