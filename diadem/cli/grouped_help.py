"""Help on one screen: ten commands for a beginner; all of them, in groups, with `diadem help all`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from diadem.errors import UsageError

#: What a beginner sees; commands that are not there yet come with what they need.
FIRST: Final = ("demo", "scan", "init", "archive", "status", "search", "get", "verify", "send", "inbox")
#: The others.
GROUPS: Final[Mapping[str, Sequence[str]]] = {
    "One package": ("show", "open"),
    "Copies": ("pack", "store", "scrub", "repair", "drop", "delete", "rescan", "reindex", "export", "import"),
    "People": (
        "user",
        "sample",
        "assess",
        "judgement",
        "amend",
        "derive",
        "grant",
        "revoke",
        "custody",
        "accept",
        "decline",
        "transfers",
        "rule",
    ),
    "Network": ("peer", "serve", "login", "key"),
    "Operation": ("page", "watch", "instruments", "jobs", "doctor", "plugins", "extract"),
}
_OTHERS = "Others"
_MORE = "diadem help all lists every command; diadem COMMAND --help explains one."


class GroupedCommands(TyperGroup):
    """A group of commands whose help shows the first ten."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the ten, and where the others are."""
        self._section(ctx, formatter, "Commands", FIRST)
        formatter.write_paragraph()
        formatter.write_text(_MORE)

    def every_command(self, ctx: Any) -> str:
        """The text of `diadem help all`."""
        formatter = ctx.make_formatter()
        self.format_usage(ctx, formatter)
        self._section(ctx, formatter, "Commands", FIRST)
        for title, names in self._groups(ctx):
            self._section(ctx, formatter, title, names)
        return str(formatter.getvalue()).rstrip("\n")

    def _groups(self, ctx: Any) -> Iterator[tuple[str, Sequence[str]]]:
        yield from GROUPS.items()
        placed = {*FIRST, *(name for names in GROUPS.values() for name in names)}
        yield _OTHERS, [name for name in self.list_commands(ctx) if name not in placed and name != "help"]

    def _section(self, ctx: Any, formatter: Any, title: str, names: Sequence[str]) -> None:
        found = {name: command for name in names if (command := self.get_command(ctx, name)) is not None}
        if found:
            limit = formatter.width - 6 - max(map(len, found))
            with formatter.section(title):
                formatter.write_dl([(name, command.get_short_help_str(limit)) for name, command in found.items()])


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command(name="help")(explain)


def explain(
    ctx: typer.Context,
    topic: Annotated[list[str] | None, typer.Argument(help="A command, as in: diadem help store add")] = None,
) -> int:
    """List every command, or explain one."""
    context: Any = ctx.parent
    if not topic or topic == ["all"]:
        print(context.command.every_command(context))
        return 0
    for word in topic:
        found = context.command.get_command(context, word) if hasattr(context.command, "get_command") else None
        if found is None:
            raise UsageError(f"there is no command '{' '.join(topic)}'", next="See: diadem help all")
        context = found.make_context(word, [], parent=context, resilient_parsing=True)
    print(context.command.get_help(context))
    return 0
