"""Watching the `incoming/` folders of the stores: what people hand in is archived once it is finished."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from diadem.errors import DiademError, Interrupted
from diadem.model.ids import PackageId
from diadem.model.ports import Listener, silent
from diadem.node.archiving import Archived, Wishes, archive
from diadem.node.context import Context
from diadem.node.incoming import HandIn, HandInState, Incoming
from diadem.node.rules.engine import judge
from diadem.node.state import archive_state
from diadem.store.urls import local_path


@dataclass(frozen=True, slots=True)
class Handed:
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


def watch(
    context: Context,
    *,
    once: bool = False,
    every: float = 60.0,
    listener: Listener = silent,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Handed]:
    """Look again and again; archive what is finished. Nothing that people handed in is moved, changed or deleted.

    Parameters
    ----------
    context : Context
        The node.
    once : bool
        One look, and then end; every hand-in is told, not only those that changed.
    every : float
        Seconds between looks.
    listener : callable
        Told of progress.
    sleep : callable
        Waits for some seconds.

    Yields
    ------
    Handed
        Each hand-in whose state is new.

    Raises
    ------
    Interrupted
        On Ctrl-C.
    """
    context.require_writable()
    folders = {settings.name: _incoming(context, settings.name) for settings in context.settings.stores}
    told: dict[tuple[str, str], str] = {}
    try:
        while True:
            context.stores.look_again()
            for store, incoming in folders.items():
                if incoming is not None and context.stores.reachable(store):
                    for handed in _look(context, store, incoming, listener):
                        said = f"{handed.hand_in.state} {handed.hand_in.words} {handed.error}"
                        if handed.archived is not None or told.get((store, handed.hand_in.name)) != said:
                            told[store, handed.hand_in.name] = said
                            yield handed
            if once:
                return
            sleep(every)
    except KeyboardInterrupt as error:
        raise Interrupted(
            "watching was stopped; nothing is half archived", next="Start it again: diadem watch"
        ) from error


def _incoming(context: Context, name: str) -> Incoming | None:
    settings = context.settings.store(name)
    folder = local_path(settings.url)
    if folder is None or not context.stores.reachable(name):
        return None
    with contextlib.suppress(OSError):
        (folder / "incoming").mkdir(exist_ok=True)
    return Incoming(
        folder,
        context.stores.open(name),
        context.policy.archive.quiet,
        readers=tuple(context.tools.readers),
        clock=context.clock,
    )


def _look(context: Context, store: str, incoming: Incoming, listener: Listener) -> Iterator[Handed]:
    incoming.tidy()
    for hand_in in incoming.look(kept=lambda package: _is_kept(context, package)):
        if hand_in.state is not HandInState.READY:
            yield Handed(store, hand_in)
            continue
        try:
            seen = incoming.seen(hand_in)
            done = archive(context, hand_in.path, Wishes(now=True, as_one=True), listener=listener)
            incoming.archived(hand_in, seen, done.package.id, done.package.payload_id, proof=done.outcome.proof)
            yield Handed(store, hand_in, archived=done)
        except DiademError as error:
            if error.exit_code == 6:
                raise
            yield Handed(store, hand_in, error=error)


def _is_kept(context: Context, package: PackageId) -> bool:
    """Whether the policy wants no further copy of a package, and no damage of it is known."""
    try:
        state = context.catalogue.package_state(package)
    except DiademError:
        return False
    status = judge(context.policy, archive_state(context, packages=[state]), context.clock())
    return not any(
        finding.rule.startswith(("copies.minimum", "copies.kinds", "replica.")) for finding in status.findings
    )
