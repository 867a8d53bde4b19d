"""How the archive stands: each rule and why, what mends it at a click, the stores, and what was read when."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import Response

from diadem.errors import DiademError, Refused
from diadem.model.plain_text import count_text, size_text
from diadem.model.ports import Listener
from diadem.model.replicas import STORE_KINDS
from diadem.page.forms import Form
from diadem.page.html import link
from diadem.page.jobs import Outcome, Work
from diadem.policy import commands
from diadem.policy.policy_text import policy_sentences

if TYPE_CHECKING:
    from diadem.node.keep.scrub import Scrubbed
    from diadem.node.repair import Repaired
    from diadem.page.state import PageState
    from diadem.policy.status import Status, StoreTotals

#: Stores, and jobs of the node, that one page shows.
_MOST: Final = 100
_JOBS: Final = 10
#: Months of the calendar.
_MONTHS: Final = 12
#: Colour of a rule's light, and of a doctor's word.
_MARKS: Final[Mapping[str, str]] = {"holds": "green", "broken": "red", "warning": "amber", "info": "grey"}
_VERDICTS: Final[Mapping[str, str]] = {"ok": "green", "note": "amber", "wrong": "red"}


@dataclass(frozen=True, slots=True)
class Deed:
    """What does here what a printed command does: a button with what it sends, or a link to the place for it."""

    label: str
    place: str
    fields: Mapping[str, str] | None = None


#: The commands of the policy's advice, and what does the same here.
_DEEDS: Final[Mapping[str, Deed]] = {
    commands.REPAIR: Deed("Repair now", "/health/repair", {}),
    commands.REPAIR_SET_ASIDE: Deed("Repair, and move strange files aside", "/health/repair", {"set_aside": "yes"}),
    commands.RESCAN: Deed("Look at the adopted folders", "/health/rescan", {}),
    commands.REINDEX: Deed("Rebuild the catalogue", "/health/reindex", {}),
    commands.CONFIRM_RECOVERY: Deed("I have moved it away", "/health/confirm-recovery", {}),
    commands.DOCTOR: Deed("Ask the doctor", "/health/doctor"),
    commands.ARCHIVE: Deed("Archive a folder", "/take-in"),
    commands.LIST_WATCHED: Deed("See what waits", "/take-in#watched"),
    commands.LIST_STORES: Deed("See the stores", "#stores"),
}
_PACKAGE: Final = re.compile(r"[0-9a-f]{8,64}\Z")


def deed_of(command: str) -> Deed | None:
    """What does here what a command does; None where it is a matter for the terminal."""
    match command.split():
        case ["diadem", "scrub", store, "--due"]:
            return Deed(f"Read what is due in {store}", "/health/scrub", {"store": store, "due": "yes"})
        case ["diadem", "store", "add", "PLACE", *kind]:
            return Deed("Add a store", link("/health", kind=kind[1] if kind else "") + "#add-store")
        case ["diadem", "store", "move", store, "PATH"]:
            return Deed(f"Say where {store} is", f"#store-{store}")
        case ["diadem", "repair" | "amend" | "delete", package, *_] if _PACKAGE.match(package):
            return Deed("See the session", f"/session/{package}")
    return _DEEDS.get(command)


@dataclass(frozen=True, slots=True)
class Month:
    """A month of the calendar: ``2026-03``, and how many copies of a store were last proven in it."""

    name: str
    copies: int
    share: int


def health(state: PageState, request: Request) -> Response:
    """Every rule of the policy, what to do now, the stores, and what was read when."""
    _require_here(state)
    return _health(state, kind=request.query_params.get("kind", ""))


def _require_here(state: PageState) -> None:
    """Refuse where the node is on another machine, whose stores and disks nobody sees from here."""
    if not hasattr(state.node, "doctor"):
        raise Refused(
            "the state of this archive can be seen on its own machine only",
            where=str(getattr(state.node, "url", "")),
            next="Open the page there: diadem page",
        )


def _health(state: PageState, problem: DiademError | None = None, **values: Any) -> Response:
    status = state.status()
    stores = list(islice(status.stores, _MOST))
    findings: dict[str, list[Any]] = {}
    for finding in status.findings:
        findings.setdefault(finding.rule, []).append(finding)
    return state.page(
        "health.html",
        **{"kind": "", "problem": problem} | values,
        status=status,
        marks=_MARKS,
        findings=findings,
        steps=[(step, deed_of(step.command)) for step in status.steps],
        stores=stores,
        kinds=[("", "what the place looks like"), *((kind, kind) for kind in STORE_KINDS)],
        months=_months(status.time, stores),
        calendar=[(store, list(_calendar(status, store, stores))) for store in stores],
        policy=list(policy_sentences(state.node.policy)),
        policy_file=str(state.node.path / "policy.toml"),
        others=[job for job in state.node.jobs[:_JOBS] if job.state == "running" or job.resumable],
    )


def _months(now: datetime, stores: Sequence[StoreTotals]) -> list[str]:
    """The months of the calendar: up to this one, from the first in which anything was proven, at most `_MONTHS`."""
    last = now.year * 12 + now.month - 1
    months = [f"{number // 12}-{number % 12 + 1:02}" for number in range(last - _MONTHS + 1, last + 1)]
    first = min((month for store in stores for month in store.proven_in), default=months[-1])
    return [month for month in months if month >= first] or months[-1:]


def _calendar(status: Status, store: StoreTotals, stores: Sequence[StoreTotals]) -> Iterator[Month]:
    """How many copies of a store were last proven in each month; in the first, and earlier."""
    months = _months(status.time, stores)
    early = sum(copies for month, copies in store.proven_in.items() if month < months[0])
    for number, month in enumerate(months):
        copies = store.proven_in.get(month, 0) + (early if number == 0 else 0)
        yield Month(month, copies, max(1, round(4 * copies / max(store.packages, copies))) if copies else 0)


def doctor(state: PageState, request: Request) -> Response:
    """The node looked over: clock, disks, permissions, keys, stores, log, versions."""
    del request
    _require_here(state)
    found = state.node.doctor()
    checks = [(check, deed_of(check["next"])) for check in found["checks"]]
    return state.page("doctor.html", ok=found["ok"], checks=checks, verdicts=_VERDICTS)


# -- what mends ----------------------------------------------------------------------------------------------------


def repair(state: PageState, request: Request) -> Response:
    """Mend damaged copies and write missing ones; or say what would be done."""
    form = Form(request)
    package, store = form.text("package") or None, form.text("store") or None
    dry_run, set_aside = form.flag("dry_run"), form.flag("set_aside")

    def work(listener: Listener) -> Outcome:
        done = state.node.repair(package, store=store, dry_run=dry_run, set_aside=set_aside, listener=listener)
        return Outcome(_repaired(done, dry_run=dry_run), "/health", tuple(_repair_lines(state, done)))

    return _begin(state, "See what a repair would do" if dry_run else "Repair", work)


def _repaired(done: Repaired, *, dry_run: bool) -> str:
    if dry_run:
        actions = count_text(len(done.planned), "step")
        return f"{actions} would be done; nothing was changed" if done.planned else "Nothing can be done now."
    mended, copies = count_text(len(done.mended), "piece"), count_text(len(done.copies), "copy", "copies")
    left = len(done.left) + len(done.debts) + len(done.problems)
    rest = f"; {count_text(left, 'step')} could not be done" if left else ""
    return f"{mended} mended, {copies} written{rest}"


def _repair_lines(state: PageState, done: Repaired) -> Iterator[str]:
    """What was done or would be, piece by piece, with the names that people know packages by."""
    names: dict[str, str] = {}

    def named(package: str) -> str:
        if package not in names:
            found = state.node.search(f"id:{package.removeprefix('diadem:')}", limit=1).rows
            names[package] = found[0].title if found else package[:19]
        return names[package]

    for action in done.planned:
        place = f" in {action['store']}" if action.get("store") else ""
        yield f"would {action['kind']} {named(action['package'])}{place}: {action['reason']}"
    for package, store, made in done.mended:
        yield f"mended {made.path} of {named(package)} in {store}, from {made.source.removeprefix('replica:')}"
    for package, copy in done.copies:
        yield f"copied {named(package)} to {copy.store}"
    for package, store in done.parity:
        yield f"parity written for {named(package)} in {store}"
    for package, store, path, place in done.set_aside:
        yield f"moved {path} out of {named(package)} in {store}, to {place}"
    yield from done.notes
    yield from (f"not done: {problem}" for problem in done.problems)
    for left in done.left:
        yield f"not mended: {left.path} of {named(left.package)} in {left.store}: {left.reason}"
    for debt in done.debts:
        yield f"owed: {named(debt.package)} to {debt.store}: {debt.reason}"
    yield from (f"still wanted: {wanting}" for wanting in done.wanting)
    yield from (f"{name} does not answer; its copies count as they were last proven" for name in done.away)


def scrub(state: PageState, request: Request) -> Response:
    """Read copies whole and compare every byte."""
    form = Form(request)
    store, due, part = form.text("store") or None, form.flag("due"), form.text("part", "1/1")

    def work(listener: Listener) -> Outcome:
        done = state.node.scrub(store, due=due, part=part, listener=listener)
        return Outcome(_scrubbed(done), "/health#calendar", tuple(_scrub_lines(done)))

    return _begin(state, f"Read the copies in {store or 'every store'}", work)


def _scrubbed(done: Scrubbed) -> str:
    if not (done.proven or done.skipped or done.damaged or done.unread):
        return "Nothing is due: every copy was read within the interval of the policy."
    damaged = f", {count_text(len(done.damaged), 'copy is', 'copies are')} damaged" if done.damaged else ""
    return f"{count_text(done.proven, 'copy', 'copies')} proven, {size_text(done.bytes)} read{damaged}"


def _scrub_lines(done: Scrubbed) -> Iterator[str]:
    if done.skipped:
        yield f"{count_text(done.skipped, 'copy was', 'copies were')} proven before this run was stopped"
    for damage in done.damaged:
        faults = [f"{finding.path}: {finding.message}" for finding in damage.report.findings if finding.path][:3]
        yield f"{damage.state}: {damage.path} in {damage.store}" + (f" ({'; '.join(faults)})" if faults else "")
    yield from done.notes
    yield from (f"not read: {store}: {reason}" for store, reason in done.unread)


def rescan(state: PageState, request: Request) -> Response:
    """Look at the folders that were adopted; nothing is written in them."""
    full = Form(request).flag("full")

    def work(listener: Listener) -> Outcome:
        found = list(state.node.rescan(full=full, listener=listener))
        whole = sum(one.complete for one in found)
        text = f"{count_text(len(found), 'adopted folder')} looked at, {whole:,} of them whole"
        return Outcome(text, "/health", tuple(f"{one.root}: {one}" for one in found if not one.complete))

    return _begin(state, "Look at the adopted folders", work)


def reindex(state: PageState, request: Request) -> Response:
    """Rebuild the catalogue from the stores and the log."""
    del request

    def work(listener: Listener) -> Outcome:
        done = state.node.reindex(listener=listener).to_dict()
        return Outcome(
            f"The catalogue was rebuilt: {count_text(int(done['packages']), 'package')}",
            "/",
            tuple(str(note) for note in done.get("notes", ())),
        )

    return _begin(state, "Rebuild the catalogue", work)


def _begin(state: PageState, title: str, work: Work) -> Response:
    def then_look(listener: Listener) -> Outcome:
        try:
            return work(listener)
        finally:
            state.forget()

    return state.begin(title, then_look, back="/health")


def confirm_recovery(state: PageState, request: Request) -> Response:
    """Confirm that the recovery file was moved away from this machine."""
    del request
    try:
        state.node.confirm_recovery()
    except DiademError as error:
        return _health(state, error)
    state.forget()
    return state.done("Noted: the recovery file is somewhere else.", "/health")


def stop_job(state: PageState, request: Request) -> Response:
    """Ask a job to stop that another process of this node is at."""
    stopped = state.node.stop_job(request.path_params["job"])
    return state.done(f"The {stopped.kind} stops within a second or a file; what it has done is kept.", "/health#jobs")


# -- stores --------------------------------------------------------------------------------------------------------


def add_store(state: PageState, request: Request) -> Response:
    """Add a store; what lacks a copy is copied by the next repair."""
    form = Form(request)
    kind = form.text("kind")
    try:
        added = state.node.stores.add(
            form.needed("place", "Place"), name=form.text("name") or None, kind=kind or None, place=form.text("disk")
        )
    except DiademError as error:
        return _health(state, error, typed=form.typed, kind=kind)
    state.forget()
    return state.done(f"The store {added.name} was added. Nothing is copied yet: Repair does that.", "/health#stores")


def move_store(state: PageState, request: Request) -> Response:
    """Say where a store is now; nothing is copied."""
    form = Form(request)
    try:
        moved = state.node.stores.move(request.path_params["store"], form.needed("place", "Where it is now"))
    except DiademError as error:
        return _health(state, error)
    state.forget()
    return state.done(f"The store {moved.name} is at {moved.url} now.", "/health#stores")


def forget_store(state: PageState, request: Request) -> Response:
    """Forget a store that holds no copy; one that does is refused."""
    name = request.path_params["store"]
    try:
        state.node.stores.rm(name)
    except DiademError as error:
        return _health(state, error)
    state.forget()
    return state.done(
        f"The store {name} was removed from the settings. Nothing in its folder was touched.", "/health#stores"
    )
