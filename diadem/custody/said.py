"""The words of a statement's predicate, as the sentences about it use them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from diadem.model.statements import Statement

#: Characters of a free text that are shown; the statement has the rest.
_SHOWN: Final = 200


def counted(count: int, word: str) -> str:
    """``1 file``, ``1,200 files``."""
    plural = word[:-1] + "ies" if word.endswith("y") else word + "s"
    return f"{count:,} {word if count == 1 else plural}"


class Said:
    """A statement, by the words of its predicate."""

    def __init__(self, statement: Statement, node: str, names: Mapping[str, str]) -> None:
        self.statement, self.node, self._names = statement, node, names
        self.predicate: Mapping[str, Any] = statement.predicate

    def __getitem__(self, name: str) -> Any:
        value = self.predicate[name]
        return quoted(value) if isinstance(value, str) else value

    def get(self, name: str, default: Any = None) -> Any:
        """A member that need not be there."""
        return self[name] if self.predicate.get(name) is not None else default

    def other(self, name: str) -> str:
        """Another node, by the member that has its id."""
        return f"the node {self._names.get(self.predicate[name]) or self[name][:12] + '…'}"

    @property
    def actor(self) -> str:
        """Who acted: the person where one is named, else the node."""
        return str(self.get("by", self.node))

    @property
    def reason(self) -> str:
        """The reason given, to be put after the sentence."""
        return f", because: {bare(self['reason'])}" if self.get("reason") else ""


def quoted(text: str, longest: int = _SHOWN) -> str:
    """A text of someone else: no control characters, none that turns what is read, no length without end."""
    clean = "".join(character if character.isprintable() else " " for character in text)
    return clean if len(clean) <= longest else clean[: longest - 1] + "…"


def bare(text: str) -> str:
    """The same without the full stop at its end: the sentence brings its own."""
    return quoted(text).rstrip(". ")
