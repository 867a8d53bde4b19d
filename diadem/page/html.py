"""Pages from templates, and answers made of them. Every text is escaped: names and metadata come from anybody."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final
from urllib.parse import urlencode

import jinja2
from markupsafe import Markup
from starlette.responses import HTMLResponse

from diadem.model.plain_text import count_text, date_text, marked, size_text

#: Characters of one text that a page shows.
_LONGEST: Final = 20_000


@cache
def environment() -> jinja2.Environment:
    """The templates, with words of ours for numbers and addresses."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("diadem.page"),
        autoescape=True,
        finalize=_shown,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"size": size_text, "counted": count_text, "day": date_text, "python": repr}
    made.globals["link"] = link
    return made


def _shown(value: object) -> object:
    """A text from anywhere as a page can hold it; what a template has made already stays."""
    return value if isinstance(value, Markup) else as_shown(value)


def as_shown(value: object) -> str:
    """A text as a page shows it: marks that turn the reading are named. A form gives that back, and not the text."""
    return marked(value, _LONGEST)


def link(place: str, /, **query: object) -> str:
    """An address of ours; what is empty is left out of the query."""
    said = urlencode({key: value for key, value in query.items() if value not in ("", None)}, errors="surrogatepass")
    return f"{place}?{said}" if said else place


def whole(text: str) -> int:
    """A number from an address; 0 for what is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def page(template: str, values: Mapping[str, Any], *, status: int = 200) -> HTMLResponse:
    """A page from a template and what stands in it."""
    text = environment().get_template(template).render(values)
    return HTMLResponse(text.encode("utf-8", "backslashreplace"), status)


def error_page(status: int, message: str, advice: str = "", *, where: str = "") -> HTMLResponse:
    """A page that says what is wrong, where, and what to do now."""
    return page("error.html", {"message": message, "where": where, "advice": advice}, status=status)
