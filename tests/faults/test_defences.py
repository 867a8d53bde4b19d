"""The machine of faults switches defences off by their text: where the text has moved, it would prove nothing."""

from __future__ import annotations

import pytest

from tests.faults.sabotage import DEFENCES, Defence, weakened


@pytest.mark.parametrize("defence", DEFENCES, ids=lambda defence: defence.name)
def test_a_defence_can_be_switched_off(defence: Defence) -> None:
    for file, text in weakened(defence).items():
        compile(text, file, "exec")


def test_there_are_defences() -> None:
    assert len(DEFENCES) >= 20
