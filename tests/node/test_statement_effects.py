"""The table of statements and what lets the catalogue follow them agree."""

from __future__ import annotations

from diadem.model.statement_kinds import KINDS
from diadem.node.follow.follow import EFFECTS


def test_every_effect_is_had_by_somebody() -> None:
    """A kind whose effect nobody has would be logged, and the catalogue would not know of it."""
    effects = {kind.effect for kind in KINDS.values()} - {""}
    assert effects == EFFECTS
