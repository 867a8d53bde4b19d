"""A package for someone without DIADEM: one ZIP with a page that explains it, and a signed statement that it was given.

The ZIP is written beside its place and read back; then the statement is logged, and must be durable in one store; then
the ZIP gets its name. So there is never a ZIP of this name that the log does not know of. Where it does not get its
name after all, the log says that too.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from diadem.custody import statements
from diadem.custody.log_entry import Entry
from diadem.errors import DiademError, Interrupted, Refused, Unreachable, UsageError
from diadem.export.pages import CORRECTIONS, RAW, README, RECORD, WHOLE, ReadMe, readme_html
from diadem.export.zip import Content, FinishedZip, ZipStage, refuse_existing
from diadem.model.display import Display
from diadem.model.manifest import PackageId
from diadem.model.ports import Listener, Progress, silent
from diadem.model.statements import Draft, Subject
from diadem.model.times import time_text
from diadem.node.context import Context
from diadem.node.give.export_contents import Contents, ExportedPackages, Member
from diadem.node.give.redact import Redaction
from diadem.node.locks import node_lock
from diadem.node.separation import IS, LIES_IN, relation_of, stores_of
from diadem.node.take.package_chain import Lacking, session_of
from diadem.store.system import long_path


@dataclass(frozen=True, slots=True)
class Exported(Display):
    """What was given out.

    Attributes
    ----------
    path : Path
        The ZIP.
    to : str
        For whom.
    packages : sequence of PackageId
        What is in it.
    files, content_bytes : int
        What was exported: files of the instruments, or of metadata, and their bytes.
    only : str
        What of them: ``package``, ``raw`` or ``record``.
    bytes, sha256
        Of the ZIP; 0 and "" for a dry run.
    statement_id : str
        The `handover` in the log; "" for a dry run.
    others : int
        Packages of the session that are not in it.
    lacking : sequence of Lacking
        Packages of the session that are gone.
    redaction : Redaction or None
        What was taken out, and what could not be.
    damaged : sequence of str
        Stores whose copy turned out to be damaged; the bytes came from another.
    done : bool
        False for a dry run.
    seconds : float
        How long it took.
    """

    path: Path
    to: str
    packages: Sequence[PackageId]
    files: int
    content_bytes: int
    only: str
    bytes: int = 0
    sha256: str = ""
    statement_id: str = ""
    others: int = 0
    lacking: Sequence[Lacking] = ()
    redaction: Redaction | None = None
    damaged: Sequence[str] = ()
    done: bool = True
    seconds: float = 0.0
    renamed: Sequence[tuple[str, str]] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is missing, and nothing that was to be taken out is in it as far as that can be seen."""
        return not self.lacking and (self.redaction is None or self.redaction.clean)

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "ok": self.ok,
            "done": self.done,
            "path": str(self.path),
            "to": self.to,
            "packages": [str(package) for package in self.packages],
            "only": None if self.only == WHOLE else self.only,
            "files": self.files,
            "content_bytes": self.content_bytes,
            "bytes": self.bytes,
            "sha256": self.sha256,
            "statement": self.statement_id,
            "others": self.others,
            "lacking": [one.to_dict() for one in self.lacking],
            "renamed": [{"name": here, "original": there} for here, there in self.renamed],
            "redaction": None if self.redaction is None else self.redaction.to_dict(),
            "damaged": list(self.damaged),
            "seconds": round(self.seconds, 3),
        }


_LONGEST_NAME: Final = 320
_BLOCK: Final = 4 << 20


def export(
    context: Context,
    package: str,
    target: Path,
    *,
    to: str,
    only: str = WHOLE,
    redact: bool = False,
    chain: bool = False,
    dry_run: bool = False,
    listener: Listener = silent,
) -> Exported:
    """Give out a package as a ZIP; see `diadem.Node.export`."""
    _require(context, target, to, only)
    if not dry_run:
        require_mirror(context)
    began = time.monotonic()
    session = session_of(context, package, chain=chain)
    packages = ExportedPackages(context, session, only, redact=redact)
    run = _Run(context, target, to, packages, listener)
    zipped, statement = run.rehearse() if dry_run else run.perform()
    enclosed = run.contents.enclosed
    return Exported(
        path=target,
        to=to,
        packages=[one.id for one in packages.session.packages],
        files=sum(one.files for one in enclosed),
        content_bytes=sum(one.bytes for one in enclosed),
        only=only,
        bytes=zipped.bytes,
        sha256=zipped.sha256,
        statement_id=statement,
        others=session.others,
        lacking=session.lacking,
        redaction=packages.redaction,
        damaged=packages.damaged,
        done=not dry_run,
        seconds=time.monotonic() - began,
        renamed=run.contents.renamed,
    )


def _require(context: Context, target: Path, to: str, only: str) -> None:
    """What can be seen before anything is read."""
    if only not in (WHOLE, RAW, RECORD):
        raise UsageError(f"'{only}' is not a part of a package", next="Write raw or record.")
    require_place(context, target, to)


def require_place(context: Context, target: Path, to: str, *, suffix: str = ".zip") -> None:
    """That something may be written there, for somebody: nothing is put where only packages belong.

    `suffix` is that of the file; "" where a folder is written.
    """
    if not to.strip() or len(to) > _LONGEST_NAME or not to.isprintable():
        raise UsageError("say who it is for: the log records it", next='Example: --for "Marie Curie <m@x.org>"')
    if suffix and target.is_dir():
        raise UsageError(
            "this is a folder", where=str(target), next=f"Name a file in it: {target / f'session{suffix}'}"
        )
    if suffix:
        refuse_existing(target)
    if not target.parent.is_dir():
        raise UsageError("there is no such folder", where=str(target.parent), next="Make it first.")
    place = Path(os.path.realpath(target.parent))
    if any(os.path.lexists(long_path(each / "bagit.txt")) for each in (place, *place.parents)):
        raise Refused("it would be inside a package", where=str(target), next="Name a place outside it.")
    for each in (context.folder, *(each for _, each in stores_of(context))):
        if relation_of(place, each) in (IS, LIES_IN):
            raise Refused("it would be inside the archive", where=str(target), next="Name a place outside it.")


def require_mirror(context: Context) -> None:
    """That what will be said can be kept in a store, before hours are spent; an attached store cannot say anything."""
    context.ledger.mirrors.check()
    if not any(True for _ in context.stores.opened()):
        raise Unreachable(
            "no store answers, and nothing leaves the node before a store holds the statement about it",
            next="Connect a store of this node: diadem status",
        )


@dataclass(slots=True)
class _Run:
    """One export at work: written, stated, and only then given its name."""

    context: Context
    target: Path
    to: str
    packages: ExportedPackages
    listener: Listener
    contents: Contents = field(init=False)
    _done: int = 0
    _total: int = 0
    _item: str = ""

    def __post_init__(self) -> None:
        self.contents = self.packages.contents()
        self._total = sum(member.size for member in self.contents.members)

    def rehearse(self) -> tuple[FinishedZip, str]:
        """Read what has to be searched, and write nothing."""
        for member in self.contents.members if self.packages.redactor is not None else ():
            with self._opened(member) as content:
                for offset in range(0, max(content.size, 1), _BLOCK):
                    self._read(len(content.read_at(offset, min(_BLOCK, content.size - offset))))
        return FinishedZip(0, ""), ""

    def perform(self) -> tuple[FinishedZip, str]:
        """Write the ZIP, say so, and give it its name; what was written, and the id of the statement."""
        with alone(self.context, self.target):
            stage = ZipStage(self.target)
            zipped: FinishedZip | None = None
            try:
                zipped = self._write(stage)
                (entry,) = self.context.say([self._handover(zipped)])
                require_durable(self.context, entry)
                stage.publish()
            except BaseException as error:
                if stage.discard() and zipped is not None:
                    self._withdraw(zipped, error)
                if isinstance(error, KeyboardInterrupt):
                    raise Interrupted("stopped; nothing was exported", where=str(self.target)) from error
                raise
        return zipped, entry.statement_id

    def _write(self, stage: ZipStage) -> FinishedZip:
        moment = self.context.clock()
        letter, sheets = Member.of(README, readme_html(self._letter()), moment), self.packages.sheets()
        beside = [letter, Member.of(CORRECTIONS, sheets, moment)] if sheets else [letter]
        for member in (*beside, *self.contents.members):
            with self._opened(member) as content:
                stage.add(member.name, content, mtime_ns=member.mtime_ns, read=self._read)
        for folder in self.contents.folders:
            stage.add_folder(folder)
        return stage.finish(lambda count: self.listener(Progress("read back", count, count, self.target.name)))

    @contextmanager
    def _opened(self, member: Member) -> Iterator[Content]:
        self._item = member.payload or member.name
        with member.open() as content:
            if self.packages.redactor is None or not member.payload:
                yield content
                return
            watched = self.packages.redactor.watch(member.payload, content)
            yield watched
            watched.finish()

    def _read(self, count: int) -> None:
        self._done += count
        self._total = max(self._total, self._done)
        self.listener(Progress("export", self._done, self._total, self._item))

    def _letter(self) -> ReadMe:
        hidden = self.packages.redactor is not None
        facts, enclosed = self.packages.facts(), self.contents.enclosed
        if self.packages.only != RECORD:
            files, size = sum(one.files for one in enclosed), sum(one.bytes for one in enclosed)
            facts = replace(facts, file_count=files, total_bytes=size)
        return ReadMe(
            facts,
            enclosed,
            self.packages.only,
            time_text(self.context.clock()),
            to="" if hidden else self.to,
            sender="" if hidden else _sender(self.context),
            redacted=hidden,
            others=self.packages.session.others,
            renamed=() if hidden else self.contents.renamed,
            corrected=() if hidden else self.packages.corrected(),
            doubts=() if hidden else self.packages.doubts(),
        )

    def _handover(self, zipped: FinishedZip) -> Draft:
        packages, account = self.packages.session.packages, self.packages.redaction
        return statements.handover(
            [one.id for one in packages],
            to=self.to,
            form="zip",
            redacted=False if account is None else sorted(account.removed) or True,
            file={"name": self.target.name, "sha256": zipped.sha256, "bytes": zipped.bytes},
            only="" if self.packages.only == WHOLE else self.packages.only,
            payload_id=packages[0].payload_id if len(packages) == 1 else "",
            by=self.context.address,
        )

    def _withdraw(self, zipped: FinishedZip, error: BaseException) -> None:
        """Say that what was stated, if it was, did not happen after all."""
        subjects = tuple(Subject.package(one.id) for one in self.packages.session.packages)
        said = (entry.statement.predicate for entry in self.context.ledger.of_subject(subjects[0].sha256))
        if not any(predicate.get("sha256") == zipped.sha256 for predicate in said):
            return
        reason = str(getattr(error, "message", "") or type(error).__name__)
        draft = statements.audit(
            subjects,
            action=f"hand over {self.target.name} to {self.to}",
            actor=self.context.address,
            outcome="failed",
            reason=f"the file did not get its name and was removed: {reason}"[:2000],
        )
        with suppress(DiademError):  # what stopped the export is told, not this
            self.context.say([draft])


def full_name(context: Context) -> str:
    """The name of the person at work, as a person writes it; "" where it is not known."""
    return next((user.full_name for user in context.settings.users if user.name == context.user), "")


def _sender(context: Context) -> str:
    """Who gives it: the person's name where it is known, and the address."""
    full = full_name(context)
    return f"{full} ({context.address})" if full else context.address


@contextmanager
def alone(context: Context, target: Path) -> Iterator[None]:
    """Be the only one that writes this file."""
    name = hashlib.sha256(os.fsencode(os.path.realpath(target))).hexdigest()[:16]
    lock = node_lock(context.folder, f"export-{name}")
    if not lock.acquire():
        raise Refused("another export is writing this file", where=str(target), next="Wait for it, or name another.")
    try:
        yield
    finally:
        lock.remove()


def require_durable(context: Context, entry: Entry) -> None:
    """That a store holds the statement: this disk may be lost, what was given away stays away."""
    if why := context.ledger.mirrors.lack(entry.place):
        raise Unreachable(
            f"no store holds the statement about it yet, and nothing leaves the node before that ({why})",
            next="Connect a store of this node and export again: diadem status",
        )
