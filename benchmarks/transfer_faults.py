"""Transfers between two sites that are killed, cut and stopped at random: whole, once, and told alike by both.

Two nodes in network namespaces of their own, joined by a wire; `diadem serve` at the one, `diadem accept` and `diadem
transfer resume` at the other. At random moments the receiver or the server is killed (SIGKILL), the wire is taken away
for some seconds, or Ctrl-C is pressed; what ended is started again. When a transfer is over another one begins, until
there were as many interruptions as were asked for. After each: the package is the sender's, byte for byte, with names,
times and modes; `diadem verify --level full` says so; what came again is below 1 % and a MiB for each connection and
interruption, as the receipt says and as the network interface counts; both chains of custody agree; nothing is left
lying or locked; and no process needed more than 250 MB. Needs root on Linux. ``--seed`` repeats a run.
"""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path

import ordeals
from ordeals import Figures, Trial

from tests import namespaces
from tests.network.interruptions import MIB, Ordeal, Scale, acquainted

#: Interruptions while a package lands, of each transfer.
LANDINGS = 2


def one_transfer(folder: Path, options: argparse.Namespace, source: random.Random, interruptions: int) -> Figures:
    """One transfer with so many interruptions."""
    scale = Scale(options.size * MIB, options.files, options.rate, options.wait, (1.0, 3.0))
    with namespaces.wire() as wire:
        alice, marie = acquainted(wire, folder)
        ordeal = Ordeal(wire, alice, marie, scale, source)

        def course() -> None:
            ordeal.offer()
            ordeal.begin()
            while ordeal.interruptions < max(1, interruptions - LANDINGS) and ordeal.interrupt():
                pass
            while ordeal.interruptions < interruptions and ordeal.interrupt_landing():
                pass
            ordeal.finish()

        try:
            return ordeals.judged(ordeal, course)
        finally:
            alice.end()


AGAIN = ("again, by the receipt", "again_by_receipt"), ("again, on the wire", "again_on_the_wire")
TRIAL = Trial("interruptions", [*AGAIN, ("bound", "bound")], one_transfer)

if __name__ == "__main__":
    parser = ordeals.parser(__doc__, TRIAL, size=2048, files=5000, each=20, rate="30MB", wait=3.0)
    sys.exit(ordeals.main(TRIAL, parser.parse_args()))
