"""One export at work: written, stated, and only then given its name."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from diadem.custody import statements
from diadem.custody.entries import Entry, place_of
from diadem.errors import DiademError, Interrupted, Refused, Unreachable
from diadem.export.pages import CORRECTIONS, README, RECORD, WHOLE, ReadMe, readme_html
from diadem.export.zip import Content, FinishedZip, ZipStage
from diadem.model.ports import Listener, Progress
from diadem.model.statements import Draft, Subject
from diadem.model.times import time_text
from diadem.node.context import Context
from diadem.node.give.exporting_contents import Contents, Member
from diadem.node.give.exporting_outcome import Wishes
from diadem.node.give.exporting_parts import Parts
from diadem.node.give.exporting_redacted import Redactor
from diadem.node.locks import node_lock

_BLOCK: Final = 4 << 20


class Run:
    """One export at work."""

    def __init__(
        self,
        context: Context,
        target: Path,
        wishes: Wishes,
        parts: Parts,
        contents: Contents,
        listener: Listener,
        *,
        others: int,
    ) -> None:
        self._context, self._target, self._wishes = context, target, wishes
        self._parts, self._contents, self._listener = parts, contents, listener
        self.others = others
        self._done, self._total, self._item = 0, contents.total, ""

    @property
    def _redactor(self) -> Redactor | None:
        return self._parts.redactor

    def rehearse(self) -> None:
        """Read what has to be searched, and write nothing."""
        for member in self._contents.members if self._redactor is not None else ():
            with self._opened(member) as content:
                for offset in range(0, max(content.size, 1), _BLOCK):
                    self._read(len(content.read_at(offset, min(_BLOCK, content.size - offset))))

    def perform(self) -> tuple[FinishedZip, Entry]:
        """Write the ZIP, say so, and give it its name."""
        with _alone(self._context, self._target):
            stage = ZipStage(self._target)
            zipped: FinishedZip | None = None
            try:
                zipped = self._write(stage)
                (entry,) = self._context.say([self._handover(zipped)])
                _require_durable(self._context, entry)
                stage.publish()
            except BaseException as error:
                if stage.discard() and zipped is not None:
                    self._withdraw(zipped, error)
                if isinstance(error, KeyboardInterrupt):
                    raise Interrupted("stopped; nothing was exported", where=str(self._target)) from error
                raise
        return zipped, entry

    def _write(self, stage: ZipStage) -> FinishedZip:
        moment = self._context.clock()
        letter, sheets = Member.of(README, readme_html(self._letter()), moment), self._parts.sheets()
        beside = [letter, Member.of(CORRECTIONS, sheets, moment)] if sheets else [letter]
        for member in (*beside, *self._contents.members):
            with self._opened(member) as content:
                stage.add(member.name, content, mtime_ns=member.mtime_ns, read=self._read)
        for folder in self._contents.folders:
            stage.add_folder(folder)
        return stage.finish(self._checked)

    @contextmanager
    def _opened(self, member: Member) -> Iterator[Content]:
        self._item = member.payload or member.name
        with member.open() as content:
            if self._redactor is None or not member.payload:
                yield content
                return
            watched = self._redactor.watch(member, content)
            yield watched
            watched.finish()

    def _read(self, count: int) -> None:
        self._done += count
        self._total = max(self._total, self._done)
        self._listener(Progress("export", self._done, self._total, self._item))

    def _checked(self, count: int) -> None:
        self._listener(Progress("read back", count, count, self._target.name))

    def _letter(self) -> ReadMe:
        hidden = self._wishes.redact
        facts, enclosed = self._parts.facts(), self._contents.enclosed
        if self._wishes.only != RECORD:
            files, size = sum(one.files for one in enclosed), sum(one.bytes for one in enclosed)
            facts = replace(facts, file_count=files, total_bytes=size)
        return ReadMe(
            facts,
            enclosed,
            self._wishes.only,
            time_text(self._context.clock()),
            to="" if hidden else self._wishes.to,
            sender="" if hidden else _sender(self._context),
            redacted=hidden,
            others=self.others,
            renamed=() if hidden else self._contents.renamed,
            corrected=() if hidden else self._parts.corrected(),
        )

    def _handover(self, zipped: FinishedZip) -> Draft:
        packages = self._parts.packages
        account = self._parts.redaction()
        return statements.handover(
            [one.id for one in packages],
            to=self._wishes.to,
            form="zip",
            redacted=False if account is None else sorted(account.removed) or True,
            file={"name": self._target.name, "sha256": zipped.sha256, "bytes": zipped.bytes},
            only="" if self._wishes.only == WHOLE else self._wishes.only,
            payload_id=packages[0].payload_id if len(packages) == 1 else "",
            by=self._context.address,
        )

    def _withdraw(self, zipped: FinishedZip, error: BaseException) -> None:
        """Say that what was stated, if it was, did not happen after all."""
        subjects = tuple(Subject.package(one.id) for one in self._parts.packages)
        said = (entry.statement.predicate for entry in self._context.ledger.of_subject(subjects[0].sha256))
        if not any(predicate.get("sha256") == zipped.sha256 for predicate in said):
            return
        reason = str(getattr(error, "message", "") or type(error).__name__)
        draft = statements.audit(
            subjects,
            action=f"hand over {self._target.name} to {self._wishes.to}",
            actor=self._context.address,
            outcome="failed",
            reason=f"the file did not get its name and was removed: {reason}"[:2000],
        )
        with suppress(DiademError):  # what stopped the export is told, not this
            self._context.say([draft])


@contextmanager
def _alone(context: Context, target: Path) -> Iterator[None]:
    """Be the only one that writes this file."""
    name = hashlib.sha256(os.fsencode(os.path.realpath(target))).hexdigest()[:16]
    lock = node_lock(context.folder, f"export-{name}")
    if not lock.acquire():
        raise Refused("another export is writing this file", where=str(target), next="Wait for it, or name another.")
    try:
        yield
    finally:
        lock.remove()


def _require_durable(context: Context, entry: Entry) -> None:
    """That a store holds the statement: this disk may be lost, what was given away stays away."""
    ledger = context.ledger
    failed: dict[str, str] = {}
    if place_of(*ledger.mirrored()) <= entry.place:
        failed = ledger.push()
    if place_of(*ledger.mirrored()) <= entry.place:
        reasons = "; ".join(f"{url}: {reason}" for url, reason in failed.items()) or "no store answers"
        raise Unreachable(
            f"no store holds the statement about it yet, and nothing leaves the node before that ({reasons})",
            next="Connect a store of this node and export again: diadem status",
        )


def _sender(context: Context) -> str:
    """Who gives it: the person's name where it is known, and the address."""
    full = next((user.full_name for user in context.settings.users if user.name == context.user), "")
    return f"{full} ({context.address})" if full else context.address
