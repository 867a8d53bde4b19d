"""A verb of the command line: a function on a node becomes a command that opens it, prints, and returns its code."""

from __future__ import annotations

import inspect
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, cast, get_args

import click

from diadem.cli.help import Command
from diadem.cli.options import As, Json, NodeAt, Quiet
from diadem.cli.output import named_node, plain, print_json, progress, tell_all
from diadem.errors import Refused

if TYPE_CHECKING:
    from diadem.api.nodes import Node

_Function = TypeVar("_Function", bound=Callable[..., Any])


class Answer(NamedTuple):
    """What a verb gives: a document for programs, lines for people, and whether there is something to look into."""

    document: Mapping[str, Any]
    lines: Iterable[str] = ()
    findings: bool = False


class Commands(click.Group):
    """A group of commands. With `default` a word may be left out: ``watch FOLDER`` is then ``watch run FOLDER``."""

    def __init__(self, name: str = "", text: str = "", *, default: str | None = None, needs_word: bool = True) -> None:
        super().__init__(name, help=text, no_args_is_help=needs_word)
        self.default = default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the word that was left out in its place."""
        first = args[0] if args else None
        if self.default and (first or not self.no_args_is_help):
            args = args if first in (*self.commands, *ctx.help_option_names) else [self.default, *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The commands in their order, then the groups."""
        return sorted(self.commands, key=lambda name: isinstance(self.commands[name], Commands))

    def add(self, group: Commands) -> Commands:
        """Add a group."""
        self.add_command(group)
        return group

    def verb(
        self, name: str | None = None, *, user: bool = False, sick: bool = False, plain: bool = False
    ) -> Callable[[_Function], _Function]:
        """Add a command made of a function that returns an `Answer`, or an exit code where it has printed itself.

        The function says by its parameters what it needs: with `node` as the first one it gets an open node, and the
        command has ``--node``; with `listener` it gets one, and the command has ``--quiet``. Every command but a
        `plain` one has ``--json``, which the function is given only where it asks for `json`. With `user` the command
        has ``--user``; with `sick` it opens a node whose catalogue is damaged, too.
        """

        def add(function: _Function) -> _Function:
            called = name or function.__name__
            self.add_command(_made(called, function, user=user, sick=sick, plain=plain))
            return function

        return add


_COMMON: Final = {"node": (NodeAt, None), "user": (As, None), "json": (Json, False), "quiet": (Quiet, False)}


def _made(name: str, function: Callable[..., Answer | int], *, user: bool, sick: bool, plain: bool) -> Command:
    """The command with the options that the function does not see itself."""
    stated = inspect.signature(function, eval_str=True).parameters
    own = {name: one for name, one in stated.items() if one.kind != one.VAR_KEYWORD}
    on_node = "node" in own and own["node"].default is inspect.Parameter.empty
    listens = own.pop("listener", None) is not None
    if on_node:
        del own["node"]
    added = {"node": on_node, "user": user, "json": not plain, "quiet": listens}
    common = {
        name: inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (annotation, default) in _COMMON.items()
        if added[name] or (name in own and own[name].annotation == annotation)
    }
    options = [one for name, one in own.items() if name not in common] + [*common.values()]

    def command(**given: Any) -> int:
        named_node.set(given.get("node") or "")
        words = {name: given[name] or own[name].default if given[name] == () else given[name] for name in own}
        with ExitStack() as stack:
            if on_node:
                words["node"] = stack.enter_context(opened(given["node"], given.get("user"), sick=sick))
            if listens:
                words["listener"] = stack.enter_context(progress(quiet=given["quiet"] or given["json"]))
            answer = function(**words)
        if isinstance(answer, int):
            return answer
        if given["json"]:
            print_json(answer.document)
        else:
            tell_all(answer.lines)
        return int(answer.findings)

    parameters = [get_args(one.annotation)[1].made(one) for one in options]
    return Command(name, callback=command, params=parameters, help=function.__doc__)


# -- what a command works on -----------------------------------------------------------------------------------------

#: What is meant as an id, with the ellipsis of one that was printed shortened.
_MEANT = re.compile(r"(?:diadem:[0-9a-f]*|[0-9a-f]{8,64})(?:…|\.\.\.)?\Z")


def is_id(text: str) -> bool:
    """Whether an argument names a package of the node, not a folder or an address; the node judges if it is whole."""
    return bool(_MEANT.match(text)) and not os.path.lexists(text)


@contextmanager
def opened(node: str | None, user: str | None = None, *, sick: bool = False) -> Iterator[Node]:
    """The node that a command works on, here or over the network; with `sick` also where its catalogue is damaged."""
    from diadem.api.nodes import connect, open_node
    from diadem.node.terminal import NODE_VARIABLE

    named_node.set(node or "")
    where = node or os.environ.get(NODE_VARIABLE, "")
    if where.startswith("https://"):  # it has the verbs that can be used from elsewhere, and says so of the others
        found = cast("Node", connect(where, user, ask=ask_passphrase))
    else:
        found = open_node(node, user, ask=ask_passphrase, sick=sick)
    with found:
        yield found


@contextmanager
def unattended(*, quiet: bool) -> Iterator[None]:
    """Run a service: it loads the plugins that somebody named for it, and says which it leaves out or cannot load."""
    from diadem.api.tools import failed_plugins, only_named_plugins

    with only_named_plugins() as left_out:
        for failure in failed_plugins():
            print(plain(f"plugins          {failure}"), file=sys.stderr, flush=True)
        if left_out and not quiet:
            names = ",".join(left_out)
            said = f"plugins          not loaded here: {names}; to load them, set DIADEM_PLUGINS={names}"
            print(plain(said), file=sys.stderr, flush=True)
        yield


# -- passphrases -----------------------------------------------------------------------------------------------------


RECOVERY_VARIABLE: Final = "DIADEM_RECOVERY_PASSPHRASE"


def ask_passphrase(name: str) -> str:
    """Ask a person for the passphrase of a key; refuse where nobody is looking."""
    if not sys.stdin.isatty():
        raise Refused(f"the key '{name}' needs its passphrase", next="Set DIADEM_PASSPHRASE.")
    return str(click.prompt(f"Passphrase of the key '{name}'", hide_input=True, err=True))


def new_passphrase(what: str, variable: str) -> str:
    """Ask for a new passphrase, twice unless it is empty, which means none. Scripts set the variable."""
    if variable in os.environ:
        return os.environ[variable]
    if not sys.stdin.isatty():
        return ""
    while True:
        given = _hidden(f"Passphrase for {what} (empty: none)")
        if not given or given == _hidden("Once more"):
            return given
        print("The two are not the same.", file=sys.stderr)


def recovery_passphrase(recovery_file: Path) -> str:
    """What opens a recovery file: from the environment, or from a person, where it needs one."""
    if RECOVERY_VARIABLE in os.environ:
        return os.environ[RECOVERY_VARIABLE]
    if not sys.stdin.isatty() or not recovery_file.exists():
        return ""
    if "BEGIN AGE" not in recovery_file.read_text("utf-8", "replace"):
        return ""
    return str(click.prompt("Passphrase of the recovery file", hide_input=True, err=True))


def _hidden(question: str) -> str:
    return str(click.prompt(question, default="", show_default=False, hide_input=True, err=True))
