"""The `incoming/` folders of the stores: what people hand in is archived once it is finished."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from diadem.errors import DiademError, NotFound, Unreachable
from diadem.export.zip_bag import packages_in
from diadem.model.display import Display
from diadem.model.manifest import PackageId
from diadem.model.ports import Listener
from diadem.node.archive_state import archive_state
from diadem.node.context import Context
from diadem.node.take.archived import Archived, Wishes
from diadem.node.take.archiving import archive
from diadem.node.take.looks import Look
from diadem.node.take.relying import is_gone
from diadem.node.watch.incoming import HandIn, HandInState, Incoming, Kept
from diadem.node.watch.told import unexpected
from diadem.policy.engine import judge
from diadem.store.addresses import local_path
from diadem.store.own_files import FolderFiles

#: Of what is told of a hand-in, what is another at each look: since when nothing has changed.
_FIGURES = re.compile(r"\d+ \w+")
#: Seconds after which what was refused is tried again though it did not change: a full disk may have room by then.
_AGAIN = 3600.0


@dataclass(frozen=True, slots=True)
class Handed(Display):
    """What became of one hand-in in one look.

    Attributes
    ----------
    store : str
        In whose ``incoming/`` it lies.
    hand_in : HandIn
        What it looks like.
    archived : Archived or None
        What was archived just now.
    error : DiademError or None
        Why it was not.
    """

    store: str
    hand_in: HandIn
    archived: Archived | None = None
    error: DiademError | None = None

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "store": self.store,
            **self.hand_in.to_dict(),
            "archived": self.archived.to_dict() if self.archived else None,
            "error": self.error.to_dict() if self.error else None,
        }


@dataclass
class Desk:
    """Where people hand in to one store, and what was said of it.

    Attributes
    ----------
    store : str
        Its name.
    incoming : Incoming
        What lies there.
    told, refused : dict
        What was said of each hand-in, and when it was refused, looking how.
    """

    store: str
    incoming: Incoming
    told: dict[str, str] = field(default_factory=dict)
    refused: dict[str, tuple[str, float]] = field(default_factory=dict)

    def is_news(self, handed: Handed) -> bool:
        """Whether something else is to be told of a hand-in than the last time."""
        said = f"{handed.hand_in.state} {_FIGURES.sub('', handed.hand_in.words)} {handed.error}"
        is_new = handed.archived is not None or self.told.get(handed.hand_in.name) != said
        self.told[handed.hand_in.name] = said
        return is_new

    def was_refused(self, hand_in: HandIn, seen: Look) -> bool:
        """Whether this was tried in vain not long ago, just as it is: reading it all again would not help."""
        digest, at = self.refused.get(hand_in.name, ("", 0.0))
        return digest == seen.digest and time.monotonic() - at < _AGAIN


def require_looked(context: Context, desks: Mapping[str, Desk]) -> None:
    """Raise where there was nothing to look into: silence would mean that nobody has handed in anything."""
    away = [one for one in context.settings.stores if local_path(one.url) is not None and one.name not in desks]
    if away and not desks:
        why = "; ".join(f"{one.name}: {context.stores.why_away(one.name)}" for one in away)
        raise Unreachable(f"no store answers in which something could be handed in ({why})", next="diadem status")


def desk_of(context: Context, name: str) -> Desk | None:
    """Where people hand in to a store; None where it is not a folder, or does not answer."""
    settings = context.settings.store(name)
    folder = local_path(settings.url)
    if folder is None or not context.stores.reachable(name):
        return None
    with contextlib.suppress(OSError):
        (folder / "incoming").mkdir(exist_ok=True)
    incoming = Incoming(
        folder,
        FolderFiles(context.folder / "incoming" / (settings.id or name)),
        context.policy.archive.quiet,
        readers=tuple(context.tools.readers),
        clock=context.clock,
    )
    return Desk(name, incoming)


def look_into(context: Context, desk: Desk, listener: Listener) -> Iterator[Handed]:
    """Every hand-in of one store; those that are finished are archived."""
    incoming = desk.incoming
    incoming.tidy()
    for hand_in in incoming.look(kept=lambda package: _kept(context, package)):
        if hand_in.state is not HandInState.READY:
            yield Handed(desk.store, hand_in)
            continue
        try:
            seen = incoming.seen(hand_in)
            if desk.was_refused(hand_in, seen):
                continue
            desk.refused[hand_in.name] = (seen.digest, time.monotonic())
            wishes = Wishes(now=True, as_one=not packages_in(hand_in.path))  # a package is taken in as it is
            done = archive(context, hand_in.path, wishes, listener=listener)
            incoming.archived(
                hand_in,
                seen,
                done.held_by,
                done.package.payload_id,
                proof=done.outcome.proof,
                omitted=len(done.outcome.omissions),
            )
            del desk.refused[hand_in.name]
            yield Handed(desk.store, hand_in, archived=done)
        except Exception as failure:  # one hand-in stops no other, whatever is wrong with it
            error = failure if isinstance(failure, DiademError) else unexpected(failure)
            if error.exit_code == 6:
                raise
            if isinstance(error, Unreachable):  # nothing was read, and the store may be back at the next look
                desk.refused.pop(hand_in.name, None)
            yield Handed(desk.store, hand_in, error=error)


def _kept(context: Context, package: PackageId) -> Kept:
    """How a package is kept: whether the policy wants no further copy of it, and no damage of it is known."""
    try:
        state = context.catalogue.package_state(package)
    except NotFound:  # the hand-in may be all that is left of it
        return Kept.LOST
    except DiademError:
        return Kept.SHORT
    if state.tombstoned:
        return Kept.DELETED
    if is_gone(context, package):
        return Kept.LOST
    status = judge(context.policy, archive_state(context, packages=[state]), context.clock())
    wanting = ("copies.minimum", "copies.kinds", "replica.")
    return Kept.SHORT if any(finding.rule.startswith(wanting) for finding in status.findings) else Kept.WELL
