"""Three nodes over real sockets: what is told of a package that was sent on is typed as it stands, and does it."""

from __future__ import annotations

import shlex

import pytest

from tests.cli.inside import said, said_json
from tests.network.test_two_nodes import Ends, ends

__all__ = ["ends"]


@pytest.mark.program("three nodes that are served")
def test_what_accept_tells_brings_the_correction_to_the_third_node(ends: Ends) -> None:
    first, here, third = (("--node", node) for node in (ends.served, ends.caller, ends.hub))
    ends.serve(ends.hub)
    ends.meet(ends.hub, ends.caller)
    package = ends.archived(ends.served, "relayed")

    def taken() -> str:
        sent = said_json("send", package, "marie@nmi", *first)["transfer"]["id"]
        said("transfer", "sync", *here)
        return said("accept", sent, *here)

    def passed_on(*words: str) -> None:
        sent = said_json(*words, *here)["transfer"]["id"]
        said("accept", sent, "--no-wait", *third)
        for _ in range(3):
            said("transfer", "sync", *here)

    assert "sent on" not in taken()
    passed_on("send", package, "olaf@oslo")
    said("amend", package, "--set", "sample.name=EMSA-REF", "--reason", "the label was wrong", *first)
    told = next(line for line in taken().splitlines() if "olaf@oslo has it without" in line)
    assert "EMSA-REF" not in said("show", package, *third)
    program, *words = shlex.split(told.rpartition(": ")[2])
    assert program == "diadem"
    passed_on(*words)
    assert "EMSA-REF" in said("show", package, *third)
