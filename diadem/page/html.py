"""Pages from templates, and answers made of them. Every text is escaped: names and metadata come from anybody."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache, cached_property
from typing import Any, Final
from urllib.parse import quote, urlencode

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse

from diadem.errors import DiademError, IntegrityError, NotFound, Unreachable, UsageError
from diadem.model.display import short_name
from diadem.model.markup import templates
from diadem.model.plain_text import marked
from diadem.node.terminal import with_node

#: Characters of one text that a page shows.
_LONGEST: Final = 20_000
#: Pieces of a page that are sent together while the rest is still being made.
_TOGETHER: Final = 400


class Later:
    """Something that a page shows below what is there at once: it is asked for when the template comes to it.

    Parameters
    ----------
    ask : callable
        Gives it; where it cannot, the page is without it.
    """

    def __init__(self, ask: Callable[[], Any]) -> None:
        self._ask = ask

    @cached_property
    def value(self) -> Any:
        """What was asked for; None where that cannot be had."""
        try:
            return self._ask()
        except DiademError:
            return None


@cache
def environment() -> jinja2.Environment:
    """The templates, with words of ours for addresses."""
    made = templates("page", longest=_LONGEST)
    made.filters |= {"here": _here, "called": short_name, "python": repr}
    made.globals["link"] = link
    return made


@jinja2.pass_context
def _here(context: jinja2.runtime.Context, text: str | None) -> str:
    """A text with commands that act on the node of this page."""
    return with_node(text or "", str(context.get("at", "")))


def as_shown(value: object) -> str:
    """A text as a page shows it: marks that turn the reading are named. A form gives that back, and not the text."""
    return marked(value, _LONGEST)


def stated(key: str, text: str) -> str:
    """A value of a field in words; a magnification is no plain number."""
    return f"{text}×" if text and key.endswith("magnification") else text


def link(place: str, /, **query: object) -> str:
    """An address of ours; what is empty is left out of the query."""
    said = urlencode({key: value for key, value in query.items() if value not in ("", None)}, errors="surrogatepass")
    return f"{place}?{said}" if said else place


def whole(text: str) -> int:
    """A number from an address; 0 for what is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def page(template: str, values: Mapping[str, Any], *, status: int = 200) -> Response:
    """A page from a template and what stands in it; it is sent as it is made where something of it comes `Later`."""
    made = environment().get_template(template)
    if not any(isinstance(value, Later) for value in values.values()):
        return HTMLResponse(made.render(values).encode("utf-8", "backslashreplace"), status)
    pieces = made.stream(values)
    pieces.enable_buffering(_TOGETHER)
    return StreamingResponse(
        (text.encode("utf-8", "backslashreplace") for text in pieces), status, media_type="text/html"
    )


#: Of what is downloaded: no browser shows it, or runs what is in it.
DATA: Final = "application/octet-stream"


def attachment(name: str) -> dict[str, str]:
    """What has a browser keep an answer as a file of this name."""
    return {"content-disposition": f"attachment; filename*=UTF-8''{quote(name, safe='', errors='replace')}"}


def download(
    request: Request,
    name: str,
    size: int,
    pieces: Callable[[], Iterator[bytes]],
    *,
    status: int = 200,
    media_type: str = DATA,
    **headers: str,
) -> Response:
    """A file that is sent piece by piece, its length announced; whoever asks for the head alone reads nothing of it."""
    said = attachment(name) | {"content-length": str(size)} | {key.replace("_", "-"): headers[key] for key in headers}
    if request.method == "HEAD":
        return Response(None, status, said, media_type)
    return StreamingResponse(pieces(), status, said, media_type)


def error_page(status: int, message: str, advice: str = "", *, where: str = "") -> Response:
    """A page that says what is wrong, where, and what to do now."""
    return page("error.html", {"message": message, "where": where, "advice": advice}, status=status)


def status_of(error: DiademError) -> int:
    """The status of an answer that says why something cannot be had."""
    if isinstance(error, NotFound):
        return 404
    if isinstance(error, Unreachable):
        return 503
    return 400 if isinstance(error, UsageError) else 502 if isinstance(error, IntegrityError) else 409
