"""Help on one screen: ten commands for a beginner; all of them, in groups, with `diadem help all`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import click

from diadem.errors import UsageError

#: What a beginner sees; commands that are not there yet come with what they need.
FIRST: Final = ("demo", "scan", "init", "archive", "status", "search", "get", "verify", "send", "inbox")
#: The others.
GROUPS: Final[Mapping[str, Sequence[str]]] = {
    "One package": ("show", "open"),
    "Copies": ("pack", "store", "scrub", "repair", "drop", "delete", "rescan", "reindex", "export", "site", "import"),
    "People": (
        "user",
        "sample",
        "assess",
        "assessment",
        "amend",
        "derive",
        "grant",
        "revoke",
        "custody",
        "accept",
        "decline",
        "transfer",
        "rule",
    ),
    "Network": ("peer", "serve", "login", "key"),
    "Operation": ("page", "watch", "service", "tell", "instruments", "jobs", "doctor", "plugins", "extract"),
}
#: Names that commands had before; they go on working, and no help lists them.
FORMER: Final[Mapping[str, str]] = {"judgement": "assessment", "transfers": "transfer"}
_MORE = "diadem help all lists every command; diadem COMMAND --help explains one."
_WHICH = "Commands work on the node that --node names, else DIADEM_NODE, else on the one made or recovered last."
#: What the value of an option is, where it is more than a text.
_VALUES: Final = {
    option: word
    for word, options in {
        "NUMBER": "--days --depth --every --jobs --limit --offset --port --top --value --wait --workers",
        "WHEN": "--expires",
        "DATE": "--date --made --not-before --since --stolen-since",
        "FILE": "--checkpoint --csv --explain --export --html --meta --parameters --plan --recovery-file --xlsx",
        "FOLDER": "--look-in",
        "NAME": "--as --forget --full-name --lab --maker --name --peer --project --save --scheme --store --user",
        "ID": "--package --pin --recipient --replaces --stop",
        "NODE": "--node",
        "PERSON": "--to",
        "ADDRESS": "--from",
        "URL": "--dask --url",
        "HOST:PORT": "--listen --metrics",
        "RATE": "--max-rate",
        "SIZE": "--max",
        "KEY=VALUE": "--set",
    }.items()
    for option in options.split()
}


class Command(click.Command):
    """A command whose help says in words what is written where: ``--limit NUMBER``, ``[STORE]``."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The words of the line `Usage`."""
        given: list[Any] = [one for one in self.get_params(ctx) if one.param_type_name == "argument"]
        return ["[OPTIONS]", *(name if one.required else f"[{name}]" for one in given for name in [_placeholder(one)])]

    def format_arguments(self, ctx: Any, formatter: Any) -> None:
        """Nothing: `format_options` writes the arguments as well, with every release of click."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write what can be given."""
        for title, kind in (("Arguments", "argument"), ("Options", "option")):
            if rows := list(parameter_rows(self, ctx, kind)):
                with formatter.section(title):
                    formatter.write_dl(rows)


def parameter_rows(command: Any, ctx: Any, kind: str) -> Iterator[tuple[str, str]]:
    """The arguments or options of a command: how each is written, and its help."""
    for one in command.get_params(ctx):
        if one.param_type_name != kind:
            continue
        if kind == "argument":
            name = _placeholder(one)
        elif one.is_flag:
            name = one.get_help_record(ctx)[0]
        else:
            name = f"{', '.join(one.opts)} {one.metavar or _VALUES.get(one.opts[-1], 'TEXT')}"
        more = "; ".join(_rules(one))
        yield name, f"{one.help}  [{more}]" if more else one.help


def _rules(one: Any) -> Iterator[str]:
    """What is taken where nothing is said, what is allowed, and whether something must be said."""
    default = one.get_default(_NOWHERE)
    if isinstance(default, bool):
        if one.secondary_opts:
            yield f"default: {(one.opts if default else one.secondary_opts)[0].lstrip('-')}"
    elif isinstance(default, (int, float, str)) and default != "":
        yield f"default: {default}"
    least, most = getattr(one.type, "min", None), getattr(one.type, "max", None)
    if least is not None:
        yield f"{least:g} or more" if most is None else f"{least} to {most}"
    if one.required:
        yield "required"


#: Where no command is called: defaults are the declared ones.
_NOWHERE: Final = click.Context(click.Command(""))


def _placeholder(argument: Any) -> str:
    name = argument.metavar or argument.name.upper().replace("_", "-")
    return f"{name}..." if argument.nargs == -1 and "..." not in name else str(name)


class GroupedCommands(click.Group):
    """A group of commands whose help shows the first ten."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command by its name, or by one that it had before."""
        return super().get_command(ctx, FORMER.get(cmd_name, cmd_name))

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
        for title, names in GROUPS.items():
            self._section(ctx, formatter, title, names)
        placed = {*FIRST, *(name for names in GROUPS.values() for name in names), "help"}
        self._section(ctx, formatter, "Others", [name for name in self.list_commands(ctx) if name not in placed])
        formatter.write_paragraph()
        formatter.write_text(_WHICH)
        return str(formatter.getvalue()).rstrip("\n")

    def _section(self, ctx: Any, formatter: Any, title: str, names: Sequence[str]) -> None:
        found = {name: command for name in names if (command := self.get_command(ctx, name)) is not None}
        if found:
            limit = formatter.width - 6 - max(map(len, found))
            with formatter.section(title):
                formatter.write_dl([(name, command.get_short_help_str(limit)) for name, command in found.items()])


@click.command("help", cls=Command)
@click.argument("topic", nargs=-1)
@click.pass_context
def explain(ctx: click.Context, topic: Sequence[str]) -> int:
    """List every command, or explain one."""
    context: Any = ctx.parent
    if not topic or tuple(topic) == ("all",):
        print(context.command.every_command(context))
        return 0
    for word in topic:
        found = context.command.get_command(context, word) if hasattr(context.command, "get_command") else None
        if found is None:
            raise UsageError(f"there is no command '{' '.join(topic)}'", next="See: diadem help all")
        context = found.make_context(word, [], parent=context, resilient_parsing=True)
    print(context.command.get_help(context))
    return 0


explain.params[0].help = "A command, as in: diadem help store add"  # since click 8.5 the argument takes it itself
