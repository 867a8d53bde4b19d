"""The copies of a session: read now, mended, dropped; and the session deleted. What removes is shown dry first."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from diadem.errors import DiademError, NotFound
from diadem.model.plain_text import count_text, date_text, size_text
from diadem.model.ports import Listener
from diadem.model.report import STRANGER, Report
from diadem.page.dry_runs import DryRun
from diadem.page.forms import Form
from diadem.page.jobs import Outcome
from diadem.page.state import PageState

if TYPE_CHECKING:
    from diadem.node.keep.drop import Dropped
    from diadem.node.keep.scrub import Scrubbed
    from diadem.node.repair import Repaired

#: Faults of one copy that are told.
_MOST: Final = 5


def verify(state: PageState, request: Request) -> Response:
    """Read every copy whole and compare it with what was sealed; of a node elsewhere, what it gives us."""
    package = request.path_params["package"]
    place, node = f"/session/{package}", state.node

    def work(listener: Listener) -> Outcome:
        if not hasattr(node, "scrub"):
            report = node.get(package).verify(listener=listener)
            text = "Every byte is right." if report.ok else "What the node sent is damaged."
            return Outcome(text, place, tuple(_faults(report)), label="Back to the session")
        done = node.scrub(package=package, listener=listener)
        state.forget()
        lines = tuple(_copy_lines(state, package, done))
        if done.damaged:
            text = f"{count_text(len(done.damaged), 'copy is', 'copies are')} not what was archived."
            return Outcome(text, f"{place}/repair", lines, label="Repair …")
        right = f"Every byte of {count_text(done.proven + done.skipped, 'copy', 'copies')} is right"
        text = f"{right}: {size_text(done.bytes)} read." if done.proven + done.skipped else "No copy could be read."
        return Outcome(text, place, lines, label="Back to the session")

    return state.begin(f"Verify {state.title(package)}", work, back=place)


def _copy_lines(state: PageState, package: str, done: Scrubbed) -> Iterator[str]:
    """What became of each copy, in plain words."""
    damaged = {one.store: one for one in done.damaged}
    unread, read = dict(done.unread), {store.name for store in state.node.stores.ls()}
    try:
        copies = state.node.show(package).copies
    except DiademError:  # no copy is good enough to be shown
        copies = [{"store": store, "place": one.path} for store, one in damaged.items()]
    for copy in copies:
        store = copy["store"]
        if store in damaged and damaged[store].state == "missing":
            yield f"{store}: the copy is gone ({copy['place']})"
        elif store in damaged:
            yield f"{store}: damaged ({copy['place']})"
            yield from (f"{store}: {fault}" for fault in _faults(damaged[store].report))
        elif store in unread:
            yield f"{store}: not read: {unread[store]}"
        elif copy.get("adopted"):
            yield f"{store}: not read by this: a folder that was adopted is compared under Health ({copy['place']})"
        elif store not in read:
            yield f"{store}: not read by this ({copy['place']})"
        else:
            proven = f", proven {date_text(copy['proven_at'])}" if copy["proven_at"] else ""
            yield f"{store}: every byte is right{proven}"
    yield from done.notes


def _faults(report: Report) -> Iterator[str]:
    errors = [finding for finding in report.findings if finding.severity == "error"]
    for finding in errors[:_MOST]:
        yield f"{finding.path}: {finding.message}" if finding.path else finding.message
        if finding.code == STRANGER:
            yield "What does not belong there can be set aside when the copy is repaired."
    if len(errors) > _MOST:
        yield f"and {len(errors) - _MOST} more"


def repair_form(state: PageState, request: Request) -> Response:
    """What a repair would do now, and what it waits for."""
    package = request.path_params["package"]
    return state.page("repair.html", short=package, would=state.node.repair(package, dry_run=True))


def repair(state: PageState, request: Request) -> Response:
    """Mend damaged copies and write missing ones."""
    package, aside = request.path_params["package"], Form(request).flag("aside")
    place = f"/session/{package}"

    def work(listener: Listener) -> Outcome:
        done = state.node.repair(package, set_aside=aside, listener=listener)
        state.forget()
        lines = tuple(_repair_lines(done))
        text = (
            "Every copy that the policy wants is there and right." if done.ok else "Not everything could be done now."
        )
        return Outcome(text, place, lines, label="Back to the session")

    return state.begin(f"Repair {state.title(package)}", work, back=place)


def _repair_lines(done: Repaired) -> Iterator[str]:
    for _, store, made in done.mended:
        leaf = f", leaf {made.leaf}" if made.leaf is not None else ""
        yield f"{store}: mended {made.path}{leaf}, from {made.source.removeprefix('replica:')}"
    yield from (f"{copy.store}: written again, {copy.path}" for _, copy in done.copies)
    yield from (f"{store}: parity was made" for _, store in done.parity)
    yield from (f"{store}: {path} was set aside, to {to}" for _, store, path, to in done.set_aside)
    yield from done.notes
    yield from (f"{one.store}: not mended: {one.path}: {one.reason}" for one in done.left)
    yield from (f"{debt.store}: a copy is owed: {debt.reason}" for debt in done.debts)
    yield from done.problems
    yield from done.wanting


# -- giving up -----------------------------------------------------------------------------------------------------


def drop_form(state: PageState, request: Request) -> Response:
    """Which copy could be dropped; and the whole session, where its time is over."""
    return _drop_page(state, request.path_params["package"])


def _drop_page(state: PageState, package: str, problem: DiademError | None = None, **typed: str) -> Response:
    about = state.node.show(package).to_dict()
    return state.page("drop.html", short=package, about=about, problem=problem, typed=typed)


def drop(state: PageState, request: Request) -> Response:
    """Prove the other copies now, and show what would be dropped; nothing is removed yet."""
    package, form = request.path_params["package"], Form(request)
    place = f"/session/{package}"
    wishes = {"below_minimum": form.flag("below_minimum"), "clock_is_right": form.flag("clock_is_right")}
    try:
        store, reason = form.needed("store", "Copy"), form.needed("reason", "Why")
    except DiademError as error:
        return _drop_page(state, package, error, **form.typed)

    def really(listener: Listener) -> Outcome:
        done = state.node.drop(package, store, reason=reason, **wishes, listener=listener)
        state.forget()
        said = "; ".join(done.notes) or f"the copy in {store} was dropped, {size_text(done.bytes)} are free"
        return Outcome(f"Done: {said}.", place, tuple(_proofs(done)), label="Back to the session")

    def dry(listener: Listener) -> Outcome:
        would = state.node.drop(package, store, reason=reason, **wishes, dry_run=True, listener=listener)
        run = DryRun(
            f"Drop the copy in {store}",
            f"The copy of {would.title} in {store} would be removed: the others were read whole just now.",
            f"Drop the copy in {store}",
            really,
            back=place,
            facts=[("becomes free", size_text(would.bytes)), ("reason", reason)],
            lines=tuple(_proofs(would)),
            danger=True,
        )
        text = "It can be dropped. Nothing was removed yet."
        return Outcome(text, state.dry_runs.keep(run), run.lines, label="Look at it, and drop it")

    return state.begin(f"Would the copy in {store} be dropped?", dry, back=f"{place}/drop")


def _proofs(done: Dropped) -> Iterator[str]:
    return (f"stays, and is right: the copy in {one['store']} (read {date_text(one['at'])})" for one in done.proofs)


def delete(state: PageState, request: Request) -> Response:
    """Judge whether the session may go, and show what would be deleted; nothing is removed yet."""
    package, form = request.path_params["package"], Form(request)
    lost, clock_is_right = form.flag("lost"), form.flag("clock_is_right")
    try:
        reason = form.needed("reason", "Why")
        deleting = partial(state.node.delete, package, reason=reason, lost=lost, clock_is_right=clock_is_right)
        would = deleting(dry_run=True)
    except NotFound:
        raise
    except DiademError as error:
        return _drop_page(state, package, error, **form.typed)

    def really(listener: Listener) -> Outcome:
        done = deleting(listener=listener)
        state.forget()
        where = ", ".join(done.stores) or "no store"
        return Outcome(f"Deleted: {done.title}, from {where}. A signed note of it stays in the log.", lines=done.notes)

    run = DryRun(
        "Delete the session",
        f"{would.title} would be deleted everywhere. This cannot be undone.",
        "Delete it everywhere",
        really,
        back="/",
        leave=f"/session/{package}",
        facts=[
            ("from", ", ".join(would.stores) or "no store"),
            ("size", f"{size_text(would.bytes)} each"),
            ("reason", reason),
        ],
        lines=tuple(would.notes),
        danger=True,
    )
    return RedirectResponse(state.dry_runs.keep(run), 303)
