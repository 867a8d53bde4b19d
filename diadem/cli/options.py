"""How options and arguments are declared; and those that several commands have, each declared once."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

import click
from click.shell_completion import CompletionItem

from diadem.model.ports import Listener

if TYPE_CHECKING:
    from diadem.api.nodes import Node
else:
    Node = Any  # a command's signature is read to find its options, and none of them needs the room of the node

__all__ = ["Argument", "Listener", "Node", "Option"]


class Option:
    """An option, as it stands in the annotation of a parameter: ``limit: Annotated[int, Option("How many rows.")]``.

    It is called as the parameter is, ``--limit``, where no `flags` are given.
    """

    def __init__(
        self,
        help: str,  # noqa: A002
        *flags: str,
        metavar: str | None = None,
        min: float | None = None,  # noqa: A002
        max: float | None = None,  # noqa: A002
        parser: Callable[[str], Any] | None = None,
    ) -> None:
        self.flags, self.help, self.metavar = flags, help, metavar
        self.min, self.max, self.parser = min, max, parser

    def made(self, parameter: inspect.Parameter) -> click.Parameter:
        """The parameter that click reads; its type, and whether it is required, are as Python has them."""
        kind, needed = get_args(parameter.annotation)[0], parameter.default is inspect.Parameter.empty
        kind = get_args(kind)[0] if isinstance(kind, UnionType) else kind  # of ``str | None``
        many = get_origin(kind) is list
        kind = get_args(kind)[0] if many else kind
        common: dict[str, Any] = {"required": needed, "metavar": self.metavar}
        if not needed and not many:
            common["default"] = parameter.default
        if kind is str:
            common["shell_complete"] = _names_of_files
        if self.parser is not None:
            kind = self.parser
        elif kind is Path:
            kind = click.Path(path_type=Path)
        elif self.min is not None or self.max is not None:
            kind = (click.IntRange if kind is int else click.FloatRange)(self.min, self.max)  # type: ignore[arg-type]
        return self._made(parameter.name, kind, common, many=many)

    def _made(self, name: str, kind: Any, common: dict[str, Any], *, many: bool) -> click.Parameter:
        more = {"is_flag": True} if kind is bool else {"type": kind, "multiple": many}
        flags = self.flags or (f"--{name.rstrip('_').replace('_', '-')}",)
        return click.Option([name, *flags], help=self.help, **common, **more)


class Argument(Option):
    """The same of an argument, which has a place instead of a name."""

    def _made(self, name: str, kind: Any, common: dict[str, Any], *, many: bool) -> click.Parameter:
        made = click.Argument([name], type=kind, nargs=-1 if many else 1, **common)
        made.help = self.help  # since click 8.5 it could be said above
        return made


def _names_of_files(ctx: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:  # noqa: ARG001
    """What a shell offers where nobody tells it better: many a text may be a folder, a package or an address."""
    return [CompletionItem(word, type="file")]


def _rate(text: str) -> float:
    from diadem.model.measures import read_rate

    return read_rate(text)


# What every command may have; `Commands.verb` adds them to those that need them.
Json = Annotated[bool, Option("Print one JSON object.")]
Quiet = Annotated[bool, Option("Show no progress.", "--quiet", "-q")]
NodeAt = Annotated[str | None, Option("A node's folder, a store to read, or https://… (login).")]
As = Annotated[str | None, Option("Act as this user. Default: the node's first.")]

# How the work is done.
DryRun = Annotated[bool, Option("Show what would be done; change nothing.")]
Jobs = Annotated[int | None, Option("Use this many processes of this machine.", min=1)]
Dask = Annotated[str | None, Option("Use a Dask cluster: tcp://scheduler:8786.")]
MaxRate = Annotated[float | None, Option("Limit per second, to leave disk and network to others: 50MB.", parser=_rate)]

# What is meant, and why.
Package = Annotated[str, Argument("Which package.")]
Reason = Annotated[str, Option("Why; kept in the log.")]
ClockIsRight = Annotated[bool, Option("The clock is right: years did pass without a log entry.")]
StoreOf = Annotated[str | None, Option("Store that takes it. Default: the first with room.")]
Ticket = Annotated[str, Argument("The ticket; - reads it from standard input.")]

# What is said of a session.
Meta = Annotated[Path | None, Option("Session, sample, people, instrument: a JSON or TOML file.")]
Strict = Annotated[bool, Option("Refuse if any file cannot be archived.")]
