"""Home and results: the newest sessions as pictures, a search, and what narrows it."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from starlette.requests import Request
from starlette.responses import Response

from diadem.errors import DiademError, NotFound, UsageError
from diadem.model.display import short_name
from diadem.model.quantities import quantity_text
from diadem.page.dataset import unseen
from diadem.page.forms import Form
from diadem.page.html import Later, link, stated, whole
from diadem.page.state import PageState

if TYPE_CHECKING:
    from diadem.catalogue.facets import Facets
    from diadem.catalogue.results import SearchResult, Value
    from diadem.node.saved_searches import SavedQuery

#: Sessions on the first page, and rows on a page of results.
_NEWEST: Final = 12
_STEP: Final = 24
#: Saved searches that home shows.
_MOST_SAVED: Final = 30
#: Datasets that one page of results shows.
_MOST_DATASETS: Final = 200
#: What is counted beside a search.
_FACETS: Final = ("year", "instrument", "voltage", "technique", "detector", "sample", "person")
#: What a card says of a dataset: the first that are stated, in this order.
_TOLD: Final = ("voltage", "technique", "detector", "magnification", "pixel", "camera_length", "dispersion")
_VIEWS: Final = (("datasets", "Datasets"), ("sessions", "Sessions"), ("table", "Table"))
EXAMPLES: Final = ("HAADF voltage=300kV", "pixel<0.1nm", "kind=spectrum date:2024")
#: An empty picture, for what has none.
_BLANK: Final = (
    b'<svg xmlns="http://www.w3.org/2000/svg" width="256" height="192" viewBox="0 0 256 192">'
    b'<rect width="256" height="192" fill="#8884"/></svg>'
)


@dataclass(frozen=True, slots=True)
class Card:
    """A dataset as a result shows it."""

    package: str
    id: str
    name: str
    title: str
    day: str
    facts: Sequence[str]
    columns: Sequence[str]
    quality: Sequence[str]


def home(state: PageState, request: Request) -> Response:
    """The newest sessions, and where to go from there."""
    del request
    node = state.node
    return state.page(
        "home.html",
        found=node.search(limit=_NEWEST),
        facets=_facets(state, ""),
        saved=Later(lambda: _saved(state)),
        news=state.news,
        examples=EXAMPLES,
        focus=True,
    )


def _saved(state: PageState) -> list[tuple[SavedQuery, str]]:
    """Searches with a name, each with how much it finds now; of a node elsewhere they are not known."""
    found = []
    for one in state.node.queries.ls()[:_MOST_SAVED] if state.has("queries") else ():
        try:
            result = state.node.search(one.query, limit=0)
            found.append((one, f"{result.total:,}{'' if result.exact else '+'}"))
        except DiademError:  # it stands on one that has gone
            found.append((one, ""))
    return found


def results(state: PageState, request: Request) -> Response:
    """What a search finds, as pictures of datasets, of sessions, or as a table."""
    query, view = request.query_params.get("q", ""), request.query_params.get("view", "")
    start = whole(request.query_params.get("start", ""))
    if view not in dict(_VIEWS):
        view = "datasets" if query.strip() else "sessions"
    try:
        found = state.node.search(query, limit=_STEP, offset=start)
    except (UsageError, NotFound) as error:  # what cannot be understood is shown where it can be mended
        answer = state.page("misread.html", query=query, message=error.message, advice=error.next or "", focus=True)
        answer.status_code = 400
        return answer
    cards = [] if view == "sessions" else list(_cards(found))
    left = len(cards) - _MOST_DATASETS
    if cards:
        state.drawings.expect()
    return state.page(
        "results.html",
        query=query,
        found=found,
        facets=Later(lambda: _facets(state, query)) if found.total else None,
        datasets=cards[:_MOST_DATASETS],
        more=f"{left:,} more datasets of these sessions are not shown: narrow the search." if left > 0 else "",
        view=view,
        views=_VIEWS,
        start=start,
        step=_STEP,
        fields=_TOLD if found.source is not None else (),
        kept=query.strip()[1:] if re.fullmatch(r"@\S+", query.strip()) else "",
        can_keep=bool(query.strip()) and not state.read_only and state.has("queries"),
    )


def save(state: PageState, request: Request) -> Response:
    """Keep a search under a name; in the place of another only where its box is ticked."""
    form = Form(request)
    query = form.text("q")
    saved = state.node.queries.save(form.needed("name", "Name"), query, overwrite=form.flag("overwrite"))
    return state.done(f"The search is saved as @{saved.name}.", link("/search", q=query))


def forget(state: PageState, request: Request) -> Response:
    """Forget a search that was kept; what it finds stays."""
    gone = state.node.queries.delete(Form(request).needed("name", "Name"))
    return state.done(f"The search @{gone.name} was removed; it was: {gone.query}", link("/search", q=gone.query))


def _facets(state: PageState, query: str) -> Facets | None:
    """What narrows a search; a node elsewhere does not count for us."""
    return state.node.facets(query, _FACETS, top=8) if state.has("facets") else None


def _cards(found: SearchResult) -> Iterator[Card]:
    """The datasets that match, session by session; of a node elsewhere their names alone, and the first of each."""
    if found.source is None:
        for row in found:
            for match in row.matched:
                name, day = short_name(match.path), _day(row.date, row.ingested_at)
                yield Card(row.id, match.id, name, row.title, day, (), (), row.quality)
        return
    rows = {row.id: row for row in found}
    units = found.source.units(_TOLD)
    for one in found.source.stated(found.query, list(rows), _TOLD):
        row = rows[one.package]
        columns = _columns(one.values, units)
        yield Card(
            package=one.package,
            id=one.id,
            name=short_name(one.path),
            title=row.title,
            day=_day(row.date, row.ingested_at),
            facts=[text for text in columns if text][:4],
            columns=columns,
            quality=row.quality,
        )


def _columns(values: Mapping[str, Sequence[Value]], units: Mapping[str, str]) -> list[str]:
    """What is stated of each field, in words; of several values the first three."""
    return [
        ", ".join(stated(name, quantity_text(value, units.get(name, ""))) for value in values.get(name, ())[:3])
        for name in _TOLD
    ]


def _day(date: datetime.date | None, archived: datetime.datetime | None) -> str:
    if date is not None:
        return date.isoformat()
    return f"archived {archived.date().isoformat()}" if archived is not None else ""


def picture(state: PageState, request: Request) -> Response:
    """The small picture of a dataset; without a dataset, the one with most to see."""
    package, wanted = request.path_params["package"], request.query_params.get("of", "")
    try:
        pictures = state.pictures(package)
    except DiademError as error:
        return unseen(error)
    # a picture of noise or structure is larger as a file than an empty one, which says nothing of a session
    data = pictures.get(wanted) if wanted else max(pictures.values(), key=len, default=None)
    if data is None:
        return blank()
    kind = "image/png" if data.startswith(b"\x89PNG") else "image/jpeg"
    return Response(data, media_type=kind, headers=_KEPT)


def blank() -> Response:
    """An empty picture, for what has none."""
    return Response(_BLANK, media_type="image/svg+xml", headers=_KEPT)


#: A package never changes, nor does a picture in it.
_KEPT: Final = {"cache-control": "private, max-age=86400, immutable"}
