"""What was allowed counts for a second: of many who ask at once, and of more than are remembered."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from diadem.model.access import Asker, Right
from diadem.node.access import askers


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[Asker]:
    """Whose rights were looked up: at once, so that many come to the memory together."""
    found: list[Asker] = []

    def require(_: Any, asker: Asker, *__: Any) -> SimpleNamespace:
        found.append(asker)
        return SimpleNamespace(grant=None)

    monkeypatch.setattr(askers, "require", require)
    monkeypatch.setattr(askers, "_GOOD", 60.0)
    return found


@pytest.fixture
def context() -> Any:
    """As much of a node as is asked for."""
    memory, catalogue = askers._Memory(), SimpleNamespace(known_indices=lambda *_: {1})
    log = SimpleNamespace(size=2, epoch=1)
    return SimpleNamespace(once=lambda *_: memory, ledger=log, catalogue=catalogue, policy="first")


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads that take turns as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def ask(context: Any, reader: str) -> None:
    askers.require_still(context, Asker("b" * 64, reader), Right.READ, "a" * 64)


@pytest.mark.usefixtures("looked", "hasty")
@pytest.mark.program("160,000 questions of eight threads")
def test_many_ask_at_once(context: Any) -> None:
    def many(thread: int) -> None:
        for number in range(20_000):
            ask(context, f"{thread}-{number}@nmi")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(many, range(8)))


def test_who_asks_anew_takes_nobodys_place(context: Any, looked: list[Asker]) -> None:
    readers = [f"{number}@nmi" for number in range(64)]
    for reader in readers:
        ask(context, reader)
    first, context.policy = context.policy, "second"
    ask(context, readers[-1])
    context.policy = first
    for reader in readers[:-1]:
        ask(context, reader)
    assert len(looked) == 65
