"""What a check of custody found, step by step."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from diadem.model.display import Display


class Verdict(StrEnum):
    """What a step is worth, from best to worst."""

    PROVED = "proved"
    CLAIMED = "claimed by one side"
    MISSING = "missing"
    CONTRADICTED = "contradicted"


_ORDER = tuple(Verdict)
#: What nodes say to each other of a transfer, in the order in which it happens; for what has the same second.
_ACTS = ("grant", "offer", "acceptance", "permit", "receipt", "relay", "closure")


@dataclass(frozen=True, slots=True)
class CustodyStep(Display):
    """One step of a chain.

    Attributes
    ----------
    verdict : Verdict
        What it is worth.
    sentence : str
        What happened, in plain words.
    reason : str or None
        Why it is not proved; for what is contradicted, what is wrong in which statement.
    file : str or None
        The file that it was read from.
    node : str or None
        Id of the node whose log says it.
    epoch, index : int or None
        Its place in that log.
    statement_id, kind, time : str or None
        Of the statement, where there is one that can be read; the time is a claim of the node's clock.
    signers : tuple of str
        Names of those whose signature on it holds.
    """

    verdict: Verdict
    sentence: str
    reason: str | None = None
    file: str | None = None
    node: str | None = None
    epoch: int | None = None
    index: int | None = None
    statement_id: str | None = None
    kind: str | None = None
    time: str | None = None
    signers: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute."""
        return {
            "verdict": str(self.verdict),
            "sentence": self.sentence,
            "reason": self.reason,
            "file": self.file,
            "node": self.node,
            "epoch": self.epoch,
            "index": self.index,
            "statement": self.statement_id,
            "kind": self.kind,
            "time": self.time,
            "signers": list(self.signers),
        }


@dataclass(frozen=True, slots=True)
class NodeSeen(Display):
    """A node whose log was read.

    Attributes
    ----------
    id : str
        64 hex digits: SHA-256 of its root key. Everything of this node is proven relative to it.
    name : str
        As the node calls itself; "" where no card holds.
    pinned : bool or None
        Whether the id is one of those that the reader trusts; None where the reader named none, and has to compare it.
    """

    id: str
    name: str
    pinned: bool | None

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute."""
        return {"id": self.id, "name": self.name, "pinned": self.pinned}


@dataclass(frozen=True, slots=True)
class CustodyReport(Display):
    """The outcome of a check of custody.

    Attributes
    ----------
    subjects : tuple of str
        Names of what the chains are about.
    nodes : tuple of NodeSeen
        Whose logs were read.
    files : tuple of str
        What was read.
    steps : tuple of CustodyStep
        In the order of the log, node by node; then what concerns a log as a whole.
    warnings : tuple of str
        Doubts about the data, and about those from which they were made, as far as a node knows of them.
    """

    _display_keys = (
        "verdict",
        "counts",
        "warnings",
        "steps: verdict sentence reason",
        "nodes: name id pinned",
    )

    subjects: tuple[str, ...]
    nodes: tuple[NodeSeen, ...]
    files: tuple[str, ...]
    steps: tuple[CustodyStep, ...]
    warnings: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is missing and nothing contradicted."""
        return self.verdict not in (Verdict.MISSING, Verdict.CONTRADICTED)

    @property
    def verdict(self) -> Verdict:
        """The worst of all steps."""
        return max((step.verdict for step in self.steps), key=_ORDER.index, default=Verdict.MISSING)

    @property
    def counts(self) -> dict[str, int]:
        """How many steps have each verdict."""
        found = Counter(step.verdict for step in self.steps)
        return {str(verdict): found[verdict] for verdict in Verdict}

    @property
    def story(self) -> tuple[CustodyStep, ...]:
        """The steps of all nodes in the order of their times, each log in its own order; then the others.

        The times are those of the nodes' own clocks: the order of steps of different nodes is claimed, not proved.
        """
        if len(self.nodes) < 2:
            return self.steps
        latest: dict[str | None, tuple[str, int]] = {}
        told: list[tuple[tuple[str, int], CustodyStep]] = []
        for step in sorted(self.steps, key=lambda step: (step.epoch or 0, step.index or 0)):
            if step.time:
                moment = step.time, _ACTS.index(step.kind) if step.kind in _ACTS else -1
                latest[step.node] = max(latest.get(step.node, moment), moment)
                told.append((latest[step.node], step))
        told.sort(key=lambda one: one[0])
        return tuple(step for _, step in told) + tuple(step for step in self.steps if not step.time)

    def of(self, verdict: Verdict) -> tuple[CustodyStep, ...]:
        """The steps of one verdict."""
        return tuple(step for step in self.steps if step.verdict == verdict)

    def to_dict(self) -> dict[str, Any]:
        """A JSON object: ok, verdict, counts, subjects, nodes, files, steps."""
        return {
            "ok": self.ok,
            "verdict": str(self.verdict),
            "counts": self.counts,
            "subjects": list(self.subjects),
            "nodes": [node.to_dict() for node in self.nodes],
            "files": list(self.files),
            "steps": [step.to_dict() for step in self.steps],
            "warnings": list(self.warnings),
        }
