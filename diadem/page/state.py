"""What all pages of one run share: the node, the light that says how it stands, and pictures that were read before."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from diadem.api.staging import Parcels, Staging
from diadem.errors import DiademError
from diadem.model.plain_text import count_text
from diadem.model.vendor import tree_of
from diadem.node.terminal import node_option
from diadem.page.drawings import Drawings
from diadem.page.dry_runs import DryRuns
from diadem.page.html import link, page
from diadem.page.jobs import Jobs, PageJob, Work
from diadem.page.proposals import Proposals

if TYPE_CHECKING:
    from diadem.api.nodes import Node
    from diadem.model.record import Dataset
    from diadem.policy.status import Status

#: Seconds for which the light is believed, and at least as many times as long as judging the archive took.
_FRESH: Final = 30.0
#: Seconds for which what other nodes have answered is fresh.
_ANSWERED: Final = 15.0
#: Bytes of pictures that are kept.
_MOST: Final = 48 << 20
#: Sentences that wait for the page that shows them.
_MOST_NOTICES: Final = 100
#: The request that is being answered.
ASKED: ContextVar[Request] = ContextVar("asked")
#: Datasets of which the record is remembered.
_MOST_DATASETS: Final = 64


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
        self.proposals, self.staging = Proposals(), Staging()
        self.post = Post(node)
        self._form_word = form_word
        self._notices: OrderedDict[str, str] = OrderedDict()
        self._light = Light("grey", "checking the copies …")
        self._away: Sequence[str] = ()
        self._news: Sequence[Light] = ()
        self._asked, self._fresh, self._changed = -_FRESH, _FRESH, 0
        self._asking, self._judging = threading.Lock(), threading.Lock()
        self._pictures: OrderedDict[str, Mapping[str, bytes]] = OrderedDict()
        self._held = 0
        self._guard = threading.Lock()
        self.dry_runs, self.parcels = DryRuns(), Parcels(self.staging)
        #: Why a download of a package ended early, by its id: the browser cannot say.
        self.broken: dict[str, DiademError] = {}
        self.drawings = Drawings(node)
        self._vendor: tuple[tuple[str, str], Mapping[str, Any]] = (("", ""), {})
        self._datasets: OrderedDict[tuple[str, str], Dataset] = OrderedDict()

    def forget(self) -> None:
        """Something was changed: look anew how the archive stands, and what the records say."""
        self._changed += 1
        self._asked = time.monotonic() - self._fresh - 1
        with self._guard:
            self._datasets.clear()
        self.drawings.forget()

    def dataset(self, package: str, id_: str) -> Dataset:
        """What the record says of a dataset, for drawing it; as it was said a while ago, where that is known."""
        with self._guard:
            known = self._datasets.get((package, id_))
        if known is None:
            known = replace(self.node.get(package).record.datasets[id_], holder=None)
            with self._guard:
                self._datasets[package, id_] = known
                while len(self._datasets) > _MOST_DATASETS:
                    self._datasets.popitem(last=False)
        return known

    def vendor(self, package: str, id_: str) -> Mapping[str, Any]:
        """The vendor's metadata of a dataset as one tree; the one that was asked for last is kept."""
        with self._guard:
            key, known = self._vendor
        if key != (package, id_):
            known = tree_of(self.node.get(package).record.datasets[id_].vendor())
            with self._guard:
                self._vendor = ((package, id_), known)
        return known

    def page(self, template: str, **values: Any) -> Response:
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
            "away": self.away,
            "python": self.python,
            "at": self.at,
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
        """Begin long work, and go to the page that shows how far it is; see `Jobs.begin`.

        What ends within `patience` seconds is told as a short deed is: for work that waits for another machine, which
        may be away.
        """
        asked = ASKED.get()
        form = repr((asked.url.path, asked.url.query, asked.scope.get("form")))
        job: PageJob = self.jobs.begin(title, work, back=back, form=form)
        if patience and job.thread is not None:
            job.thread.join(patience)
            if job.state == "done" and job.outcome is not None:
                return self.done(job.outcome.text, job.outcome.link or back)
            if job.state == "failed" and job.error is not None:
                raise job.error
        return RedirectResponse(link(f"/jobs/{job.id}"), 303)

    def has(self, verb: str) -> bool:
        """Whether the node has a verb: one that is asked over the network has not all of them."""
        return hasattr(self.node, verb)

    def title(self, package: str) -> str:
        """What a session is called, as the catalogue knows it; else the beginning of its id."""
        short = package.removeprefix("diadem:")
        found = self.node.search(f"id:{short}", limit=1).rows
        return found[0].title if found else f"{short[:12]}…"

    @property
    def python(self) -> str:
        """How the node is opened in Python."""
        if url := getattr(self.node, "url", None):
            return f"diadem.connect({str(url)!r})"
        return f"diadem.open_node({str(self.node.path)!r})"

    @property
    def at(self) -> str:
        """What a command in a terminal needs to act on this node."""
        if (place := getattr(self.node, "url", None)) is None:
            context = self.node.context  # of a store that is read from elsewhere the folder is a cache
            place = context.folder if context.writable else context.settings.stores[0].url
        return node_option(str(place), elsewhere=True)

    def light(self) -> Light:
        """How the archive stood a short while ago; nobody waits for it."""
        if not self.has("status"):
            return Light("grey", "how it stands: on its own machine")
        if time.monotonic() - self._asked > self._fresh and self._asking.acquire(blocking=False):
            self._asked = time.monotonic()
            threading.Thread(target=self._look, name="status", daemon=True).start()
        return self._light

    @property
    def away(self) -> Sequence[str]:
        """Stores that did not answer a short while ago and should have; one that lies in a drawer need not."""
        return self._away

    @property
    def news(self) -> Sequence[Light]:
        """What waits, as of a short while ago: offers, watched folders."""
        return self._news

    def _look(self) -> None:
        try:
            self.status()
            self._news = (*_offers(self.node), *_watched(self.node))
        except DiademError as error:
            self._light = Light("red", error.message)
        finally:
            self._asking.release()

    def status(self) -> Status:
        """How the archive stands now. One at a time is judged: of a large archive that takes time and memory.

        Raises
        ------
        DiademError
            It cannot be told.
        """
        with self._judging:
            began, changed = time.monotonic(), self._changed
            status = self.node.status()
            self._fresh = _FRESH * max(1.0, time.monotonic() - began)
            self._asked = time.monotonic() - (0.0 if changed == self._changed else self._fresh + 1)
            self._light = _light_of(status)
            self._away = [one.name for one in status.stores if not one.reachable and one.kind != "cold"]
        return status

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


class Post:
    """Hands over what waits here for other nodes, and takes what waits there, in the background: no page waits for it.

    Parameters
    ----------
    node : Node
        Opened.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._asking = threading.Lock()
        self._last = -_ANSWERED
        self.asked: datetime | None = None
        self.problem = ""

    @property
    def asking(self) -> bool:
        """Whether it is being asked just now."""
        return self._asking.locked()

    def ask(self) -> None:
        """Begin to ask, unless that was done a moment ago."""
        if time.monotonic() - self._last > _ANSWERED and self._asking.acquire(blocking=False):
            threading.Thread(target=self._ask, name="post", daemon=True).start()

    def _ask(self) -> None:
        try:
            self._node.inbox()  # waits five seconds at most; who does not answer is asked again the next time
            self.problem = ""
        except DiademError as error:
            self.problem = error.message
        finally:
            self.asked, self._last = datetime.now().astimezone(), time.monotonic()
            self._asking.release()


def _offers(node: Node) -> Iterator[Light]:
    """Offers that wait for an answer; a node elsewhere is not asked to look for some."""
    with suppress(DiademError):
        if count := len(node.transfers.inbox()):
            yield Light("amber", f"{count_text(count, 'offer')} {'waits' if count == 1 else 'wait'} for an answer")


def _watched(node: Node) -> Iterator[Light]:
    """Folders that are watched for new sessions, and whether anybody does."""
    with suppress(DiademError):
        report = node.watched.report()
        if report is None:
            return
        for folder in report.folders:
            name = folder.settings.folder
            waiting = [one for one in folder.sessions if one.state == "waiting"]
            more = f", {count_text(len(waiting), 'session')} not archived yet" if waiting else ""
            if not report.running:
                yield Light("red", f"nobody watches {name}{more}")
            elif folder.state in ("away", "refused"):
                yield Light("red", f"{name}: {folder.words}")
            else:
                yield Light("green", f"watching {name}{more}")


def _light_of(status: Status) -> Light:
    """The worst rule, in its words."""
    if not status.ok:
        broken = [line for line in status.rules if line.mark == "broken"]
        return Light("red", broken[0].text if broken else "something is at risk")
    warned = [line for line in status.rules if line.mark == "warning"]
    return Light("amber", warned[0].text) if warned else Light("green", "every rule holds")


def _weight(pictures: Mapping[str, bytes]) -> int:
    return 256 + sum(map(len, pictures.values()))
