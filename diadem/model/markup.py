"""HTML from templates. Every text in it is escaped: names and metadata come from anybody."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from diadem.model.plain_text import count_text, date_text, escaped, size_text

if TYPE_CHECKING:
    import jinja2

#: A picture is embedded only as what it is: nothing that a browser would fetch or run.
_PICTURE: Final = re.compile(r"data:image/(?:png|jpeg);base64,[A-Za-z0-9+/]+=*\Z")


@cache
def templates(*rooms: str, longest: int = 300) -> jinja2.Environment:
    """The templates of a room of `diadem`, then of those that it builds on, with words of ours for numbers and times.

    Of a text that a template names no more than `longest` characters are shown, as `marked` shows them; ``most(n)``
    sets another length. The same values give the same bytes.
    """
    import jinja2  # `import diadem` and commands that show no page are quick without it
    from markupsafe import Markup

    def most(text: object, limit: int) -> Markup:
        return Markup(escaped(text, limit))  # noqa: S704  it is escaped

    def shown(value: object) -> object:
        return value if isinstance(value, Markup) else most(value, longest)

    def picture(address: str) -> Markup:
        """The data address of a picture; "" for what is none."""
        return Markup(address if _PICTURE.match(address) else "")  # noqa: S704  it has no letter to escape

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader([Path(__file__).parents[1] / room / "templates" for room in rooms]),
        autoescape=True,
        finalize=shown,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    made.filters |= {
        "most": most,
        "size": size_text,
        "counted": count_text,
        "number": "{:,}".format,
        "day": date_text,
        "path": PurePosixPath,
        "picture": picture,
    }
    return made
