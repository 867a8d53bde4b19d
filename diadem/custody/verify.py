"""Checking chains of custody, offline: bytes in, a report out. No node, no store, no network, no clock.

What the files say of each node's log is judged by itself (`node_evidence`); then nodes are held against each other
(`two_sided`), and all of them against checkpoints that the reader kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from diadem.custody.chain import LoadedChain, load
from diadem.custody.node_evidence import NodeEvidence
from diadem.custody.report import CustodyReport, CustodyStep, NodeSeen, Verdict
from diadem.custody.two_sided import relay_steps, transfer_steps
from diadem.errors import DocumentError, UsageError

#: Files that are compared with each other at once.
MAX_FILES = 1000


def verify_chains(
    files: Sequence[bytes],
    *,
    names: Sequence[str] = (),
    pins: Collection[str] | None = None,
    checkpoints: Sequence[str] = (),
    own: bool = False,
) -> CustodyReport:
    """Check what some ``chain.json`` files prove, by themselves and together.

    Parameters
    ----------
    files : sequence of bytes
        The files' content, from anyone.
    names : sequence of str
        How to call them in the report; ``chain 1`` … where none are given.
    pins : collection of str, optional
        Ids of the nodes that the reader trusts. Statements of others are then no more than claims. None: everything is
        proven relative to the node ids that the report names, and the reader has to compare those.
    checkpoints : sequence of str
        Earlier checkpoints (signed notes) that the reader kept: the logs must still begin with what they saw.
    own : bool
        It is a node that looks, at its own chain, which needs no head, and at what came of others at other times: that
        one side of a transfer is not there yet is no fault then, nor what a node says that it does not trust.

    Returns
    -------
    CustodyReport
        A file that cannot be read is a contradicted step of it, not an error.
    """
    if not 1 <= len(files) <= MAX_FILES:
        raise UsageError(f"1 to {MAX_FILES} files are checked at once", next="Name the chain.json files to check.")
    called = _called(names, len(files))
    loaded: list[LoadedChain] = []
    steps: list[CustodyStep] = []
    for name, data in zip(called, files, strict=True):
        try:
            loaded.append(load(name, data))
        except DocumentError as error:
            reason = f"{error.where}: {error.message}" if error.where else error.message
            sentence = f"{name} is not a chain as DIADEM writes it."
            steps.append(CustodyStep(Verdict.CONTRADICTED, sentence, reason, name))
    ids = dict.fromkeys(file.chain.node for file in loaded)
    nodes = [NodeEvidence(node, [file for file in loaded if file.chain.node == node], own=own) for node in ids]
    called_so = Counter(one.ring.name for one in nodes)
    known = {one.node: one.ring.name for one in nodes if called_so[one.ring.name] == 1}
    for one in nodes:
        one.judge_statements(known)
    seen = tuple(NodeSeen(one.node, one.ring.name, None if pins is None else one.node in pins) for one in nodes)
    foreign = {one.id for one in seen if one.pinned is False}
    for one in nodes:
        told = [_relative(step, [one.node], foreign) for step in one.steps()]
        if one.node in foreign and called_so[one.ring.name] > 1:
            another = f"said by another node that calls itself {one.ring.name}, {one.node[:12]}…"
            told = [replace(step, reason=f"{another}: {step.reason}" if step.reason else another) for step in told]
        steps += told
    for step, sides in (*transfer_steps(nodes), *relay_steps(nodes)):
        counted = _relative(step, sides, foreign)
        steps.append(_between(counted, sides, foreign) if own else counted)
    for text in checkpoints:
        steps += _held_against(text, nodes)
    subjects = tuple(dict.fromkeys(file.chain.subject.name for file in loaded))
    return CustodyReport(subjects, seen, tuple(called), tuple(steps))


def _called(names: Sequence[str], count: int) -> list[str]:
    """A name for each file, none twice."""
    found: list[str] = []
    for number in range(1, count + 1):
        name = names[number - 1] if number <= len(names) else f"chain {number}"
        found.append(f"{name} ({number})" if name in found else name)
    return found


def _relative(step: CustodyStep, nodes: Collection[str], foreign: Collection[str]) -> CustodyStep:
    """A step as it counts for a reader who does not trust foreign nodes."""
    if step.verdict is not Verdict.PROVED or not any(node in foreign for node in nodes):
        return step
    return replace(step, verdict=Verdict.CLAIMED, reason="the node's id is not one of those that you trust")


def _between(step: CustodyStep, nodes: Collection[str], foreign: Collection[str]) -> CustodyStep:
    """What is wrong between nodes, for a node that has their chains as they came: of several times, from anybody."""
    if step.verdict is Verdict.MISSING:
        return replace(step, verdict=Verdict.CLAIMED, reason=f"{step.reason}; what came here may be older")
    if step.verdict is Verdict.CONTRADICTED and not set(foreign).isdisjoint(nodes):
        return replace(step, verdict=Verdict.CLAIMED, reason=f"{step.reason}; one of them you do not trust")
    return step


def _held_against(text: str, nodes: Sequence[NodeEvidence]) -> Iterator[CustodyStep]:
    """An earlier checkpoint that the reader kept, against the logs in the files."""
    for one in nodes:
        if (opened := one.open(text)) is not None:
            yield from one.compared(*opened)
            return
    name = text.partition("\n")[0][:120]
    sentence = f"The checkpoint of {name} that you kept is of no log in these files."
    yield CustodyStep(Verdict.MISSING, sentence, "none of their keys signed it")
