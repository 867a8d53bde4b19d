"""Transfers through a hub while cables are cut, processes killed, and the hub does what it should not, at random.

Two nodes and a hub between them, in three network namespaces; `diadem serve --hub`, and `diadem serve --listen none` at
either side. At random moments a cable is taken away, the hub, the sender or the receiver is killed (SIGKILL, all
processes) and started again, the hub's disk is full, or what lies there is lost, doubled, cut short, changed, swapped
with that of another transfer, given again, or listed without being there. At the end the hub is put in order, and a
person asks anew for what does not come within some seconds. Then: both packages are the sender's, byte for byte, with
names, times and modes; `diadem verify --level full` says so; a transfer that failed meanwhile named the hub; both
chains of custody agree; nothing is left lying; what went again over either cable is below 1 % and three windows of
16 MiB for each fault; no process needed more than 250 MB. Needs root on Linux. ``--seed`` repeats a run.
"""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path

import ordeals
from ordeals import Figures, Trial

from tests import namespaces
from tests.network.hub_ordeal import HubOrdeal, harbour
from tests.network.interruptions import MIB, Scale


def two_transfers(folder: Path, options: argparse.Namespace, source: random.Random, faults: int) -> Figures:
    """Two transfers with so many faults."""
    scale = Scale(options.size * MIB, options.files, options.rate, options.wait, (0.2, options.cut))
    with namespaces.star() as star, harbour(star, folder) as parties:
        ordeal = HubOrdeal(star, *parties, scale, source)

        def course() -> None:
            ordeal.begin()
            while ordeal.interruptions < faults and ordeal.strike():
                pass
            ordeal.finish()

        return ordeals.judged(ordeal, course)


AGAIN = ("sent again", "again_sent"), ("received again", "again_received")
TRIAL = Trial("faults", [("failed meanwhile", "failed"), *AGAIN, ("bound", "bound")], two_transfers)

if __name__ == "__main__":
    parser = ordeals.parser(__doc__, TRIAL, size=192, files=200, each=40, rate="200mbit", wait=0.5)
    parser.add_argument("--cut", type=float, default=2.0, help="seconds without a cable, at most")
    sys.exit(ordeals.main(TRIAL, parser.parse_args()))
