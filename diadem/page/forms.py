"""What a person has typed into a form of ours, and where the browser goes when it is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from starlette.requests import Request

from diadem.errors import UsageError
from diadem.page.folders import typed_path
from diadem.page.html import as_shown, whole

#: Days that can be said: a hundred years.
_LONGEST: Final = 36_500


class Form:
    """The fields of a form. The guard has judged already that it is one of ours.

    Parameters
    ----------
    request : Request
        Of the method POST.
    """

    def __init__(self, request: Request) -> None:
        self._fields: Final[Mapping[str, Sequence[str]]] = request.scope["form"]

    def text(self, name: str, default: str = "") -> str:
        """What stands in a field, without blanks around it; the default where it is empty or missing."""
        return next(iter(self._fields.get(name, ())), "").strip() or default

    def needed(self, name: str, label: str) -> str:
        """What stands in a field that must not be empty. Raises `UsageError` with its label where it is."""
        if not (said := self.text(name)):
            raise UsageError(f"nothing was written under '{label}'", next="Go back, fill it in, and try again.")
        return said

    def edited(self, name: str, before: str) -> str:
        """What stands in a field; lines that were left as they were shown are what they were, with marks and all."""
        shown = {as_shown(line).strip(): line for line in before.split("\n")}
        return "\n".join(shown.get(line.strip(), line) for line in self.text(name).splitlines()).strip()

    def path(self, name: str, label: str) -> Path:
        """A place on this machine, written or pasted from its beginning. Raises `UsageError` where it is none."""
        return Path(typed_path(self.needed(name, label)))

    def days(self, name: str, default: str = "") -> int:
        """A number of days, 0 where the field is empty. Raises `UsageError` where it is none."""
        text = self.text(name, default)
        if text and not 0 < whole(text) <= _LONGEST:
            raise UsageError(f"'{text}' is not a number of days", next=f"Write a whole number: {default or 90}")
        return whole(text)

    def all(self, name: str) -> list[str]:
        """Everything that was chosen under a name."""
        return [said for said in self._fields.get(name, ()) if said]

    def flag(self, name: str) -> bool:
        """Whether a box is ticked."""
        return bool(self.text(name))

    @property
    def typed(self) -> dict[str, str]:
        """The first value of each field, to be shown again where something was wrong."""
        return {name: values[0] for name, values in self._fields.items() if values}
