"""Taking in: a folder of this machine or an upload, what would be made of it, and the folders that are watched."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from diadem.errors import DiademError, Refused, UsageError
from diadem.model.plain_text import count_text
from diadem.model.ports import Listener
from diadem.page import proposals
from diadem.page.folders import Folder, look_into, path_of, place_of, roots, typed_path
from diadem.page.forms import Form
from diadem.page.html import whole
from diadem.page.jobs import Outcome, Work
from diadem.page.proposals import Proposal
from diadem.page.upload import take_upload

if TYPE_CHECKING:
    from diadem.page.state import PageState

#: Sessions of a proposal that one page shows, and known samples that it offers.
_MOST: Final = 100
_SAMPLES: Final = 1000
#: Seconds for which a look is waited for before its progress is shown.
_PATIENCE: Final = 1.5
LICENCES: Final = ("CC-BY-4.0", "CC0-1.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0")


def start(state: PageState, request: Request) -> Response:
    """Where sessions come from: a folder here, an upload, the folders that are watched."""
    if not _is_here(state):
        return state.page("take_in.html", here=False)
    typed, problem, folder = request.query_params.get("folder", ""), None, None
    path = path_of(request)
    try:
        if typed.strip():
            path = typed_path(typed)
        folder = look_into(path) if path else None
    except DiademError as error:
        problem = error
    return _start(state, path, folder, problem, typed={"folder": typed})


def _start(
    state: PageState, path: str, folder: Folder | None, problem: DiademError | None, typed: dict[str, str]
) -> Response:
    return state.page(
        "take_in.html",
        here=True,
        chosen=path,
        is_file=os.path.isfile(path),  # noqa: PTH113 - a Path raises where one may not look
        place=place_of(path) if path else "",
        folder=folder,
        roots=roots(),
        problem=problem,
        typed=typed,
        known=[one for one in state.proposals.ls() if one.sessions or one.packages or one.upload],
        freed=state.staging.freed,
        room=state.staging.room,
        watch=(report := state.node.watched.report()),
        watched=[(one, place_of(one.settings.folder)) for one in report.folders] if report is not None else [],
        stores=[("", "as the policy has it"), *((store.name, store.name) for store in state.node.stores)],
    )


def _is_here(state: PageState) -> bool:
    """Whether the node is on this machine: of one that is elsewhere, so would be the folders."""
    return hasattr(state.node, "archive_all")


# -- looking -------------------------------------------------------------------------------------------------------


def look(state: PageState, request: Request) -> Response:
    """Find out what would be made of a folder or file of this machine."""
    path = path_of(request) or typed_path(Form(request).needed("folder", "Folder or file"))
    found = state.proposals.add(path)

    def work(listener: Listener) -> Outcome:
        try:
            return proposals.look(state.node, found, listener)
        except BaseException:
            state.proposals.forget(found)
            raise

    try:
        return _look(state, found, work, back=f"/take-in?at={place_of(path)}")
    except DiademError:
        state.proposals.forget(found)
        raise


def upload(state: PageState, request: Request) -> Response:
    """Keep what a browser sends, and find out what would be made of it."""
    if not _is_here(state):
        raise Refused("this node is on another machine", next="Open its page there.")
    sent = take_upload(request, state.staging)
    return _look_at_upload(state, state.proposals.add(str(sent.source), sent))


def look_again(state: PageState, request: Request) -> Response:
    """Look at an upload of which that was not done to the end."""
    return _look_at_upload(state, state.proposals[request.path_params["proposal"]])


def _look_at_upload(state: PageState, found: Proposal) -> Response:
    """Find out what would be made of an upload; where that cannot be done now, it is kept all the same."""
    place = f"/take-in/{found.id}"
    if found.looked:
        return RedirectResponse(place, 303)
    try:
        return _look(state, found, partial(proposals.look, state.node, found), back=place)
    except DiademError as error:
        if not found.busy:
            found.problem = error
        return RedirectResponse(place, 303)


def _look(state: PageState, found: Proposal, work: Work, *, back: str) -> Response:
    with state.proposals.alone(found.id):
        found.job = job = state.jobs.begin(f"Look at {found.name}", work, back=back)
    if job.thread is not None:
        job.thread.join(_PATIENCE)
    return RedirectResponse(job.outcome.link if job.outcome is not None else f"/jobs/{job.id}", 303)


def proposal(state: PageState, request: Request) -> Response:
    """The sessions that would be made, to be edited and archived; and what became of those that were."""
    return _proposal(state, state.proposals[request.path_params["proposal"]])


def _proposal(state: PageState, found: Proposal, problem: DiademError | None = None) -> Response:
    numbered = list(enumerate(found.sessions))
    open_ = [(number, session) for number, session in numbered if not session.done]
    return state.page(
        "proposal.html",
        proposal=found,
        open=open_[:_MOST],
        done=[session for _, session in numbered if session.done],
        more=len(open_) - _MOST,
        samples=[sample.identifier for sample in state.node.samples.ls()[:_SAMPLES]],
        licences=LICENCES,
        policy=state.node.policy,
        problem=problem,
    )


# -- archiving -----------------------------------------------------------------------------------------------------


def archive(state: PageState, request: Request) -> Response:
    """Archive the sessions that were chosen, as they were edited."""
    form = Form(request)
    id_ = request.path_params["proposal"]
    try:
        with state.proposals.alone(id_) as found:
            if form.text("version") != str(found.version):
                raise Refused("something was archived since this was shown", next="Below is how it stands now.")
            chosen = _edited(form, found)
            title = f"Archive {count_text(len(chosen), 'session')} of {found.name}"
            now = form.flag("now") or found.upload is not None
            return _begin(state, found, title, partial(proposals.archive, state.node, found, chosen, now=now))
    except DiademError as error:
        return _proposal(state, state.proposals[id_], error)


def _begin(state: PageState, found: Proposal, title: str, work: Work) -> Response:
    """Begin a job that changes the archive with what lies in a proposal, which is held `alone`."""

    def work_and_forget(listener: Listener) -> Outcome:
        try:
            return work(listener)
        finally:
            state.forget()

    found.job = state.jobs.begin(title, work_and_forget, back=f"/take-in/{found.id}")
    return RedirectResponse(f"/jobs/{found.job.id}", 303)


def _edited(form: Form, found: Proposal) -> list[int]:
    """The numbers of the sessions that are to be archived; what was typed of each is kept in the proposal."""
    chosen = []
    for number, session in enumerate(found.sessions):
        if session.done or not form.text(f"shown-{number}"):
            continue
        said: dict[str, Any] = {
            key: form.edited(f"{key}-{number}", getattr(session.plan, key))
            for key in ("title", "date", "sample", "operator")
        }
        said["title"] = said["title"] or session.plan.title
        wanted = form.flag(f"archive-{number}")
        session.plan = replace(session.plan, archive=wanted, stated=True, **said)
        session.license = form.edited(f"license-{number}", session.license)
        if ";" in said["sample"]:
            raise UsageError(
                f"'{said['sample']}' names several samples", next="A session has one: write the name of that one."
            )
        if wanted:
            chosen.append(number)
    if not chosen:
        raise UsageError("no session was chosen", next="Tick those that are to be archived.")
    return chosen


def take_in(state: PageState, request: Request) -> Response:
    """Take in the packages that lie in what was looked at."""
    id_ = request.path_params["proposal"]
    try:
        with state.proposals.alone(id_) as found:
            title = f"Archive the packages of {found.name}"
            return _begin(state, found, title, partial(proposals.take_in, state.node, found))
    except DiademError as error:
        return _proposal(state, state.proposals[id_], error)


def discard(state: PageState, request: Request) -> Response:
    """Forget what was looked at; an upload is removed, a folder stays as it is."""
    with state.proposals.alone(request.path_params["proposal"]) as found:
        state.proposals.forget(found)
    return state.done(
        "The upload was removed." if found.upload else "Forgotten; the folder was not touched.", "/take-in"
    )


# -- watching ------------------------------------------------------------------------------------------------------


def watch(state: PageState, request: Request) -> Response:
    """Watch a folder from now on."""
    form = Form(request)
    path = path_of(request) or typed_path(form.needed("folder", "Folder"))
    try:
        added = state.node.watched.add(
            path,
            store=form.text("store"),
            set=[line.strip() for line in form.text("facts").splitlines() if line.strip()],
            new_only=form.flag("new_only"),
            poll=form.flag("poll"),
            depth=whole(form.text("depth", "1")),
        )
    except DiademError as error:
        return _start(state, path, _folder(path), error, form.typed)
    state.forget()
    return state.done(f"{added.settings.folder} is watched from now on.", "/take-in#watched")


def _folder(path: str) -> Folder | None:
    try:
        return look_into(path)
    except DiademError:
        return None


def unwatch(state: PageState, request: Request) -> Response:
    """Watch a folder no longer."""
    gone = state.node.watched.rm(path_of(request))
    state.forget()
    return state.done(f"{gone.folder} is watched no longer. Nothing in it was touched.", "/take-in#watched")


def watch_once(state: PageState, request: Request) -> Response:
    """Look into the watched folders once, and archive what is finished."""
    path = path_of(request) or None

    def work(listener: Listener) -> Outcome:
        lines, archived = [], 0
        try:
            for one in state.node.watch(path, once=True, listener=listener):
                found = one.to_dict()
                made = found["archived"] or []
                archived += len(made) if isinstance(made, list) else 1
                where = found["store"] + "/incoming" if "store" in found else found["folder"]
                said = found["error"]["message"] if found["error"] else found["words"]
                name = "/".join(filter(None, (where, found.get("name") or found.get("session"))))
                lines.append(f"{name}: {found['state']}" + (f", {said}" if said else ""))
        finally:
            state.forget()
        return Outcome(f"Looked once: {count_text(archived, 'session')} archived", "/take-in#watched", tuple(lines))

    return state.begin("Look into the watched folders", work, back="/take-in#watched")
