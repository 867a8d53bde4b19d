"""How an archive of very many packages is judged: no more of them are in memory at a time than of a small one."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path

import pytest

import diadem
from diadem.catalogue import CopyEntry
from tests.catalogue.making import NOW, entry

pytestmark = pytest.mark.catalogue

#: Packages that are looked at together, and some more.
PART = 4000


def cost(node: diadem.Node) -> tuple[int, int]:
    """Bytes that are in memory at most while `status` is at work, and objects that stay when it was looked at."""
    node.status()  # what is loaded and remembered once
    gc.collect()
    before = len(gc.get_objects())
    tracemalloc.start()
    node.status()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    gc.collect()
    return peak, len(gc.get_objects()) - before


@pytest.mark.program("thousands of packages")
def test_twice_as_many_packages_need_no_more_memory(tmp_path: Path) -> None:
    found = []
    with diadem.Node.create(tmp_path / "node", name="full", user="anna", store=str(tmp_path / "store")) as node:
        catalogue = node.context.catalogue
        for turn in range(2):
            packages = [entry(f"{number}") for number in range(turn * PART, (turn + 1) * PART)]
            catalogue.add_packages(packages)
            catalogue.add_copies([CopyEntry(one.id, "main", one.path, NOW) for one in packages])
            del packages
            found.append(cost(node))
        assert node.status().totals.packages == 2 * PART
    (small, few), (large, many) = found
    assert large < small + 256_000, "bytes"
    assert max(few, many) < 1000, "objects"
