"""The pages of a node: which address shows what."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from diadem.errors import DiademError
from diadem.node.terminal import with_node
from diadem.page import (
    copies,
    dataset,
    dry_runs,
    exchange,
    files,
    handover,
    health,
    jobs,
    peers,
    people,
    record,
    results,
    samples,
    session,
    take_in,
    vendor,
)
from diadem.page.guard import UPLOAD, Guard, Keys
from diadem.page.html import error_page, status_of
from diadem.page.state import ASKED, PageState

if TYPE_CHECKING:
    from diadem.api.nodes import Node

#: A view is a plain function: what it asks of the node may read disks, so that it runs in a thread.
View = Callable[[PageState, Request], Response]

#: What is shown changes nothing; what is done comes from a form of ours (`POST`), and ends on a page that says so.
VIEWS: tuple[tuple[str, str, View], ...] = (
    ("GET", "/", results.home),
    ("GET", "/search", results.results),
    ("POST", "/search/save", results.save),
    ("POST", "/search/forget", results.forget),
    ("GET", "/picture/{package}", results.picture),
    ("GET", "/session/{package}", session.package),
    ("GET", "/session/{package}/correct", record.correct_form),
    ("POST", "/session/{package}/correct", record.correct),
    ("GET", "/session/{package}/judge", record.judge_form),
    ("POST", "/session/{package}/judge", record.judge),
    ("POST", "/session/{package}/judge/machine", record.judge_by_machine),
    ("POST", "/session/{package}/verify", copies.verify),
    ("GET", "/session/{package}/repair", copies.repair_form),
    ("POST", "/session/{package}/repair", copies.repair),
    ("GET", "/session/{package}/drop", copies.drop_form),
    ("POST", "/session/{package}/drop", copies.drop),
    ("POST", "/session/{package}/delete", copies.delete),
    ("GET", "/session/{package}/files", files.files),
    ("GET", "/session/{package}/zip", files.zipped),
    ("POST", "/session/{package}/restore", files.restore),
    ("GET", "/session/{package}/give", handover.give_form),
    ("POST", "/session/{package}/give", handover.give),
    ("GET", "/session/{package}/forms", handover.forms),
    ("POST", "/session/{package}/forms/{form}", handover.leave),
    ("GET", "/parcel/{word}", handover.parcel),
    ("GET", "/session/{package}/send", handover.send_form),
    ("POST", "/session/{package}/send", handover.send),
    ("POST", "/session/{package}/disk", handover.disk),
    ("POST", "/session/{package}/grant", handover.grant),
    ("POST", "/session/{package}/proof", handover.proof),
    ("GET", "/dry-run/{word}", dry_runs.dry_run),
    ("POST", "/dry-run/{word}", dry_runs.do_it),
    ("GET", "/session/{package}/{dataset}", dataset.dataset),
    ("GET", "/drawing/{package}/{dataset}", dataset.drawing),
    ("GET", "/numbers/{package}/{dataset}", dataset.numbers),
    ("GET", "/vendor/{package}/{dataset}", vendor.vendor),
    ("GET", "/file/{package}", files.file),
    ("GET", "/take-in", take_in.start),
    ("POST", "/take-in/look", take_in.look),
    ("POST", UPLOAD, take_in.upload),
    ("POST", "/take-in/watch", take_in.watch),
    ("POST", "/take-in/unwatch", take_in.unwatch),
    ("POST", "/take-in/watch-once", take_in.watch_once),
    ("GET", "/take-in/{proposal}", take_in.proposal),
    ("POST", "/take-in/{proposal}/look", take_in.look_again),
    ("POST", "/take-in/{proposal}/archive", take_in.archive),
    ("POST", "/take-in/{proposal}/take-in", take_in.take_in),
    ("POST", "/take-in/{proposal}/discard", take_in.discard),
    ("GET", "/health", health.health),
    ("GET", "/health/doctor", health.doctor),
    ("POST", "/health/repair", health.repair),
    ("POST", "/health/scrub", health.scrub),
    ("POST", "/health/rescan", health.rescan),
    ("POST", "/health/reindex", health.reindex),
    ("POST", "/health/confirm-recovery", health.confirm_recovery),
    ("POST", "/health/stores", health.add_store),
    ("POST", "/health/stores/{store}/move", health.move_store),
    ("POST", "/health/stores/{store}/forget", health.forget_store),
    ("POST", "/health/jobs/{job}/stop", health.stop_job),
    ("GET", "/exchange", exchange.exchange),
    ("GET", "/exchange/seen", exchange.seen),
    ("POST", "/exchange/now", exchange.exchange_now),
    ("GET", "/exchange/rules", exchange.rules),
    ("POST", "/exchange/rules", exchange.add_rule),
    ("POST", "/exchange/rules/{rule}/remove", exchange.remove_rule),
    ("GET", "/exchange/disk", exchange.disk),
    ("POST", "/exchange/disk", exchange.take_from_disk),
    ("GET", "/exchange/transfers/{transfer}", exchange.transfer),
    ("GET", "/exchange/transfers/{transfer}/pictures/{number}", exchange.offered_picture),
    ("POST", "/exchange/transfers/{transfer}/accept", exchange.accept),
    ("POST", "/exchange/transfers/{transfer}/decline", exchange.decline),
    ("POST", "/exchange/transfers/{transfer}/pause", exchange.pause),
    ("POST", "/exchange/transfers/{transfer}/resume", exchange.resume),
    ("POST", "/exchange/transfers/{transfer}/cancel", exchange.cancel),
    ("GET", "/exchange/peers", peers.peers),
    ("POST", "/exchange/peers/invite", peers.invite),
    ("POST", "/exchange/peers/join", peers.join),
    ("POST", "/exchange/peers/carriers", peers.add_carrier),
    ("POST", "/exchange/peers/carriers/{carrier}/remove", peers.remove_carrier),
    ("GET", "/exchange/peers/{peer}", peers.peer),
    ("POST", "/exchange/peers/{peer}/confirm", peers.confirm),
    ("POST", "/exchange/peers/{peer}/rename", peers.rename),
    ("POST", "/exchange/peers/{peer}/refresh", peers.refresh),
    ("POST", "/exchange/peers/{peer}/compromised", peers.compromised),
    ("POST", "/exchange/peers/{peer}/drop", peers.drop),
    ("GET", "/samples", samples.samples),
    ("POST", "/samples", samples.add),
    ("GET", "/samples/{sample}", samples.sample),
    ("GET", "/samples/{sample}/graph", samples.graph),
    ("GET", "/samples/{sample}/picture", samples.picture),
    ("POST", "/samples/{sample}/change", samples.change),
    ("POST", "/samples/{sample}/split", samples.split),
    ("POST", "/samples/{sample}/link", samples.link_names),
    ("POST", "/samples/{sample}/unlink", samples.unlink_names),
    ("POST", "/samples/{sample}/happened", samples.happened),
    ("POST", "/samples/{sample}/retract", samples.retract),
    ("GET", "/sheets/samples", samples.sheet),
    ("GET", "/people", people.people),
    ("POST", "/people/users", people.add_user),
    ("POST", "/people/invite", people.invite),
    ("GET", "/people/users/{user}", people.user),
    ("POST", "/people/users/{user}/retire", people.retire),
    ("GET", "/people/why", people.why),
    ("POST", "/people/grants", people.grant),
    ("GET", "/people/grants/{grant}", people.one_grant),
    ("POST", "/people/grants/{grant}/revoke", people.revoke),
    ("GET", "/jobs", jobs.all_jobs),
    ("GET", "/jobs/{job}", jobs.one_job),
    ("GET", "/jobs/{job}/events", jobs.job_events),
    ("POST", "/jobs/{job}/stop", jobs.stop_job),
)


def make_app(node: Node, keys: Keys, *, read_only: bool = False) -> Starlette:
    """The application that shows a node.

    Parameters
    ----------
    node : Node
        Opened, here or over the network; its owner closes it.
    keys : Keys
        Who is let in.
    read_only : bool
        Whether nothing may be changed.
    """
    state = PageState(node, keys.form_word, read_only=read_only)
    routes = [
        Route(path, partial(_answer, state, view), methods=[method], name=view.__name__) for method, path, view in VIEWS
    ]
    static = Mount("/static", StaticFiles(packages=[("diadem.page", "static")]))
    app = Starlette(
        routes=[*routes, static],
        middleware=[Middleware(Guard, keys=keys, read_only=read_only)],
        exception_handlers={HTTPException: _unknown},
    )
    app.state.jobs, app.state.staging, app.state.drawings = state.jobs, state.staging, state.drawings
    app.state.leaving = lambda: False  # whoever serves it knows better
    return app


async def _answer(state: PageState, view: View, request: Request) -> Response:
    """What a view gives, or a page that says why it cannot."""
    ASKED.set(request)
    try:
        return await run_in_threadpool(view, state, request)
    except DiademError as error:
        said = (with_node(text, state.at) for text in (error.message, error.next or ""))
        return error_page(status_of(error), *said, where=error.where or "")
    except Exception:  # a fault of ours: whoever looks after the node finds it in the terminal
        logging.getLogger(__name__).exception("%s", request.url.path)
        return error_page(500, "This page has a fault.", "The details are in the terminal of diadem page.")


async def _unknown(request: Request, error: Exception) -> Response:  # noqa: ARG001
    """An address that nothing answers, or a method that it does not take."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    return error_page(status, "There is no such page." if status == 404 else "This cannot be done here.")
