"""A process of its own that adds or removes a package, to be killed: `python -m tests.store.adder VERB URL OPTIONS`."""

from __future__ import annotations

import json
import sys

from diadem.store import open_store
from diadem.testing.stores import SamplePackage, make_package


def sample() -> SamplePackage:
    """What is added: many small files and a large one."""
    return make_package({**{f"data/{n % 5}/{n:03}.tif": 3000 for n in range(40)}, "data/large.raw": 9_000_000})


def main(verb: str, url: str, options: str) -> None:
    """Say `ready` before the work begins, and `done` after it."""
    package, store = sample(), open_store(url, json.loads(options))
    _say("ready")
    if verb == "add":
        store.add(package.bundle, package.opened, package.path)
    elif verb == "remove":
        store.remove(package.path)
    else:
        for number in range(10_000):
            store.put("head.json", b"%d" % number * 1000)
    _say("done")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
