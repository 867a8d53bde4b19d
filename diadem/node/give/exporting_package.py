"""A package for someone without DIADEM: one ZIP with a page that explains it, and a signed statement that it was given.

The ZIP is written beside its place and read back; then the statement is logged, and must be durable in one store; then
the ZIP gets its name. So there is never a ZIP of this name that the log does not know of. Where it does not get its
name after all, the log says that too.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

from diadem.errors import Refused, Unreachable, UsageError
from diadem.export.pages import RAW, RECORD, WHOLE
from diadem.export.zip import refuse_existing
from diadem.model.manifest import PackageId
from diadem.model.ports import Listener, silent
from diadem.node.context import Context
from diadem.node.give.exporting_outcome import Exported, Wishes
from diadem.node.give.exporting_parts import Parts
from diadem.node.give.exporting_run import Run
from diadem.node.take.package_chain import Session, session_of
from diadem.store.system import long_path

_LONGEST_NAME: Final = 320


def export(context: Context, package: str, target: Path, wishes: Wishes, *, listener: Listener = silent) -> Exported:
    """Give out a package as a ZIP.

    Raises
    ------
    UsageError
        Nobody is named, or the name is not a line of text.
    Refused
        There is such a file, it would lie in a package or store, or what is said of it can be kept in no store.
    IntegrityError
        A file is damaged in every copy. Nothing was exported.
    """
    _require(context, target, wishes)
    began = time.monotonic()
    session = session_of(context, package)
    asked = PackageId(package)
    chosen = session if wishes.chain else Session([one for one in session.packages if one.id == asked])
    parts = Parts(context, chosen, wishes.only, redact=wishes.redact)
    contents = parts.contents()
    others = len(session.packages) - len(chosen.packages)
    run = Run(context, target, wishes, parts, contents, listener, others=others)
    done = None
    if wishes.dry_run:
        run.rehearse()
    else:
        done = run.perform()
    return Exported(
        path=target,
        to=wishes.to,
        packages=[one.id for one in chosen.packages],
        files=sum(one.files for one in contents.enclosed),
        content_bytes=sum(one.bytes for one in contents.enclosed),
        only=wishes.only,
        bytes=0 if done is None else done[0].bytes,
        sha256="" if done is None else done[0].sha256,
        statement_id="" if done is None else done[1].statement_id,
        others=others,
        lacking=chosen.lacking,
        redaction=parts.redaction(),
        damaged=parts.damaged,
        done=done is not None,
        seconds=time.monotonic() - began,
        renamed=contents.renamed,
    )


def _require(context: Context, target: Path, wishes: Wishes) -> None:
    """What can be seen before anything is read."""
    if wishes.only not in (WHOLE, RAW, RECORD):
        raise UsageError(f"'{wishes.only}' is not a part of a package", next="Write raw or record.")
    if not wishes.to.strip() or len(wishes.to) > _LONGEST_NAME or not wishes.to.isprintable():
        raise UsageError("say who it is for: the log records it", next='Example: --for "Marie Curie <m@x.org>"')
    if target.is_dir():
        raise UsageError("this is a folder", where=str(target), next=f"Name a file in it: {target / 'session.zip'}")
    refuse_existing(target)
    if not target.parent.is_dir():
        raise UsageError("there is no such folder", where=str(target.parent), next="Make it first.")
    _refuse_archive(context, target)
    if not wishes.dry_run:
        _require_mirror(context)


def _refuse_archive(context: Context, target: Path) -> None:
    """Nothing is put where only packages belong."""
    place = Path(os.path.realpath(target.parent))
    stores = [Path(os.path.realpath(store.url)) for store in context.stores if Path(store.url).is_absolute()]
    for folder in (place, *place.parents):
        if os.path.lexists(long_path(folder / "bagit.txt")):
            raise Refused("the file would be inside a package", where=str(target), next="Name a place outside it.")
        if folder in (*stores, Path(os.path.realpath(context.folder))):
            raise Refused("the file would be inside the archive", where=str(target), next="Name a place outside it.")


def _require_mirror(context: Context) -> None:
    """That what will be said can be kept in a store, before hours are spent; an attached store cannot say anything."""
    context.ledger.check_mirrors()
    if not any(True for _ in context.stores.opened()):
        raise Unreachable(
            "no store answers, and nothing leaves the node before a store holds the statement about it",
            next="Connect a store of this node: diadem status",
        )
