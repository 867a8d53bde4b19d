"""What came by post: a disk that was written for this node, a ZIP, or the folder of a package."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from diadem.errors import DiademError
from diadem.model.plain_text import count_text, size_text
from diadem.model.ports import Listener
from diadem.page.exchange import PATIENCE, PLACE
from diadem.page.forms import Form
from diadem.page.html import link
from diadem.page.jobs import Outcome
from diadem.page.state import PageState

DISK: Final = f"{PLACE}/disk"


def disk(state: PageState, request: Request, **more: Any) -> Response:
    """Where something lies that came by post."""
    typed = {"folder": request.query_params.get("folder", "")}
    stores = [(store.name, store.name) for store in state.node.stores.ls() if not store.read_only]
    return state.page("disk.html", stores=[("", "the first with room"), *stores], **{"typed": typed, **more})


def take_in(state: PageState, request: Request) -> Response:
    """Look what is on it, or take it in: either proves every byte."""
    form = Form(request)
    try:
        folder = form.path("folder", "Folder or ZIP")
        work = partial(_take, state, folder, form.text("store")) if form.flag("take") else partial(_look, state, folder)
        return state.begin("Import what came by post", work, back=link(DISK, folder=folder), patience=PATIENCE)
    except DiademError as error:
        return disk(state, request, problem=error, typed=form.typed)


def _look(state: PageState, folder: Path, listener: Listener) -> Outcome:
    found, again = state.node.import_(folder, dry_run=True, listener=listener), link(DISK, folder=folder)
    if found.offered is None:
        told = ", ".join(f"{id_[:19]}…" for id_ in found.found)
        return Outcome(f"{count_text(len(found.found), 'package')}, proven whole: {told}", again)
    one = found.offered
    what = f"{one.title}, {size_text(one.bytes)}, from {one.sender}"
    return Outcome(f"{what}: the offer was checked, and waits for your answer.", again)


def _take(state: PageState, folder: Path, store: str, listener: Listener) -> Outcome:
    done = state.node.import_(folder, store=store or None, listener=listener)
    state.forget()
    if (one := done.offered) is None:
        text = f"{count_text(len(done.found), 'package')} taken in, every byte proven."
        return Outcome(text, f"/session/{done.found[0].removeprefix('diadem:')}")
    return Outcome(f"{one.title} is {one.state}. {one.error} {one.next}".strip(), f"{PLACE}/transfers/{one.id}")
