"""What all pages of one run share: the node, the light that says how it stands, and pictures that were read before."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse

from diadem.errors import DiademError
from diadem.page.dry_runs import DryRuns
from diadem.page.html import link, page
from diadem.page.jobs import Jobs, PageJob, Work
from diadem.page.parcels import Parcels

if TYPE_CHECKING:
    from diadem.api.nodes import Node
    from diadem.node.rules.status import Status

#: Seconds for which the light is believed; judging a large archive takes some.
_FRESH: Final = 30.0
#: Bytes of pictures that are kept.
_MOST: Final = 48 << 20
#: Sentences that wait for the page that shows them.
_MOST_NOTICES: Final = 100
#: The request that is being answered.
ASKED: ContextVar[Request] = ContextVar("asked")


@dataclass(frozen=True, slots=True)
class Light:
    """How the archive stands, in a word: ``green``, ``amber``, ``red``, or ``grey`` while that is being found out."""

    colour: str
    text: str


class PageState:
    """A node, as its pages see it. Safe to use from several threads.

    Parameters
    ----------
    node : Node
        Opened.
    form_word : str
        What every form sends along.
    read_only : bool
        Whether nothing may be changed.
    """

    def __init__(self, node: Node, form_word: str, *, read_only: bool = False) -> None:
        self.node, self.read_only = node, read_only
        self.jobs = Jobs()
        self._form_word = form_word
        self._notices: OrderedDict[str, str] = OrderedDict()
        self._status: Status | None = None
        self._failure = ""
        self._asked = -_FRESH
        self._asking = threading.Lock()
        self._pictures: OrderedDict[str, Mapping[str, bytes]] = OrderedDict()
        self._held = 0
        self._guard = threading.Lock()
        self.dry_runs, self.parcels = DryRuns(), Parcels()
        #: Why a download of a package ended early, by its id: the browser cannot say.
        self.broken: dict[str, DiademError] = {}

    def page(self, template: str, **values: Any) -> HTMLResponse:
        """A page with what stands on all of them.

        Where what was asked for could not be done, `problem` is the error, and `typed` what stood in the form.
        """
        asked = ASKED.get()
        common = {
            "node": self.node,
            "light": self.light(),
            "read_only": self.read_only,
            "form_word": self._form_word,
            "path": asked.url.path,
            "running": self.jobs.running,
            "notice": self._notice(asked.query_params.get("notice", "")),
            "problem": None,
            "typed": {},
            "query": "",
            "focus": False,
        }
        answer = page(template, common | values)
        if values.get("problem") is not None:
            answer.status_code = 409
        return answer

    def done(self, text: str, place: str) -> RedirectResponse:
        """Go to a page that says what was done: loading it anew does nothing twice.

        The sentence itself stays here, so that no address made elsewhere can put words into a page.
        """
        word = secrets.token_hex(6)
        with self._guard:
            self._notices[word] = text
            while len(self._notices) > _MOST_NOTICES:
                self._notices.popitem(last=False)
        path, _, anchor = place.partition("#")
        path = f"{path}{'&' if '?' in path else '?'}notice={word}"
        return RedirectResponse(f"{path}#{anchor}" if anchor else path, 303)

    def _notice(self, word: str) -> str:
        with self._guard:
            return self._notices.pop(word, "")

    def begin(self, title: str, work: Work, *, back: str, patience: float = 0.0) -> RedirectResponse:
        """Begin long work, and go to the page that shows how far it is.

        What ends within `patience` seconds is told as a short deed is: for work that waits for another machine, which
        may be away.
        """
        job: PageJob = self.jobs.begin(title, work, back=back)
        if patience and job.thread is not None:
            job.thread.join(patience)
            if job.state == "done" and job.outcome is not None:
                return self.done(job.outcome.text, job.outcome.link or back)
            if job.state == "failed" and job.error is not None:
                raise job.error
        return RedirectResponse(link(f"/jobs/{job.id}"), 303)

    def title(self, package: str) -> str:
        """What a session is called; where no copy of it can be read now, the beginning of its id."""
        try:
            return self.node.show(package).title
        except DiademError:
            return package.removeprefix("diadem:")[:12]

    def forget(self) -> None:
        """Look anew how the archive stands: something was changed."""
        self._asked = -_FRESH

    def light(self) -> Light:
        """How the archive stood a short while ago; nobody waits for it."""
        if time.monotonic() - self._asked > _FRESH and self._asking.acquire(blocking=False):
            self._asked = time.monotonic()
            threading.Thread(target=self._look, name="status", daemon=True).start()
        if self._failure:
            return Light("red", self._failure)
        if (status := self._status) is None:
            return Light("grey", "checking the copies …")
        if not status.ok:
            broken = [line for line in status.rules if line.mark == "broken"]
            return Light("red", broken[0].text if broken else "something is at risk")
        warned = [line for line in status.rules if line.mark == "warning"]
        return Light("amber", warned[0].text) if warned else Light("green", "every rule holds")

    def _look(self) -> None:
        try:
            self._status, self._failure = self.node.status(), ""
        except DiademError as error:
            self._failure = error.message
        finally:
            self._asked = time.monotonic()
            self._asking.release()

    def pictures(self, package: str) -> Mapping[str, bytes]:
        """The small pictures of a package's datasets, read once. Raises `DiademError` where no copy can be read."""
        with self._guard:
            if (known := self._pictures.get(package)) is not None:
                self._pictures.move_to_end(package)
                return known
        found = self.node.previews(package)
        with self._guard:
            if package not in self._pictures:
                self._pictures[package] = found
                self._held += _weight(found)
            while self._held > _MOST and len(self._pictures) > 1:
                _, gone = self._pictures.popitem(last=False)
                self._held -= _weight(gone)
        return found


def _weight(pictures: Mapping[str, bytes]) -> int:
    return 256 + sum(map(len, pictures.values()))
