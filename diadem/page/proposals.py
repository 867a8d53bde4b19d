"""What would be made of a folder or an upload: looked at once, edited by a person, archived, and remembered."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from diadem.errors import DiademError, NotFound, Refused, StoreError, UsageError
from diadem.model.plain_text import count_text
from diadem.model.ports import Listener
from diadem.model.scan import PlannedSession
from diadem.page.jobs import Outcome, PageJob
from diadem.scan.words import attention, figures, unusual

if TYPE_CHECKING:
    from diadem.api.nodes import Node
    from diadem.api.staging import Upload
    from diadem.node.take.archive_many import SessionResult
    from diadem.scan.words import Attention

#: Proposals that are remembered.
_KEPT: Final = 50


@dataclass(slots=True)
class Session:
    """One session of a proposal.

    Attributes
    ----------
    plan : PlannedSession
        As it was found, or as a person has edited it.
    license : str
        What may be done with its data; "" for what the policy says.
    would : SessionResult or None
        What archiving it would do, as far as that was looked at.
    result : SessionResult or None
        What became of it.
    """

    plan: PlannedSession
    license: str = ""
    would: SessionResult | None = None
    result: SessionResult | None = None

    @property
    def done(self) -> bool:
        """Whether it is in the archive."""
        return self.result is not None and self.result.archived is not None

    @property
    def package(self) -> str:
        """Hex digits of the package that holds it; "" where none is known."""
        known = self.would.known if self.would is not None else {}
        archived = self.result.archived if self.result is not None else None
        found = archived.package.id if archived is not None else str(known.get("package", known.get("predecessor", "")))
        return found.removeprefix("diadem:")

    @property
    def relation(self) -> str:
        """``same`` or ``extends`` where it is archived already, whole or in part; else ``unrelated``."""
        return str(self.would.known.get("relation", "")) if self.would is not None else ""

    @property
    def unfinished(self) -> bool:
        """Whether something in it was changed a moment ago: all that can be said against what was planned whole."""
        return self.would is not None and self.would.error is not None and bool(self.would.known)

    @property
    def why(self) -> str:
        """Why these files make a session, where that does not go without saying."""
        return unusual(self.plan)

    @property
    def dated(self) -> str:
        """Where its date comes from."""
        if not self.plan.date:
            return "There is no date in the files or the folder's name."
        if self.plan.first[:10] == self.plan.date:
            return "The date comes from the files."
        return "The date comes from the folder's name." if not self.plan.first else "The date is that of most files."


@dataclass(slots=True)
class Proposal:
    """What would be made of a source.

    Attributes
    ----------
    source : str
        Its path.
    upload : Upload or None
        Where it was sent by a browser: removed once all of it is in the archive.
    sessions : list of Session
        In the order of the scan; each file is in exactly one.
    figures : sequence of (str, str)
        The scan in words.
    attention : sequence of Attention
        What is damaged, twice there or odd.
    packages : sequence of str
        Packages that lie in it, which are taken in as they are.
    taken : dict
        Addresses of the sessions of those that were taken in, by their paths.
    looked : bool
        Whether its scan finished.
    problem : DiademError or None
        Why nothing of it can be looked at or archived now.
    job : PageJob or None
        What looks at it or archives it, or did so last.
    version : int
        Grows with each change: a form that was made from an older one is refused.
    """

    id: str
    source: str
    upload: Upload | None = None
    sessions: list[Session] = field(default_factory=list)
    figures: Sequence[tuple[str, str]] = ()
    attention: Sequence[Attention] = ()
    packages: Sequence[str] = ()
    taken: dict[str, str] = field(default_factory=dict)
    looked: bool = False
    problem: DiademError | None = None
    job: PageJob | None = None
    version: int = 0

    @property
    def busy(self) -> bool:
        """Whether a job is at work with it."""
        return self.job is not None and self.job.state == "running"

    @property
    def done(self) -> bool:
        """Whether all that lies in it is in the archive."""
        return (
            self.looked and all(session.done for session in self.sessions) and self.taken.keys() >= set(self.packages)
        )

    def settle(self) -> None:
        """Something of it was archived: forms that were made before are refused, and an upload is freed when done."""
        self.version += 1
        if self.upload is not None and self.done:
            self.upload.discard()

    @property
    def name(self) -> str:
        """What it is called."""
        return Path(self.source).name or self.source


class Proposals:
    """What was looked at in one run of the page. Safe to use from several threads."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Proposal] = OrderedDict()
        self._guard = threading.Lock()
        self._changing: Final = threading.Lock()

    def add(self, source: str, upload: Upload | None = None) -> Proposal:
        """A new one, of which nothing is known yet."""
        made = Proposal(secrets.token_hex(6), source, upload)
        with self._guard:
            self._known[made.id] = made
            others = [one for one in self._known.values() if not one.busy and one is not made]
            idle = [one for one in others if one.upload is None or one.done]  # what is not yet taken in stays
            for old in idle[: max(0, len(self._known) - _KEPT)]:
                del self._known[old.id]
                if old.upload is not None:
                    old.upload.discard()
        return made

    @contextmanager
    def alone(self, id_: str) -> Iterator[Proposal]:
        """One of them, to begin a job with it or to remove it: of two tabs that do so at once, one is first.

        Raises
        ------
        NotFound
            It was removed.
        Refused
            A job is at work with it.
        """
        with self._changing:
            found = self[id_]
            if found.busy:
                raise Refused("this is being read or archived already", next="Wait until that ends, or stop it.")
            yield found

    def __getitem__(self, id_: str) -> Proposal:
        with self._guard:
            if (found := self._known.get(id_)) is None:
                raise NotFound("What was found here is not known any more.", next="Look at the folder again.")
            return found

    def ls(self) -> list[Proposal]:
        """The newest first."""
        with self._guard:
            return list(self._known.values())[::-1]

    def forget(self, proposal: Proposal) -> None:
        """Know it no more; what was uploaded for it is removed."""
        with self._guard:
            self._known.pop(proposal.id, None)
        if proposal.upload is not None:
            proposal.upload.discard()


def look(node: Node, proposal: Proposal, listener: Listener) -> Outcome:
    """Find out what would be made of a source. Nothing is written; damage is told and stops nothing."""
    path = Path(proposal.source)
    proposal.problem = None
    try:
        size = path.stat().st_size
    except (OSError, ValueError) as error:
        raise NotFound(
            f"it cannot be read: {getattr(error, 'strerror', None) or error}",
            where=proposal.source,
            next="Check the path and its permissions.",
        ) from error
    if path.is_dir():
        from diadem.api import scan

        found = scan(path, listener=listener)
        proposal.figures, proposal.attention = figures(found), attention(found)
        proposal.packages = [one.path for one in found.archived if one.kind == "package"]
        planned = list(found.sessions)
    elif _is_package(node, proposal.source):
        proposal.packages, planned = [proposal.source], []
    else:
        part = "[*]" if path.name == "*" else path.name
        planned = [PlannedSession("", True, path.stem, "", str(path.parent), (part,), files=1, bytes=size)]
    sessions = [Session(plan) for plan in planned]
    try:
        wanted = [replace(plan, archive=True) for plan in planned]
        with closing(node.archive_all(wanted, dry_run=True, now=bool(proposal.upload), listener=listener)) as results:
            for session, would in zip(sessions, results, strict=True):
                session.would = would
                if would.known.get("relation") == "same":
                    session.plan = replace(session.plan, archive=False)
    except StoreError as error:  # not enough room for all of it: some may be taken all the same
        proposal.problem = error
    proposal.sessions, proposal.looked = sessions, True
    chosen = sum(session.plan.archive for session in sessions)
    text = f"{count_text(len(planned), 'session')} in {proposal.name}, {chosen:,} of them proposed for archiving"
    return Outcome(text, f"/take-in/{proposal.id}")


def _is_package(node: Node, path: str) -> bool:
    """Whether a file is a ZIP of packages, which `plan` refuses to plan."""
    if not path.lower().endswith(".zip"):
        return False
    try:
        node.plan(path, now=True)
    except UsageError:
        return True
    return False


def archive(node: Node, proposal: Proposal, numbers: Sequence[int], listener: Listener, *, now: bool) -> Outcome:
    """Archive the sessions that a person has chosen; one that fails stops none of the others."""
    by_licence: dict[str, list[Session]] = {}
    for number in numbers:
        session = proposal.sessions[number]
        by_licence.setdefault(session.license, []).append(session)
    chosen = [session for sessions in by_licence.values() for session in sessions]
    try:
        for licence, sessions in by_licence.items():
            metadata: Mapping[str, Any] | None = {"session": {"license": licence}} if licence else None
            plans = [replace(session.plan, archive=True) for session in sessions]
            with closing(node.archive_all(plans, metadata=metadata, now=now, listener=listener)) as results:
                for session, result in zip(sessions, results, strict=True):
                    session.result = result
    finally:
        proposal.settle()
    done = [session for session in chosen if session.done]
    failed = len(chosen) - len(done)
    text = f"{count_text(len(done), 'session')} in the archive" + (
        f", {failed:,} could not be archived" if failed else ""
    )
    single = f"/session/{done[0].package}" if len(chosen) == len(done) == 1 else f"/take-in/{proposal.id}"
    return Outcome(text, single, tuple(_line(session) for session in chosen))


def _line(session: Session) -> str:
    """What became of a session, in a line."""
    result = session.result
    if result is None:
        return f"{session.plan.title}: not begun"
    if result.archived is None:
        return f"{session.plan.title}: {result.error.message if result.error else result.state}"
    said = {"already": "was archived before", "continuation": "its new files were archived"}
    omitted = len(result.archived.outcome.omissions)
    left = f"; {count_text(omitted, 'item was', 'items were')} left out" if omitted else ""
    owed = dict.fromkeys(f"; the copy in {debt.store} is owed: {debt.reason}" for debt in result.archived.debts)
    return f"{session.plan.title}: {said.get(result.archived.what, 'archived')}{left}{''.join(owed)}"


def take_in(node: Node, proposal: Proposal, listener: Listener) -> Outcome:
    """Take in the packages that lie in a source, each under its own id."""
    lines: list[str] = []
    left: list[str] = []
    try:
        for path in proposal.packages:
            if path in proposal.taken:
                continue
            try:
                taken = node.archive(path, listener=listener)
            except DiademError as error:
                if error.exit_code == 6:
                    raise
                lines.append(f"{path}: {error.message}")
            else:
                proposal.taken[path] = f"/session/{taken.package.id.removeprefix('diadem:')}"
                said = "was there already" if taken.what == "already" else "archived, every byte proven"
                lines.append(f"{path}: {said}")
                left += [f"{path}: {name}: {why}" for name, why in taken.outcome.flagged]
    finally:
        proposal.settle()
    single = next(iter(proposal.taken.values())) if len(proposal.taken) == 1 else f"/take-in/{proposal.id}"
    return Outcome(f"{count_text(len(lines), 'package')} looked at", single, (*lines, *left))
