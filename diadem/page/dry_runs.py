"""What would be done, shown before it is: a deed that needs a second button waits here for it, and is done once."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from starlette.requests import Request
from starlette.responses import Response

from diadem.errors import NotFound, Refused
from diadem.model.ports import silent

if TYPE_CHECKING:
    from diadem.page.jobs import Work
    from diadem.page.state import PageState

#: Dry runs that wait; the oldest is forgotten.
_MOST: Final = 100


@dataclass(frozen=True, slots=True)
class DryRun:
    """What would be done, and what does it.

    Attributes
    ----------
    title : str
        Of the deed, and of the job that does it.
    text : str
        What would be done, in a sentence.
    facts : sequence of (str, str)
        What is to be known before.
    lines, doubts : sequence of str
        More of it, and what speaks against it.
    button : str
        What is written on the second button.
    work : callable
        Does it.
    back, leave : str
        Where the job leads back to; where one goes who does not want it, by default the same.
    danger : bool
        Whether it cannot be undone.
    at_once : bool
        Whether it is done before the answer, and not as a job: a statement that is signed.
    """

    title: str
    text: str
    button: str
    work: Work
    back: str
    facts: Sequence[tuple[str, str]] = ()
    lines: Sequence[str] = ()
    doubts: Sequence[str] = ()
    danger: bool = False
    leave: str = ""
    at_once: bool = False


class DryRuns:
    """The dry runs of one run of the page. Safe to use from several threads."""

    def __init__(self) -> None:
        self._runs: OrderedDict[str, DryRun] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, run: DryRun) -> str:
        """Keep one; the address of the page that shows it."""
        word = secrets.token_hex(8)
        with self._lock:
            self._runs[word] = run
            while len(self._runs) > _MOST:
                self._runs.popitem(last=False)
        return f"/dry-run/{word}"

    def __getitem__(self, word: str) -> DryRun:
        with self._lock:
            if (run := self._runs.get(word)) is None:
                raise _gone()
            return run

    def take(self, word: str) -> DryRun:
        """One that is done now: a second click, or a second tab, finds it no more."""
        with self._lock:
            if (run := self._runs.pop(word, None)) is None:
                raise _gone()
            return run

    def put_back(self, word: str, run: DryRun) -> None:
        """One that could not be begun waits on."""
        with self._lock:
            self._runs[word] = run


def _gone() -> NotFound:
    return NotFound(
        "This was done already, or is not known any more.", next="See Jobs; or start again from the session."
    )


def dry_run(state: PageState, request: Request) -> Response:
    """What would be done, and the button that does it."""
    word = request.path_params["word"]
    return state.page("dry_run.html", run=state.dry_runs[word], word=word)


def do_it(state: PageState, request: Request) -> Response:
    """Do what the dry run has shown."""
    word = request.path_params["word"]
    run = state.dry_runs.take(word)
    if run.at_once:
        outcome = run.work(silent)
        return state.done(outcome.text, outcome.link or run.back)
    try:
        return state.begin(run.title, run.work, back=run.back)
    except Refused:  # too many jobs are running
        state.dry_runs.put_back(word, run)
        raise
