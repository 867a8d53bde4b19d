"""The command line: one verb a command, errors in one shape, exit codes that programs can rely on.

0 done · 1 findings · 2 usage · 3 not found · 4 refused · 5 unreachable · 6 interrupted and resumable
"""

from __future__ import annotations

import contextlib
import gc
import os
import re
import signal
import sys
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

import typer
from typer.models import CommandInfo

from diadem.cli.help import FORMER, GroupedCommands, explain
from diadem.cli.output import print_error, screens
from diadem.cli.verb import Commands
from diadem.errors import DiademError, Interrupted, UsageError, machine_error

#: Typer's base of usage errors; it has no public name of its own.
_UsageFailure: type[Exception] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")

#: What Typer returns where Ctrl-C came while it was at work itself.
_INTERRUPTED_BY_TYPER = 130

#: Where each command is: only the file of the one that is called is imported.
FILES: Final = {
    "demo": "demo",
    "packages": "pack verify get extract show open",
    "scan_command": "scan",
    "setup": "init store user",
    "archive": "archive export import",
    "find": "status search",
    "copies": "scrub repair drop delete reindex rescan",
    "custody": "custody grant revoke",
    "assessments": "assess amend derive assessment",
    "samples": "sample",
    "peers": "peer login key",
    "transfers": "send inbox accept decline transfer rule",
    "watch": "watch",
    "operation": "serve page jobs doctor instruments plugins",
}


def command_line(name: str | None = None) -> typer.Typer:
    """The command line with all commands; or with the one, or the group, of this name, if there is one.

    Typer looks at every option of every command before it runs one: a tenth of a second.
    """
    app = Commands(
        "Verified archives with extended metadata for electron microscopy. Start with: diadem demo",
        name="diadem",
        cls=GroupedCommands,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},  # as wide as the terminal
    )
    app.callback()(_options)
    name = FORMER.get(name or "", name)
    files = [file for file, names in FILES.items() if name in names.split()] or list(FILES)
    rooms = [import_module(f"diadem.cli.{file}").root for file in files]
    commands = [one for room in rooms for one in room.registered_commands]
    groups = [one for room in rooms for one in room.registered_groups]
    if len(files) == 1:
        commands, groups = [one for one in commands if _name(one) == name], [one for one in groups if one.name == name]
    app.registered_commands += commands
    app.registered_groups += groups
    app.command(name="help")(explain)
    return app


def _name(command: CommandInfo) -> str:
    return command.name or (command.callback.__name__ if command.callback is not None else "")


def _print_version(wanted: bool) -> None:
    if wanted:
        from diadem import __version__

        print(f"diadem {__version__}")
        raise typer.Exit


def _options(
    version: bool = typer.Option(
        False, "--version", help="Print the version and stop.", is_eager=True, callback=_print_version
    ),
) -> None:
    pass


#: Objects that are made between two looks for cycles: more than a small command makes, of which looking would take a
#: tenth of its time; with 700, as usual, it takes as much of a large package's.
_COLLECTED: Final = 200_000


class _Interruption:
    """The first signal stops the command; the next ones do not disturb its tidying up; the fourth stops that too."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        self._count += 1
        if self._count == 1 or self._count > 3:
            raise KeyboardInterrupt


def at_home(arguments: list[str], *, windows: bool = os.name == "nt") -> list[str]:
    """The arguments with ``~`` at the beginning of a path filled in, which shells of Windows leave to the program."""
    if not windows:
        return arguments
    return [f"{Path.home()}{one[1:]}" if re.match(r"~(?:[\\/]|\Z)", one) else one for one in arguments]


def run(arguments: list[str] | None = None) -> NoReturn:
    """Run a command and leave with its exit code."""
    arguments = at_home(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    as_json = "--json" in arguments
    interruption = _Interruption()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interruption)
    gc.set_threshold(_COLLECTED)
    with screens():
        code = _code_of(arguments, as_json=as_json)
    sys.exit(code)


def _code_of(arguments: list[str], *, as_json: bool) -> int:
    """Run a command, tell its error, and return its exit code."""
    try:
        return _call(arguments)
    except DiademError as error:
        print_error(error, as_json=as_json)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        print_error(Interrupted("stopped", next="Run the same command again."), as_json=as_json)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        # An interruption that came through exec(), as in an import of a dataclass, is raised anew by sys.exit.
        os._exit(Interrupted.exit_code)
    except _UsageFailure as error:
        print_error(_usage(error), as_json=as_json)
        return UsageError.exit_code
    except BrokenPipeError:
        return 1
    except Exception as error:
        if os.environ.get("DIADEM_DEBUG"):
            raise
        failure = _unexpected(error)
        print_error(failure, as_json=as_json)
        return failure.exit_code


def _call(arguments: list[str]) -> int:
    code = int(command_line(arguments[0])(arguments, standalone_mode=False) or 0)
    if code == _INTERRUPTED_BY_TYPER:
        raise KeyboardInterrupt
    return code


def _usage(error: Exception) -> UsageError:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "diadem"
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    return UsageError(message or "no command was given", next=f"See {path} --help.")


def _unexpected(error: Exception) -> DiademError:
    if isinstance(error, OSError) and (failure := machine_error(error)) is not None:
        return failure
    return DiademError(
        f"this should not have happened: {type(error).__name__}: {error}",
        next="Please report it with what DIADEM_DEBUG=1 prints; nothing incomplete was left in a store.",
    )


if __name__ == "__main__":
    run()
