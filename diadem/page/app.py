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

from diadem.errors import DiademError, IntegrityError, NotFound, UsageError
from diadem.page import dataset, results, session, vendor
from diadem.page.guard import Guard, Keys
from diadem.page.html import error_page
from diadem.page.state import PageState

if TYPE_CHECKING:
    from diadem.api.nodes import Node

#: A view is a plain function: what it asks of the node may read disks, so that it runs in a thread.
View = Callable[[PageState, Request], Response]

VIEWS: tuple[tuple[str, View], ...] = (
    ("/", results.home),
    ("/search", results.results),
    ("/picture/{package}", results.picture),
    ("/session/{package}", session.package),
    ("/session/{package}/{dataset}", dataset.dataset),
    ("/drawing/{package}/{dataset}", dataset.drawing),
    ("/numbers/{package}/{dataset}", dataset.numbers),
    ("/vendor/{package}/{dataset}", vendor.vendor),
    ("/file/{package}", session.file),
    ("/health", session.health),
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
    state = PageState(node, read_only=read_only)
    routes = [Route(path, partial(_answer, state, view), name=view.__name__) for path, view in VIEWS]
    static = Mount("/static", StaticFiles(packages=[("diadem.page", "static")]))
    return Starlette(
        routes=[*routes, static],
        middleware=[Middleware(Guard, keys=keys, read_only=read_only)],
        exception_handlers={HTTPException: _unknown},
    )


async def _answer(state: PageState, view: View, request: Request) -> Response:
    """What a view gives, or a page that says why it cannot."""
    try:
        return await run_in_threadpool(view, state, request)
    except DiademError as error:
        return error_page(_status(error), error.message, error.next or "", where=error.where or "")
    except Exception:  # a fault of ours: whoever looks after the node finds it in the terminal
        logging.getLogger(__name__).exception("%s", request.url.path)
        return error_page(500, "This page has a fault.", "What went wrong stands in the terminal of diadem page.")


async def _unknown(request: Request, error: Exception) -> Response:  # noqa: ARG001
    """An address that nothing answers, or a method that it does not take."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    return error_page(status, "There is no such page." if status == 404 else "This cannot be done here.")


def _status(error: DiademError) -> int:
    if isinstance(error, NotFound):
        return 404
    return 400 if isinstance(error, UsageError) else 502 if isinstance(error, IntegrityError) else 409
