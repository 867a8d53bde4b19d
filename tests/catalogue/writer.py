"""A process that adds packages until it is done or killed; says each one that is written.

``python -m tests.catalogue.writer <file> <name> <packages> <threads>``
"""

from __future__ import annotations

import os
import sys
import threading

from diadem.catalogue import Catalogue
from tests.catalogue.making import NOW, dataset, entry


def add(catalogue: Catalogue, name: str, count: int) -> None:
    """Add packages with a replica and a proof each, and read them in between."""
    for number in range(count):
        one = entry(f"{name}-{number}", [dataset(1, f"{name}_{number}.tif", {"stage.x": number * 1e-6})])
        catalogue.add_package(one)
        catalogue.set_replica(one.id, "lab", one.path, state="present", written=NOW)
        catalogue.add_proof(one.id, "lab", level="full", at=NOW, ok=True)
        if catalogue.search(f'"{name}-{number}" stage.x>=0').total != 1:
            raise RuntimeError(f"{name}-{number} was written and is not found")
        os.write(1, f"{one.id}\n".encode())


def main() -> None:
    """Add from some threads that share one catalogue."""
    path, name, count, threads = sys.argv[1:]
    with Catalogue.open(path) as catalogue:
        workers = [
            threading.Thread(target=add, args=(catalogue, f"{name}{number}", int(count)))
            for number in range(int(threads))
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()


if __name__ == "__main__":
    main()
