"""Physical samples: the list with pictures, and the story of one: pieces, journeys, and every session of it."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from diadem.errors import DiademError, NotFound, Refused, UsageError
from diadem.model.sample_custody import event_text
from diadem.model.samples import PREFIX, WAYS, Sample, is_sample_id
from diadem.page.forms import Form
from diadem.page.html import DATA, attachment, link, whole
from diadem.page.results import blank
from diadem.page.state import PageState

if TYPE_CHECKING:
    from diadem.catalogue.known_samples import SampleDataset
    from diadem.node.samples.statements import SampleWords
    from diadem.node.samples.story import SampleStory

PLACE: Final = "/samples"
#: Samples on one page, sessions of one that are shown, and names that nobody has defined.
_STEP: Final = 48
_MOST: Final = 200
#: Sessions in which a picture of a sample is looked for.
_MOST_LOOKED: Final = 3
_MOST_UNKNOWN: Final = 30
#: What can happen to the thing, as it is chosen.
_HAPPENINGS: Final = (
    ("sent", "sent to another place"),
    ("received", "arrived at a place"),
    ("consumed", "used up"),
    ("lost", "lost"),
)
_WAYS: Final = tuple((way, way) for way in WAYS)
#: Texts of a form that are said as they are.
_TEXTS: Final = ("name", "composition", "maker", "lab", "comment")


@dataclass(frozen=True, slots=True)
class Piece:
    """A sample in the tree of what was made from what."""

    sample: Sample
    how: str = ""
    pieces: Sequence[Piece] = field(default_factory=tuple)


def samples(state: PageState, request: Request, **more: Any) -> Response:
    """The samples of the node with pictures, and names in its sessions that nobody has defined."""
    asked = request.query_params
    if named := asked.get("name", "").strip():
        return RedirectResponse(link(f"{PLACE}/{_key(state.node.samples.find(named)[0])}"), 303)
    known, words = state.node.samples.ls(), asked.get("q", "").strip()
    if words:
        known = [one for one in known if words.casefold() in " ".join((*one.all_names(), one.name)).casefold()]
    start = whole(asked.get("start", ""))
    where = state.node.samples.whereabouts()
    return state.page(
        "samples.html",
        known=known[start : start + _STEP],
        total=len(known),
        start=start,
        step=_STEP,
        words=words,
        where=where,
        key=_key,
        unknown=_unknown(state),
        **{"ways": _WAYS, "typed": {"identifier": asked.get("define", "")}, **more},
    )


def _unknown(state: PageState) -> Sequence[Any]:
    """Names of samples in the records that mean no sample of the node, with how many sessions say so."""
    names = {name.casefold() for one in state.node.samples for name in (*one.all_names(), one.name)}
    facets = state.node.facets("", ["sample"], top=_MOST_UNKNOWN + len(names))
    return [value for facet in facets for value in facet if value.text.casefold() not in names][:_MOST_UNKNOWN]


def _key(one: Sample) -> str:
    """What stands for a sample in an address."""
    return one.id.removeprefix(PREFIX)


def _story(state: PageState, request: Request) -> SampleStory:
    key = request.path_params["sample"]
    if not is_sample_id(PREFIX + key):
        raise NotFound("there is no such sample", next="See the list of samples.")
    return state.node.samples.get(PREFIX + key)


def _address(story: SampleStory) -> str:
    return f"{PLACE}/{_key(story.sample)}"


def sample(state: PageState, request: Request, **more: Any) -> Response:
    """The story of a sample."""
    return _told(state, _story(state, request), **more)


def _told(state: PageState, story: SampleStory, **more: Any) -> Response:
    found: dict[str, list[SampleDataset]] = {}
    for one in story.datasets:
        found.setdefault(one.package, []).append(one)
    sessions = list(found.items())
    names = {one.id: one.identifier for one in story.relatives.values()}
    return state.page(
        "sample.html",
        story=story,
        one=story.sample,
        place=_address(story),
        was=_state(story.sample),
        key=_key,
        tree=list(_roots(story)),
        names=names,
        links=[(each, str(each.other) if each.other else names.get(each.sample, each.sample)) for each in story.links],
        events=[(event, event_text(event)) for event in story.events],
        sessions=sessions[:_MOST],
        more_sessions=len(sessions) - _MOST,
        happenings=_HAPPENINGS,
        ways=_WAYS,
        written=_written(story.sample),
        **more,
    )


def _state(one: Sample) -> str:
    """A word for all that is said of a sample: another one after anybody has said more."""
    return hashlib.sha256(repr(one.to_dict()).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _roots(story: SampleStory) -> Iterator[Piece]:
    """What the thing comes from at first, each with what was made from it; no sample twice, however they are told."""
    known = {one.id: one for one in sorted(story.relatives.values(), key=lambda one: one.identifier)}
    seen = set[str]()

    def piece(one: Sample, how: str) -> Piece:
        seen.add(one.id)
        made = [(each, parent.how) for each in known.values() for parent in each.parents if parent.sample == one.id]
        return Piece(one, how, [piece(each, way) for each, way in made if each.id not in seen])

    first = [one for one in known.values() if not any(parent.sample in known for parent in one.parents)]
    for one in [*first, *known.values()]:
        if one.id not in seen:
            yield piece(one, "")


def graph(state: PageState, request: Request) -> Response:
    """Parents, pieces and sessions of a sample, drawn."""
    return Response(_story(state, request).svg, media_type="image/svg+xml")


def picture(state: PageState, request: Request) -> Response:
    """A small picture of a sample: of the first dataset that names it and has one."""
    story = _story(state, request)
    for package in list(dict.fromkeys(one.package for one in story.datasets))[:_MOST_LOOKED]:
        for name in story.sample.all_names():
            try:
                found = state.node.search(f'id:{package[7:]} sample:"{name.replace(chr(34), " ")}"', limit=1)
                drawn = state.pictures(package) if found.rows else {}
            except DiademError:  # a name of signs alone cannot be searched for; or no copy can be read
                continue
            of = next((one.id for row in found for one in row.matched if one.id in drawn), "")
            if of:
                return RedirectResponse(link(f"/picture/{package[7:]}", of=of), 303)
    answer = blank()
    answer.headers["cache-control"] = "no-store"  # a session of it may come
    return answer


def sheet(state: PageState, request: Request) -> Response:
    """All samples as a sheet for Excel or LibreOffice."""
    ending = "csv" if request.query_params.get("as") == "csv" else "xlsx"
    with tempfile.TemporaryDirectory(prefix="diadem-") as folder:
        path = Path(folder, f"samples.{ending}")
        state.node.samples.export(path)
        data = path.read_bytes()
    return Response(data, media_type=DATA, headers=attachment(path.name))


# -- what is said of it ----------------------------------------------------------------------------------------------


def _written(one: Sample) -> Mapping[str, str]:
    """What is said of a sample, as its form shows it."""
    return {
        "identifier": one.identifier,
        "name": one.name,
        "composition": one.composition,
        "elements": ", ".join(one.elements),
        "maker": one.maker.name if one.maker else "",
        "lab": one.maker.lab if one.maker else "",
        "names": "\n".join(f"{other.lab}: {other.name}" for other in one.names),
        "identifiers": "\n".join(f"{kind}: {text}" for kind, text in one.identifiers.items()),
        "comment": one.comment,
    }


def _said(form: Form, before: Mapping[str, str]) -> SampleWords:
    """What a form says otherwise than it was written before."""
    now = {name: form.edited(name, text) for name, text in before.items()}
    changed = {name: text for name, text in now.items() if text != before[name].strip()}
    said: SampleWords = {}
    for name in _TEXTS:
        if name in changed:
            said[name] = changed[name]
    if "elements" in changed:
        said["elements"] = changed["elements"].replace(",", " ").split()
    if "names" in changed:
        told: dict[str, str | Sequence[str]] = {lab: [] for lab, _ in _pairs(before["names"])}
        for lab, name in _pairs(changed["names"]):
            told[lab] = [*told.get(lab, ()), name]
        said["names"] = told
    if "identifiers" in changed:
        said["identifiers"] = dict.fromkeys(dict(_pairs(before["identifiers"])), "") | dict(
            _pairs(changed["identifiers"])
        )
    return said


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """Lines of ``NMI: K-2026-007``."""
    for line in filter(None, map(str.strip, text.splitlines())):
        first, colon, second = line.partition(":")
        if not colon or not first.strip() or not second.strip():
            raise UsageError(f"'{line}' is not understood", next="Write one on each line, as in NMI: K-2026-007")
        yield first.strip(), second.strip()


def add(state: PageState, request: Request) -> Response:
    """Define a sample."""
    form = Form(request)
    try:
        identifier = form.needed("identifier", "Identifier")
        said = _said(form, dict.fromkeys((*_TEXTS, "elements", "names", "identifiers"), ""))
        if parents := [name.strip() for name in form.text("parents").split(",") if name.strip()]:
            said["parents"], said["how"] = parents, form.text("how", "other")
        made = state.node.samples.add(identifier, made=form.text("made") or None, **said)
    except DiademError as error:
        return samples(state, request, problem=error, typed=form.typed)
    return state.done(f"{made.identifier} is defined.", f"{PLACE}/{_key(made)}")


def _deed(state: PageState, request: Request, text: str, deed: Any) -> Response:
    """Say something of a sample; where that cannot be, its page shows why, with what was typed."""
    story, form = _story(state, request), Form(request)
    try:
        if form.text("was") != _state(story.sample):
            raise Refused(
                f"somebody has changed {story.sample.identifier} since this page was loaded",
                next="Nothing was done. See the current values below, and try again.",
            )
        deed(form, story.id)
    except DiademError as error:
        return _told(state, story, problem=error, typed=form.typed)
    return state.done(text, _address(story))


def change(state: PageState, request: Request) -> Response:
    """Change what is said of it; what was said before stays in the log."""

    def deed(form: Form, id_: str) -> None:
        before = _written(state.node.samples.get(id_).sample)
        said, identifier = _said(form, before), form.needed("identifier", "Identifier")
        state.node.samples.change(id_, identifier=identifier if identifier != before["identifier"] else None, **said)

    return _deed(state, request, "It is saved; what was said before stays in the log.", deed)


def split(state: PageState, request: Request) -> Response:
    """Define pieces of it."""

    def deed(form: Form, id_: str) -> None:
        parts = [part.strip() for part in form.needed("parts", "Pieces").split(",") if part.strip()]
        day, how = form.text("made") or None, form.text("how", "split")
        state.node.samples.split(id_, *parts, how=how, made=day, comment=form.text("comment"))

    return _deed(state, request, "The pieces are defined.", deed)


def link_names(state: PageState, request: Request) -> Response:
    """State that another name means the same thing."""

    def deed(form: Form, id_: str) -> None:
        other, reason = form.needed("other", "The other name"), form.needed("reason", "Why you are sure")
        state.node.samples.link(id_, other, lab=form.text("other_lab") or None, reason=reason)

    return _deed(state, request, "Both names mean one sample from now on.", deed)


def unlink_names(state: PageState, request: Request) -> Response:
    """Take back that another name means the same thing."""

    def deed(form: Form, id_: str) -> None:
        other, reason = form.needed("other", "The other name"), form.needed("reason", "What was wrong")
        state.node.samples.unlink(id_, other, lab=form.text("other_lab") or None, reason=reason)

    return _deed(state, request, "They are two samples again; both statements stay in the log.", deed)


def happened(state: PageState, request: Request) -> Response:
    """State what happened to the thing."""

    def deed(form: Form, id_: str) -> None:
        verbs, day, comment = state.node.samples, form.text("date") or None, form.text("comment")
        place, start = form.text("to"), form.text("from") or None
        match form.text("what"):
            case "sent":
                verbs.send(id_, form.needed("to", "To"), from_=start, date=day, comment=comment)
            case "received":
                verbs.receive(id_, from_=start, at=place or None, date=day, comment=comment)
            case "consumed":
                verbs.consume(id_, date=day, comment=comment)
            case "lost":
                verbs.lose(id_, date=day, comment=comment)
            case other:
                raise UsageError(f"'{other}' is not an event of a sample", next="Choose from the list.")

    return _deed(state, request, "It is recorded in the log.", deed)


def retract(state: PageState, request: Request) -> Response:
    """Take back that something happened."""

    def deed(form: Form, id_: str) -> None:
        event, reason = form.needed("event", "What"), form.needed("reason", "What was wrong")
        state.node.samples.retract(id_, event, reason=reason)

    return _deed(state, request, "It is retracted; both statements stay in the log.", deed)
