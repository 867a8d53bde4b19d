"""From the log to a chain that others can check: nothing leaves that is not durable here and in one mirror."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from typing import Final

from diadem.custody import statements
from diadem.custody.chain import MAX_BYTES, Chain, ChainCheckpoint, Earlier, Item
from diadem.custody.log import Ledger
from diadem.custody.log_entry import Entry, place_of
from diadem.custody.statements import USER
from diadem.errors import NotFound, Refused, Unreachable
from diadem.model.statements import Subject
from diadem.trust.envelope import sign
from diadem.trust.keys import PrivateKey

_NEXT: Final = "Connect a store of this node and try again; `diadem status` says which do not answer."


def export_chain(
    ledger: Ledger,
    sha256: str,
    keys: Sequence[PrivateKey],
    *,
    clock: Callable[[], datetime],
    since: Sequence[str] = (),
) -> bytes:
    """The custody of a subject as the bytes of a ``chain.json``.

    Parameters
    ----------
    ledger : Ledger
        The log; what is owed to its mirrors is pushed first.
    sha256 : str
        The subject: a package id (64 hex digits), a key id, a statement id.
    keys : sequence of PrivateKey
        The node's online key: signs where the export ends.
    clock : callable
        Gives aware times.
    since : sequence of str
        Earlier checkpoints, signed notes, that the receiver holds: the chain proves that the log still begins so,
        however old they are. The newest ones of earlier exports are among them anyway.

    Raises
    ------
    NotFound
        The log says nothing about the subject.
    Unreachable
        Its statements are in no mirror yet, and none can be reached.
    IntegrityError
        The log is damaged, or is not the one that an earlier checkpoint saw. Nothing was exported.
    """
    found = _known(ledger, sha256)
    epoch, size = require_mirrored(ledger, found)
    sizes = [(number, ledger.size_of(number)) for number in ledger.epochs if number < epoch] + [(epoch, size)]
    last = found[-1]
    ends = statements.head(_subject(found, sha256), last=last.statement_id, length=len(found), epoch=epoch, size=size)
    said = ends.entered(node=ledger.node, time=clock(), salt=secrets.token_hex(16), prev={sha256: last.statement_id})
    head = sign(said.to_payload(), keys).to_line().decode("ascii")
    seen = [ledger.compare(text) for text in since]
    held = {(int(item.origin.rpartition("/")[2]), item.size) for item in seen}
    for number, known in held:
        ledger.show(number, known)
    chain = _chain(ledger, sha256, found, sizes, head, held)
    for number, known in sizes:
        ledger.show(number, known)
    return _readable(chain.to_bytes())


def _readable(data: bytes) -> bytes:
    if len(data) > MAX_BYTES:
        raise Refused(
            f"the chain has {len(data):,} bytes, and nobody reads more than {MAX_BYTES:,}",
            next="Let each scrub prove fewer packages in one statement: `diadem scrub --part 1/28`.",
        )
    return data


def own_chain(ledger: Ledger, sha256: str) -> Chain:
    """The custody of a subject for the eyes of this node alone: what no mirror has yet is in it, and it has no head.

    Raises
    ------
    NotFound
        The log says nothing about the subject.
    IntegrityError
        The log is damaged.
    """
    found = _known(ledger, sha256)
    sizes = [(number, ledger.size_of(number)) for number in ledger.epochs]
    return _chain(ledger, sha256, found, sizes, None)


def _known(ledger: Ledger, sha256: str) -> list[Entry]:
    found = ledger.of_subject(sha256)
    if not found:
        raise NotFound(f"the log says nothing about {sha256[:12]}…", next="Look at what there is: `diadem search`.")
    ledger.require_linked(found, sha256)
    return found


def require_mirrored(ledger: Ledger, found: Sequence[Entry]) -> tuple[int, int]:
    """Epoch and size of the newest checkpoint that a mirror has, and that covers everything found."""
    last = found[-1].place
    failed: dict[str, str] = {}
    ledger.check_mirrors()
    if place_of(*ledger.mirrored()) <= last:
        failed = ledger.push()
    epoch, size = ledger.mirrored()
    if place_of(epoch, size) <= last:
        reasons = "; ".join(f"{url}: {reason}" for url, reason in failed.items()) or "the node has no store"
        raise Unreachable(
            f"what happened last is in no store yet, and nothing leaves the node before that ({reasons})", next=_NEXT
        )
    return epoch, size


def _chain(
    ledger: Ledger,
    sha256: str,
    found: Sequence[Entry],
    sizes: Sequence[tuple[int, int]],
    head: str | None,
    held: Collection[tuple[int, int]] = (),
) -> Chain:
    end = place_of(*sizes[-1])
    cards = [entry for entry in cards_of(ledger.keys(), found) if entry.place < end]
    known = dict(sizes)
    used = {entry.epoch for entry in [*cards, *found]} | {sizes[-1][0]} | ({epoch for epoch, _ in held} & known.keys())
    checkpoints = tuple(_checkpoint(ledger, epoch, known[epoch], held) for epoch in sorted(used) if known[epoch])
    subject = _subject(found, sha256)
    items = _items(ledger, found, known), _items(ledger, cards, known)
    return Chain(ledger.node, ledger.origin, subject, items[1], checkpoints, items[0], head)


def _subject(found: Sequence[Entry], sha256: str) -> Subject:
    return next(item for item in found[-1].statement.subjects if item.sha256 == sha256)


def cards_of(keys: Iterable[Entry], found: Sequence[Entry]) -> list[Entry]:
    """The key statements that a reader needs: those of the node, and of users who signed here; and every recovery."""
    named = {name for entry in found for name in entry.signers} | {entry.statement_id for entry in found}
    return [
        entry for entry in keys if not _is_user(entry) or not named.isdisjoint([*_about(entry), entry.statement_id])
    ]


def _is_user(entry: Entry) -> bool:
    return entry.statement.predicate.get("role") == USER


def _about(entry: Entry) -> set[str]:
    return {subject.sha256 for subject in entry.statement.subjects}


def _items(ledger: Ledger, entries: Sequence[Entry], sizes: dict[int, int]) -> tuple[Item, ...]:
    """Entries with their proofs, which the ledger checks before it gives them."""
    items: list[Item] = []
    for epoch in sorted({entry.epoch for entry in entries}):
        ours = [entry for entry in entries if entry.epoch == epoch]
        proofs = ledger.prove(ours, sizes[epoch], epoch=epoch)
        items += [
            Item(epoch, entry.index, entry.line.decode("ascii"), tuple(proof))
            for entry, proof in zip(ours, proofs, strict=True)
        ]
    return tuple(items)


def _checkpoint(ledger: Ledger, epoch: int, size: int, held: Collection[tuple[int, int]]) -> ChainCheckpoint:
    named = [known for number, known in held if number == epoch]
    earlier = tuple(Earlier(known, root, tuple(proof)) for known, root, proof in ledger.shown(epoch, size, named))
    return ChainCheckpoint(epoch, ledger.checkpoint(epoch=epoch, size=size), earlier)
