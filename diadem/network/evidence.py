"""What two nodes prove to each other about a transfer: chains of ``transfer:<id>``, compared, and held together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from diadem.custody.log_entry import Entry
from diadem.custody.statements import transfer_subject
from diadem.errors import DocumentError, IntegrityError
from diadem.model.peers import Unproven
from diadem.model.statements import Subject
from diadem.node.context import Context

if TYPE_CHECKING:
    from diadem.custody.report import CustodyReport

_KEPT: Final = "the kept chain"
_CAME: Final = "the chain that came"


class Contradicted(IntegrityError):
    """The other side's log, or a statement of it, contradicts what it said before."""

    code = "contradicted"


@dataclass(frozen=True, slots=True)
class Proven:
    """A statement of the other side that holds.

    Attributes
    ----------
    entry : Entry
        The statement at its place.
    signers : tuple of str
        Names of those whose signature on it holds, as that node calls them.
    """

    entry: Entry
    signers: tuple[str, ...]

    @property
    def id(self) -> str:
        """Its id."""
        return self.entry.statement_id

    @property
    def kind(self) -> str:
        """Its kind."""
        return self.entry.statement.kind

    @property
    def said(self) -> Mapping[str, Any]:
        """Its predicate."""
        return self.entry.statement.predicate


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a chain proves.

    Attributes
    ----------
    statements : sequence of Proven
        In the order of the log.
    checkpoint : str
        The newest checkpoint of that log that the chain has.
    """

    statements: Sequence[Proven]
    checkpoint: str

    def of(self, kind: str) -> list[Proven]:
        """The statements of one kind."""
        return [proven for proven in self.statements if proven.kind == kind]


def own_chain(context: Context, transfer: str, *, seen: str = "") -> str:
    """The chain of a transfer in this node's log, to be sent.

    Parameters
    ----------
    context : Context
        The node.
    transfer : str
        Which.
    seen : str
        A checkpoint of this log that the receiver holds; one that this log did not sign is passed over.

    Raises
    ------
    Unreachable
        What was said last is in no store yet: nothing leaves the node before.
    """
    from diadem.custody.chain import export_chain

    since = [seen] if seen and is_own_checkpoint(context, seen) else []
    data = export_chain(
        context.ledger,
        transfer_subject(transfer).sha256,
        [context.keys.open("online")],
        clock=context.clock,
        since=since,
    )
    return data.decode("utf-8")


def is_own_checkpoint(context: Context, text: str) -> bool:
    """Whether this node's log once had this checkpoint, and still begins with what it saw."""
    try:
        context.ledger.compare(text)
    except IntegrityError:
        return False
    return True


def weigh(
    transfer: str, peer: str, chain: str, *, kept: bytes | None, seen: str, about: Subject | None = None
) -> Evidence:
    """What a chain from a peer proves about a transfer.

    Parameters
    ----------
    transfer : str
        Which.
    peer : str
        Id of the node that must have written it.
    chain : str
        As it came.
    kept : bytes or None
        The last chain of the same that was kept.
    seen : str
        The newest checkpoint of that log that was kept; "" for none.
    about : Subject, optional
        What it must be about where that is not the transfer itself: a relay.

    Raises
    ------
    DocumentError
        It is no chain of this transfer in that node's log.
    Contradicted
        It, or the log it is from, contradicts itself or what was kept.
    Unproven
        It does not show that the log still begins as in `seen`.
    """
    from diadem.custody.chain import Chain
    from diadem.custody.report import Verdict
    from diadem.custody.verify import verify_chains

    data = chain.encode("utf-8", "surrogatepass")
    read = Chain.from_bytes(data)
    if read.node != peer:
        raise DocumentError("the chain is of another node's log", where="message.chain", next="Do not trust it.")
    if read.subject != (about or transfer_subject(transfer)):
        raise DocumentError("the chain is about something else", where="message.chain", next="Do not trust it.")
    files, names = [data], [_CAME]
    if kept is not None and kept != data:
        files, names = [kept, data], [_KEPT, _CAME]
    report = verify_chains(files, names=names, pins=[peer], checkpoints=[seen] if seen else [])
    _require_sound(report, seen)
    proved = {step.statement_id: step for step in report.steps if step.verdict is Verdict.PROVED and step.statement_id}
    entries = [Entry.from_line(item.epoch, item.index, item.line.encode("utf-8")) for item in read.statements]
    held = [Proven(entry, proved[entry.statement_id].signers) for entry in entries if entry.statement_id in proved]
    newest = max(read.checkpoints, key=lambda checkpoint: checkpoint.epoch, default=None)
    return Evidence(tuple(held), newest.text if newest is not None else "")


def _require_sound(report: CustodyReport, seen: str) -> None:
    from diadem.custody.report import Verdict

    wrong = report.of(Verdict.CONTRADICTED)
    if wrong:
        step = wrong[0]
        raise Contradicted(
            f"{step.sentence} {step.reason or ''}".rstrip(),
            next="Do not continue; ask the other side, by a channel that you trust, what happened to its log.",
        )
    if seen and any(step.kind is None and step.verdict is not Verdict.PROVED for step in report.steps if not step.file):
        raise Unproven("the chain does not show that the other node's log still begins as it did", seen)
