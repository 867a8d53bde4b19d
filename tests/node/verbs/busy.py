"""A process that is at work on a node with several threads that share one `Node`, until it is done or killed.

``python -m tests.node.verbs.busy <node> <lines>`` where `lines` is a JSON list; each of its items is a list of verbs
for one thread: ``["archive", "/folder"]``, ``["scrub"]``, ``["repair"]``, ``["search", "words"]``, ``["reindex"]``.
Each thread says on its standard output what it has done, one JSON object a line, as soon as it is.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import diadem
from diadem.model.ports import Progress
from diadem.node.node import Node


def _archive(node: Node, folder: str) -> dict[str, Any]:
    done = node.archive(folder, now=True, as_one=True)
    return {"id": done.package.id, "what": done.what, "debts": [debt.to_dict() for debt in done.debts]}


def _scrub_until(node: Node, store: str) -> dict[str, Any]:
    """Scrub, and hang when the first byte of a store was read: to be killed there."""

    def hang(progress: Progress) -> None:
        if progress.item.startswith(store):
            os.write(1, b"hanging\n")
            time.sleep(600)

    return node.scrub(listener=hang).to_dict()


def _archive_until(node: Node, folder: str) -> dict[str, Any]:
    """Archive the sessions of a folder, and hang in the middle of the second: to be killed there."""
    done: list[str] = []

    def hang(progress: Progress) -> None:
        if done and progress.stage == "copy":
            os.write(1, b"hanging\n")
            time.sleep(600)

    for result in node.archive_all(folder, now=True, listener=hang):
        done.append(result.state)
        os.write(1, (json.dumps(result.to_dict()) + "\n").encode())
    return {"states": done}


_VERBS: dict[str, Callable[..., dict[str, Any]]] = {
    "archive": _archive,
    "scrub": lambda node, *store: node.scrub(*store).to_dict(),
    "archive-until": _archive_until,
    "scrub-until": _scrub_until,
    "repair": lambda node: node.repair().to_dict(),
    "search": lambda node, words: {"total": node.search(words).total},
    "reindex": lambda node: node.reindex().to_dict(),
    "status": lambda node: {"findings": len(node.status().findings)},
}


def _work(node: Node, verbs: Sequence[Sequence[str]], begin: threading.Barrier) -> None:
    begin.wait()
    for name, *arguments in verbs:
        try:
            said: dict[str, Any] = {"verb": name, "arguments": arguments, "done": _VERBS[name](node, *arguments)}
        except Exception:
            said = {"verb": name, "arguments": arguments, "error": traceback.format_exc()}
        os.write(1, (json.dumps(said) + "\n").encode())


def main(folder: str, lines: str) -> None:
    """Open the node once, and let every thread begin at the same moment."""
    given = json.loads(lines)
    begin = threading.Barrier(len(given))
    with diadem.open_node(folder) as node:
        threads = [threading.Thread(target=_work, args=(node, verbs, begin)) for verbs in given]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
