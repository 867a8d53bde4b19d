"""Whether times of Phenom's X-ray analyses can be."""

from __future__ import annotations

from diadem.hooks.fields import Tree, look_up

_EDS = "acquisition/scan/detectors/EDS"


def is_plausible(tree: Tree) -> bool:
    """Whether the detector was not live for longer than it was on: maps of Elid2Version0.elid say 4.05 s of 3.00 s."""
    live, real = look_up(tree, f"{_EDS}/live_time"), look_up(tree, f"{_EDS}/real_time")
    return live is not None and real is not None and float(live) <= float(real)
