"""Long work that a page has begun: it goes on when the tab closes, tells how far it is, and stops when asked to."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from diadem.errors import DiademError, Interrupted, NotFound, Refused
from diadem.model.plain_text import size_text
from diadem.model.ports import Listener, Progress

if TYPE_CHECKING:
    from diadem.page.state import PageState

#: Ended jobs that are remembered.
_KEPT: Final = 50
#: Jobs at once: more would be slower than one after the other.
_AT_ONCE: Final = 4
#: Seconds between two words about a job, and for which one line of words lasts; the browser then asks again.
_BEAT: Final = 0.5
_LASTS: Final = 600.0
#: Seconds that the page waits in the end for jobs that it has asked to stop.
_FAREWELL: Final = 15.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How work ended: in a sentence, with an address of ours where its result is, and what was told on the way."""

    text: str
    link: str = ""
    lines: Sequence[str] = ()
    label: str = "Look at it"


#: Long work: it is given a listener, which raises `KeyboardInterrupt` when it is to stop.
Work = Callable[[Listener], Outcome]


@dataclass(slots=True)
class PageJob:
    """One piece of long work.

    Its state is ``running``, ``done``, ``failed`` or ``stopped``. `back` is the page from which it was begun, by a
    `form` that was sent.
    """

    id: str
    title: str
    back: str
    began: datetime
    form: str = field(default="", repr=False)
    state: str = "running"
    stopping: bool = False
    progress: Progress | None = None
    outcome: Outcome | None = None
    error: DiademError | None = None
    thread: threading.Thread | None = field(default=None, repr=False)

    @property
    def share(self) -> float | None:
        """How much of the present stage is done, from 0 to 1; None where that is not known."""
        if self.state != "running":
            return 1.0
        told = self.progress
        return min(1.0, told.done / told.total) if told is not None and told.total > 0 else None

    @property
    def words(self) -> str:
        """How it stands, in a line."""
        if self.error is not None:
            return self.error.message
        if self.outcome is not None:
            return self.outcome.text
        if self.stopping:
            return "stopping …"
        if (told := self.progress) is None:
            return "beginning …"
        counted = tuple(map(size_text, (told.done, told.total))) if told.unit == "B" else (told.done, told.total)
        amount = f"{counted[0]} of {counted[1]}" if told.total else f"{counted[0]}"
        return f"{told.stage}: {amount}{'' if told.unit == 'B' else f' {told.unit}'} {told.item}".rstrip()

    def to_dict(self) -> dict[str, Any]:
        """What is told to the browser while it lasts."""
        return {"state": self.state, "share": self.share, "words": self.words}


class Jobs:
    """All long work of one run of the page. Safe to use from several threads."""

    def __init__(self) -> None:
        self._jobs: dict[str, PageJob] = {}
        self._lock = threading.Lock()

    def begin(self, title: str, work: Work, *, back: str, form: str = "") -> PageJob:
        """Begin work in a thread of its own. Raises `Refused` where too much is going on already.

        A second click sends the same `form`, and finds the job that the first has begun.
        """
        with self._lock:
            running = self._running()
            for job in running:
                if form and job.form == form and not job.stopping:
                    return job
            if len(running) >= _AT_ONCE:
                raise Refused(
                    f"{_AT_ONCE} jobs are running already",
                    where=title,
                    next="Wait until one has ended, or stop one, under Jobs.",
                )
            job = PageJob(secrets.token_hex(6), title, back, datetime.now().astimezone(), form)
            self._jobs[job.id] = job
            ended = [known.id for known in self._jobs.values() if known.state != "running"]
            for old in ended[: max(0, len(ended) - _KEPT)]:
                del self._jobs[old]
            job.thread = threading.Thread(target=_run, args=(job, work), name=f"job {title}", daemon=True)
            job.thread.start()
        return job

    def __iter__(self) -> Iterator[PageJob]:
        """The newest first."""
        with self._lock:
            return iter(list(self._jobs.values())[::-1])

    def __getitem__(self, id_: str) -> PageJob:
        with self._lock:
            if (job := self._jobs.get(id_)) is None:
                raise NotFound("This job is not known any more.", next="See the list of jobs, or: diadem jobs")
            return job

    @property
    def running(self) -> int:
        """How many are going on."""
        with self._lock:
            return len(self._running())

    def _running(self) -> list[PageJob]:
        return [job for job in self._jobs.values() if job.state == "running"]

    def stop_all(self) -> None:
        """Ask all to stop, and wait a little; one that waits for a silent machine is left as if killed."""
        with self._lock:
            running = self._running()
        for job in running:
            job.stopping = True
        end = time.monotonic() + _FAREWELL
        for job in running:
            if job.thread is not None:
                job.thread.join(max(0.0, end - time.monotonic()))


def _run(job: PageJob, work: Work) -> None:
    def listen(progress: Progress) -> None:
        job.progress = progress
        if job.stopping:
            raise KeyboardInterrupt  # everybody on the way up treats it as Ctrl-C: what was done is kept

    try:
        job.outcome = work(listen)
        job.state = "done"
    except (KeyboardInterrupt, Interrupted) as error:
        job.error = error if isinstance(error, Interrupted) else Interrupted("it was stopped; what was done is kept")
        job.state = "stopped"
    except DiademError as error:
        job.error = error
        job.state = "failed"
    except BaseException:  # a fault of ours: whoever looks after the node finds it in the terminal
        logging.getLogger(__name__).exception("%s", job.title)
        job.error = Refused("this work has a fault", next="The details are in the terminal of diadem page.")
        job.state = "failed"


def all_jobs(state: PageState, request: Request) -> Response:
    """What this page has begun, and what the node is at elsewhere."""
    del request
    others = state.node.jobs[:_KEPT] if state.has("jobs") else []
    return state.page("jobs.html", jobs=list(state.jobs), others=others)


def one_job(state: PageState, request: Request) -> Response:
    """How one piece of work stands."""
    return state.page("job.html", job=state.jobs[request.path_params["job"]])


def stop_job(state: PageState, request: Request) -> Response:
    """Ask one to stop; what it has done is kept."""
    job = state.jobs[request.path_params["job"]]
    job.stopping = True
    return RedirectResponse(f"/jobs/{job.id}", 303)


def job_events(state: PageState, request: Request) -> Response:
    """How it stands, told as server-sent events until it has ended."""
    job = state.jobs[request.path_params["job"]]

    async def told() -> AsyncIterator[bytes]:
        end = time.monotonic() + _LASTS
        last = ""
        while time.monotonic() < end:
            now = json.dumps(job.to_dict())
            if now != last:
                yield f"data: {now}\n\n".encode()
                last = now
            if job.state != "running":
                return
            await asyncio.sleep(_BEAT)

    return StreamingResponse(told(), media_type="text/event-stream")
