"""What people say of a session: corrections of its record, and judgements of its data."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import Response

from diadem.archive.overview import dataset_table
from diadem.errors import DiademError, Refused, UsageError
from diadem.model.assessments import VERDICTS
from diadem.model.effective import DATES, TITLE
from diadem.model.plain_text import count_text, marked
from diadem.model.ports import Listener
from diadem.model.quantities import quantity_text
from diadem.page.forms import Form
from diadem.page.html import link
from diadem.page.jobs import Outcome
from diadem.page.state import PageState
from diadem.terms import fields

if TYPE_CHECKING:
    from diadem.archive.package import Package
    from diadem.model.amendments import Amendment
    from diadem.node.quality.amend import Amendments

#: Fields of the whole session that a person corrects first.
_OF_SESSION: Final = (
    "sample.name",
    "sample.identifier",
    "person.operator",
    "session.project",
    "instrument.name",
)
#: Datasets that are looked through for what stands of a field, and that a list of them names.
_MOST: Final = 500
#: Characters of a text that can be edited in a line.
_LINE: Final = 1000
#: Between the look at what others said and one's own word nobody else of this page may speak.
_TURN: Final = threading.Lock()


@dataclass(frozen=True, slots=True)
class Row:
    """A field in the form, and what stands there now: each value as people read it, and as it can be typed."""

    key: str
    label: str
    values: Mapping[str, str]
    hint: str = ""

    @property
    def stands(self) -> Sequence[str]:
        """What stands there now."""
        return list(self.values)

    @property
    def text(self) -> str:
        """With what the line begins; "" where several things stand there, or more than a line holds."""
        only = next(iter(self.values.values())) if len(self.values) == 1 else ""
        plain = " ".join(marked(only, 20 * _LINE).split())
        return plain if len(plain) <= _LINE else ""


def _shown(value: Any, unit: str = "") -> dict[str, str]:
    """A value as people read it, to the same as it is typed: a moment with its T, a number without commas."""
    text = quantity_text(value, unit)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return {text: text.replace(",", "") if is_number else value if isinstance(value, str) else text}


def correct_form(state: PageState, request: Request) -> Response:
    """What stands in the record, each line to be corrected."""
    return _correct_page(state, request)


def _correct_page(state: PageState, request: Request, **values: Any) -> Response:
    found = state.node.get(request.path_params["package"])
    dataset = request.query_params.get("dataset", "")
    said = state.node.amendments(found.id)
    return state.page(
        "correct.html",
        short=request.path_params["package"],
        title=state.title(found.id),
        dataset=dataset,
        path=found.record.datasets[dataset].path if dataset else "",
        rows=list(_rows_of_dataset(found, dataset) if dataset else _rows_of_session(state, found)),
        known=[(key, fields.field(key).label) for key in sorted(fields.field_keys())],
        owner=said.owner,
        seen=_seen(said),
        **values,
    )


def _rows_of_session(state: PageState, found: Package) -> Iterator[Row]:
    about = state.node.show(found.id)
    yield Row(TITLE, "Title", _shown(about.title))
    ends = [_shown(day.isoformat()) for day in (about.days.first, about.days.last) if day is not None]
    yield Row(DATES[0], "First day", ends[0] if ends else {}, "2026-03-14")
    yield Row(DATES[1], "Last day", ends[1] if ends[1:] else {}, "Where it took more than one day.")
    record = found.record
    heads: Mapping[str, Mapping[str, Any]] = {
        name: getattr(record, name) for name in ("session", "sample", "instrument")
    }
    for key in _OF_SESSION:
        known = fields.field(key)
        section, name = known.head or ("", "")
        said = heads[section].get(name) if section else None
        yield Row(key, known.label, _shown(said) if said is not None else _stated(found, key))


def _stated(found: Package, key: str) -> dict[str, str]:
    """What datasets state of a field; what is merely said beside it is none of it."""
    told: dict[str, str] = {}
    for dataset in islice(found.record.datasets, _MOST):
        if (said := dataset.assertion(key)) is not None:
            told |= _shown(said.value, said.unit)
    return told


def _rows_of_dataset(found: Package, name: str) -> Iterator[Row]:
    stated: dict[str, list[Mapping[str, Any]]] = {}
    for value in dataset_table(found.record.datasets[name])["values"]:
        if not value["extra"]:
            stated.setdefault(value["key"], []).append(value)
    for key, said in stated.items():
        known = fields.field(key) if fields.is_field(key) else None
        hint = f"in {known.unit}, or with its unit" if known is not None and known.unit not in ("", "1") else ""
        holds = [one for one in said if one["preferred"]] or said
        values = {text: typed for one in holds for text, typed in _shown(one["value"], one["unit"]).items()}
        yield Row(key, said[0]["label"], values, hint)


def _seen(said: Amendments) -> str:
    """A word of the state from which a page was made: how many corrections there were, and the last."""
    return f"{len(said.said)}:{said.said[-1].statement_id if said.said else ''}"


def _judged(said: Sequence[Mapping[str, Any]]) -> str:
    """The same of judgements."""
    return f"{len(said)}:{said[-1]['statement'] if said else ''}"


def correct(state: PageState, request: Request) -> Response:
    """State what was typed. Where the record was corrected meanwhile, say so first, and what."""
    form, package = Form(request), request.path_params["package"]
    dataset = request.query_params.get("dataset", "")
    try:
        values = _typed(form)
        reason = form.needed("reason", "Why")
        with _TURN:
            said = state.node.amendments(package)
            if (seen := form.text("seen")) != _seen(said):
                newer = _since(said, seen)
                error = Refused(
                    f"Somebody has corrected this session since you opened this page: {newer}",
                    next="See the current values. What you typed is still there: press Correct again to save it.",
                )
                return _correct_page(state, request, problem=error, typed=_kept(form))
            state.node.amend(package, values, dataset=dataset or None, reason=reason)
    except DiademError as error:
        return _correct_page(state, request, problem=error, typed=_kept(form))
    state.forget()
    names = ", ".join(f"{_label(key)}{' (withdrawn)' if value is None else ''}" for key, value in values.items())
    own = state.node.user == said.owner
    text = f"Corrected: {names}." if own else f"Noted: {names}. Only what {said.owner} corrects changes the record."
    return state.done(text, f"/session/{package}/{dataset}" if dataset else f"/session/{package}")


def _label(key: str) -> str:
    labels = {TITLE: "Title", DATES[0]: "First day", DATES[1]: "Last day"}
    return labels.get(key) or (fields.field(key).label if fields.is_field(key) else key)


def _typed(form: Form) -> dict[str, str | None]:
    """What differs from what the page showed: a new value, or None for what is taken out."""
    found: dict[str, str | None] = {}
    for name in form.typed:
        kind, _, key = name.partition(":")
        if kind == "out":
            found[key] = None
        elif kind == "new" and form.text(name) != form.text(f"now:{key}") and key not in found:
            found[key] = form.text(name) or None
    if key := form.text("field"):
        found[key] = form.text("value") or None
    if not found:
        raise UsageError("nothing was changed", next="Write another value into a line, or tick 'withdraw'.")
    return found


def _kept(form: Form) -> dict[str, str]:
    """What is shown again of what was typed: lines that nobody touched show what stands there by then."""
    untouched = {
        name for name in form.typed if name.startswith("new:") and form.text(name) == form.text(f"now:{name[4:]}")
    }
    return {name: value for name, value in form.typed.items() if name not in untouched and not name.startswith("now:")}


def _since(said: Amendments, seen: str) -> str:
    """What was said since a page was made, in a line."""
    ids = [one.statement_id for one in said.said]
    last = seen.partition(":")[2]
    newer = said.said[ids.index(last) + 1 :] if last in ids else said.said
    return "; ".join(map(_words, newer[-5:])) or "a correction arrived from another node"


def _words(one: Amendment) -> str:
    changes = ", ".join(
        f"{_label(change.field)} is "
        + ("withdrawn" if change.value is None else f"'{quantity_text(change.value, change.unit)}'")
        for change in one.changes
    )
    return f"{changes} ({one.by}{': ' + one.reason if one.reason else ''})"


# -- judgements ----------------------------------------------------------------------------------------------------


def judge_form(state: PageState, request: Request) -> Response:
    """What was said so far, and one's own word."""
    return _judge_page(state, request)


def _judge_page(state: PageState, request: Request, **values: Any) -> Response:
    found = state.node.get(request.path_params["package"])
    said = state.node.assessments(found.id).to_dict()
    dataset, replaces = request.query_params.get("dataset", ""), request.query_params.get("replaces", "")
    mine = [one for one in said["assessments"] if one["by"] == state.node.user and not one["plugin"]]
    before = next((one for one in mine if replaces and one["statement"] == replaces), None)
    if before is not None:
        dataset = before["dataset"]
    record = found.record
    chosen = record.datasets[dataset] if dataset else None
    typed = {name: str(value) for name, value in (before or {}).items() if name in _OF_JUDGEMENT and value is not None}
    return state.page(
        "judge.html",
        **{
            "short": request.path_params["package"],
            "title": state.title(found.id),
            "said": said,
            "verdicts": [(one, one) for one in VERDICTS],
            "purposes": sorted({one["purpose"] for one in said["assessments"]} | _PURPOSES),
            "criteria": sorted({one["criterion"] for one in said["assessments"] if one["criterion"]}),
            "dataset": dataset,
            "path": chosen.path if chosen is not None else "",
            "datasets": [(one.id, one.path) for one, _ in zip(record.datasets, range(_MOST), strict=False)],
            "signals": dataset_table(chosen)["signals"] if chosen is not None else [],
            "before": before,
            "seen": _judged(said["assessments"]),
            "machine": hasattr(state.node, "assess_by_machine"),
            "typed": typed,
        }
        | values,
    )


#: What data are used for, as most people say it.
_PURPOSES: Final = {"imaging", "EELS", "EDS", "diffraction", "publication"}
_OF_JUDGEMENT: Final = ("verdict", "purpose", "criterion", "signal", "value", "unit", "comment", "scheme")


def judge(state: PageState, request: Request) -> Response:
    """State a judgement in one's own name."""
    form, package = Form(request), request.path_params["package"]
    dataset = form.text("dataset") or request.query_params.get("dataset", "")
    try:
        number = form.text("value")
        try:
            value = float(number.replace(",", ".")) if number else None
        except ValueError:
            raise UsageError(
                f"'{number}' is not a number", next="Write for example 0.5; its unit in the next line."
            ) from None
        replaces = request.query_params.get("replaces") or None
        if replaces and replaces not in {one.statement_id for one in state.node.assessments(package)}:
            raise Refused("this assessment no longer counts: it has been replaced", next="See what counts below.")
        with _TURN:
            said = state.node.assessments(package).to_dict()["assessments"]
            if form.text("seen") != _judged(said):
                raise Refused(
                    "this session was assessed since you opened this page, by you or somebody else",
                    next="See what was said below. Press Assess again only to add yours.",
                )
            made = state.node.assess(
                package,
                form.needed("verdict", "Verdict"),
                purpose=form.text("purpose"),
                criterion=form.text("criterion") or None,
                dataset=dataset or None,
                signal=form.text("signal") or None,
                value=value,
                unit=form.text("unit"),
                comment=form.text("comment"),
                evidence=form.text("evidence").split(),
                scheme=form.text("scheme") or None,
                replaces=replaces,
            )
    except DiademError as error:
        return _judge_page(state, request, problem=error, typed=form.typed)
    state.forget()
    place = f"/session/{package}/{made.dataset}" if made.dataset else f"/session/{package}"
    return state.done(f"Assessed: {made.verdict} for {made.purpose}.", place)


def judge_by_machine(state: PageState, request: Request) -> Response:
    """Let the plugins' checks assess the data."""
    package, purpose = request.path_params["package"], Form(request).text("purpose")

    def work(listener: Listener) -> Outcome:
        done = state.node.assess_by_machine(package, purpose=purpose, listener=listener)
        state.forget()
        looked = f"{count_text(done.datasets, 'dataset')} checked by {count_text(done.checks, 'check')}"
        stated = count_text(len(done.stated), "assessment was stated", "assessments were stated")
        lines = [f"{one.verdict}: {one.comment or one.criterion}" for one in done.stated]
        lines += [f"not checked: {one}" for one in done.failures]
        return Outcome(f"{looked}; {stated}.", f"/session/{package}/judge", lines, label="See the assessments")

    return state.begin(f"Check the data of {state.title(package)}", work, back=link(f"/session/{package}/judge"))
