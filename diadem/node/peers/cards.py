"""A node's card: the chain of its key statements, from the id that is pinned to the keys that speak for it now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from diadem.custody.chain import LoadedChain, export_chain, load
from diadem.custody.keyring import Card, KeyRing
from diadem.custody.report import CustodyReport, Verdict
from diadem.custody.statements import LOG, ONLINE
from diadem.custody.verify import verify_chains
from diadem.errors import DocumentError, IntegrityError
from diadem.model.peer_checks import NAME
from diadem.model.peers import Unproven
from diadem.model.times import time_text
from diadem.node.context import Context
from diadem.trust.keys import PublicKey

#: Bytes of a card that are read: a thousand key statements. A node has about six.
MAX_CARD: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class NodeCard:
    """What the chain of another node's keys proves.

    Attributes
    ----------
    node, name : str
        Its id, and what it calls itself.
    online, log : PublicKey
        The keys that sign what it says, and its checkpoints.
    version : int
        Of the card of the online key.
    expires : str
        When that card ends, UTC; "" where it does not.
    chain : bytes
        What proves it.
    checkpoint : str
        The newest checkpoint in it, a signed note.
    epoch, size : int
        Of that checkpoint.
    stolen : mapping of str to str
        Key ids that the node itself says were stolen, each with the time from which on, UTC.
    """

    node: str
    name: str
    online: PublicKey
    log: PublicKey
    version: int
    expires: str
    chain: bytes
    checkpoint: str
    epoch: int
    size: int
    stolen: Mapping[str, str] = field(default_factory=dict)


class Forked(IntegrityError):
    """The log of a node does not begin with what a checkpoint of it saw: it was rewritten, or there are two."""

    code = "forked"


def own_card(context: Context, *, since: str = "") -> bytes:
    """The card of this node; with a checkpoint that its reader kept, it proves that the log still begins so.

    Raises
    ------
    Unreachable
        The newest statement is in no store yet, and none answers.
    """
    ledger, keys = context.ledger, [context.keys.open("online")]
    if since:
        try:
            return export_chain(ledger, context.settings.id, keys, clock=context.clock, since=[since])
        except IntegrityError:  # not of this log, or not any more: the reader finds that out by itself
            pass
    return export_chain(ledger, context.settings.id, keys, clock=context.clock)


def prove_card(data: bytes, node: str, *, kept: str = "", asked: bool = False) -> NodeCard:
    """What a card from anyone proves of the node with this id.

    Parameters
    ----------
    data : bytes
        The chain.
    node : str
        The id that is pinned, or that is claimed and will be.
    kept : str
        The newest checkpoint of this node's log that the reader has.
    asked : bool
        Whether the node was asked to prove that its log begins so: then it can, unless it does not.

    Raises
    ------
    DocumentError
        It is not a chain, of another node, or does not prove what it shows.
    Unproven
        It does not show that the log still begins as in the checkpoint that was kept.
    Forked
        It shows that it does not, or was asked and cannot show that it does.
    """
    if len(data) > MAX_CARD:
        raise _unproven(f"it has {len(data):,} bytes; {MAX_CARD:,} are read")
    loaded = load("node card", data)
    if loaded.chain.node != node or loaded.chain.subject.sha256 != node or not loaded.chain.checkpoints:
        raise _unproven(f"it is not the card of the node {node[:12]}…")
    _require_good(verify_chains([data], names=["node card"], pins=[node]))
    if kept:
        report = verify_chains([data], names=["node card"], pins=[node], checkpoints=[kept])
        _require_continued(report, kept, asked=asked)
    return _card(loaded, data, node)


def _require_good(report: CustodyReport) -> None:
    for verdict in (Verdict.CONTRADICTED, Verdict.MISSING):
        for step in report.of(verdict):
            raise _unproven(f"{step.sentence} {step.reason or ''}".strip())


def _require_continued(report: CustodyReport, kept: str, *, asked: bool) -> None:
    """What is wrong now is so only beside the checkpoint that was kept: without it nothing was."""
    missing = report.of(Verdict.MISSING)
    for step in (*report.of(Verdict.CONTRADICTED), *(missing if asked else ())):
        raise Forked(
            f"{step.sentence} {step.reason or ''}".strip(),
            where="node card",
            next="Ask the people there what happened, by phone. Nothing from it is accepted until then.",
        )
    for step in missing:
        advice = "Try again: diadem peer refresh"
        raise Unproven(f"{step.sentence} It may be an old card.", kept, where="node card", next=advice)


def _card(loaded: LoadedChain, data: bytes, node: str) -> NodeCard:
    ring = KeyRing(node)
    ring.learn(read.entry for read in loaded.keys if read.entry is not None)
    online, log = ring.newest(ONLINE), ring.newest(LOG)
    if online is None or log is None:
        raise _unproven("it names no online key and log key that the root key vouches for")
    if not NAME.fullmatch(online.name):
        raise _unproven("the node's own name cannot be part of an address")
    newest = max(loaded.chain.checkpoints, key=lambda held: held.epoch)
    size = int(newest.text.split("\n")[1])
    return NodeCard(
        node,
        online.name,
        online.public,
        log.public,
        online.version,
        "" if online.expires is None else time_text(online.expires),
        data,
        newest.text,
        newest.epoch,
        size,
        _stolen(loaded, node, online),
    )


def _stolen(loaded: LoadedChain, node: str, online: Card) -> dict[str, str]:
    """Keys that the node itself calls stolen; the one that is in force now cannot be among them."""
    found: dict[str, str] = {}
    for read in loaded.statements:
        said = read.entry.statement.predicate if read.entry and read.entry.statement.kind == "peer" else {}
        if said.get("event") == "compromised" and said.get("peer") == node and said.get("since"):
            key = PublicKey.from_text(str(said.get("online")))
            if key != online.public:
                found[key.key_id] = min(str(said["since"]), found.get(key.key_id, str(said["since"])))
    return found


def _unproven(message: str) -> DocumentError:
    return DocumentError(message, where="node card", next="Ask the other node for its card again.")
