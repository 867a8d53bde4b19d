"""A package for someone without DIADEM: one ZIP with a page that explains it, stated before it has its name."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from diadem.errors import UsageError
from diadem.export.form import ExportedForm
from diadem.export.pages import CHAIN, RAW, README, RECORD, WHOLE, ReadMe, readme_html
from diadem.export.stage import Finished, write
from diadem.export.zip import Content, ZipFileWriter
from diadem.model.manifest import PackageId
from diadem.model.ports import Listener, Progress, silent
from diadem.model.times import time_text
from diadem.node.context import Context
from diadem.node.give.export_contents import Contents, ExportedPackages, Member
from diadem.node.give.handover import Handover, alone, file_of, full_name, require_mirror, require_place
from diadem.node.give.redact import Redaction
from diadem.node.take.package_chain import Lacking, session_of


@dataclass(frozen=True, slots=True)
class Exported(ExportedForm):
    """A ZIP that was given out: an `ExportedForm`, of which `files` are those of the instruments, or of metadata.

    Attributes
    ----------
    content_bytes : int
        Their bytes; `bytes` are those of the ZIP.
    only : str
        What of the packages: ``package``, ``raw`` or ``record``.
    others : int
        Packages of the session that are not in it.
    lacking : sequence of Lacking
        Packages of the session that are gone.
    redaction : Redaction or None
        What was taken out, and what could not be.
    renamed : sequence of (name, original)
        Files that have another name in it than they had.
    custody : bool
        Whether it says who had the packages before; of a dry run, whether it would.
    """

    content_bytes: int = 0
    only: str = WHOLE
    others: int = 0
    lacking: Sequence[Lacking] = ()
    redaction: Redaction | None = None
    renamed: Sequence[tuple[str, str]] = ()
    custody: bool = False

    @property
    def path(self) -> Path:
        """The ZIP."""
        return Path(self.place)

    @property
    def statement_id(self) -> str:
        """The `handover` in the log; "" for a dry run."""
        return next(iter(self.statements), "")

    @property
    def ok(self) -> bool:
        """Whether nothing is missing, and nothing that was to be taken out is in it as far as that can be seen."""
        return not self.lacking and (self.redaction is None or self.redaction.clean)

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            **ExportedForm.to_dict(self),
            "only": None if self.only == WHOLE else self.only,
            "content_bytes": self.content_bytes,
            "others": self.others,
            "lacking": [one.to_dict() for one in self.lacking],
            "renamed": [{"name": here, "original": there} for here, there in self.renamed],
            "redaction": None if self.redaction is None else self.redaction.to_dict(),
            "custody": self.custody,
        }


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
    custody: bool = True,
    dry_run: bool = False,
    listener: Listener = silent,
) -> Exported:
    """Give out a package as a ZIP; see `diadem.Node.export`."""
    _require(context, target, to, only)
    if not dry_run:
        require_mirror(context)
    began = time.monotonic()
    session = session_of(context, package, chain=chain)
    packages = ExportedPackages(context, session, only, redact=redact, custody=custody)
    run = _Run(context, target, to, packages, listener)
    written, said = run.rehearse() if dry_run else run.perform()
    enclosed = run.contents.enclosed
    return Exported(
        form="zip",
        place=str(target),
        to=to,
        packages=[one.id for one in packages.session.packages],
        files=sum(one.files for one in enclosed),
        content_bytes=sum(one.bytes for one in enclosed),
        only=only,
        bytes=written.bytes,
        sha256=written.sha256,
        statements=said,
        others=session.others,
        lacking=session.lacking,
        redaction=packages.redaction,
        damaged=packages.damaged,
        done=not dry_run,
        seconds=time.monotonic() - began,
        renamed=run.contents.renamed,
        custody=run.custody,
    )


def _require(context: Context, target: Path, to: str, only: str) -> None:
    """What can be seen before anything is read."""
    if only not in (WHOLE, RAW, RECORD):
        raise UsageError(f"'{only}' is not a part of a package", next="Write raw or record.")
    require_place(context, target, to)


@dataclass(slots=True)
class _Run:
    """One export at work: written, stated, and only then given its name."""

    context: Context
    target: Path
    to: str
    packages: ExportedPackages
    listener: Listener
    contents: Contents = field(init=False)
    custody: bool = field(init=False)
    _done: int = 0
    _total: int = 0
    _item: str = ""

    def __post_init__(self) -> None:
        self.contents = self.packages.contents()
        self.custody = self.packages.with_custody
        self._total = sum(member.size for member in self.contents.members)

    def rehearse(self) -> tuple[Finished, list[str]]:
        """Read what has to be searched, and write nothing."""
        for member in self.contents.members if self.packages.redactor is not None else ():
            with self._opened(member) as content:
                for offset in range(0, max(content.size, 1), _BLOCK):
                    self._read(len(content.read_at(offset, min(_BLOCK, content.size - offset))))
        return Finished(), []

    def perform(self) -> tuple[Finished, list[str]]:
        """Write the ZIP, say so, and give it its name; what was written, and the ids of the statements."""
        session, target = self.packages.session.packages, self.target
        handover = Handover(self.context, [one.id for one in session], self.to, "zip")
        with alone(self.context, target):
            zipped, _ = write(
                target,
                self._write,
                self.listener,
                suffix=".zip",
                state=lambda written: handover.state(file_of(target, written), self._about),
                withdraw=partial(handover.withdraw, target.name),
            )
        return zipped, handover.said

    def _write(self, draft: Path) -> None:
        moment = self.context.clock()
        signed = [Member.of(name, data, moment) for name, data in self.packages.signed()]
        self.custody = any(one.name == CHAIN for one in signed)
        letter = readme_html(self._letter())
        with ZipFileWriter(draft, self.target) as file:
            for member in (Member.of(README, letter, moment), *signed, *self.contents.members):
                with self._opened(member) as content:
                    file.add(member.name, content, mtime_ns=member.mtime_ns, read=self._read)
            for folder in self.contents.folders:
                file.add_folder(folder)

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
            custody=self.custody,
        )

    def _about(self, packages: Sequence[PackageId]) -> dict[str, Any]:
        """What the statement says besides: what was left out, and the payload of a single package."""
        session, account = self.packages.session.packages, self.packages.redaction
        return {
            "redacted": False if account is None else sorted(account.removed) or True,
            "only": "" if self.packages.only == WHOLE else self.packages.only,
            "payload_id": session[0].payload_id if len(packages) == len(session) == 1 else "",
        }


def _sender(context: Context) -> str:
    """Who gives it: the person's name where it is known, and the address."""
    full = full_name(context)
    return f"{full} ({context.address})" if full else context.address
