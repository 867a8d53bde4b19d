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
from copy import copy
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

import typer
from typer.main import get_command_name
from typer.models import CommandInfo

from diadem.cli import (
    access_commands,
    archive_commands,
    assessment_commands,
    copies_commands,
    custody_command,
    demo_command,
    disk_commands,
    export_command,
    find_commands,
    grouped_help,
    instruments_command,
    operation_commands,
    package_commands,
    page_command,
    peer_commands,
    plugins_command,
    quality_commands,
    sample_commands,
    scan_command,
    serve_command,
    setup_commands,
    show_commands,
    transfer_commands,
    watch_commands,
)
from diadem.cli.grouped_help import FORMER, Commands, GroupedCommands
from diadem.cli.output import print_error, screens
from diadem.errors import DiademError, Interrupted, UsageError, machine_error

#: Typer's base of usage errors; it has no public name of its own.
_UsageFailure: type[Exception] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")

#: What Typer returns where Ctrl-C came while it was at work itself.
_INTERRUPTED_BY_TYPER = 130

app = Commands(
    "Verified archives with extended metadata for electron microscopy. Start with: diadem demo",
    name="diadem",
    cls=GroupedCommands,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},  # as wide as the terminal
)
demo_command.register(app)
package_commands.register(app)
plugins_command.register(app)
scan_command.register(app)
setup_commands.register(app)
archive_commands.register(app)
find_commands.register(app)
show_commands.register(app)
copies_commands.register(app)
custody_command.register(app)
quality_commands.register(app)
assessment_commands.register(app)
access_commands.register(app)
export_command.register(app)
disk_commands.register(app)
operation_commands.register(app)
watch_commands.register(app)
serve_command.register(app)
page_command.register(app)
instruments_command.register(app)
sample_commands.register(app)
peer_commands.register(app)
transfer_commands.register(app)
grouped_help.register(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        from diadem import __version__

        print(f"diadem {__version__}")
        raise typer.Exit


@app.callback()
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
    code = int(_with_one(arguments[0])(arguments, standalone_mode=False) or 0)
    if code == _INTERRUPTED_BY_TYPER:
        raise KeyboardInterrupt
    return code


def _with_one(name: str) -> typer.Typer:
    """The command line with the one command, or group of commands, that is called; else with all.

    Typer looks at every option of every command before it runs one: a tenth of a second.
    """
    name = FORMER.get(name, name)
    commands = [one for one in app.registered_commands if (one.name or get_command_name(_function(one))) == name]
    groups = [one for one in app.registered_groups if one.name == name]
    if len(commands) + len(groups) != 1 or name == "help":
        return app
    small = copy(app)
    small.registered_commands, small.registered_groups = commands, groups
    return small


def _function(command: CommandInfo) -> str:
    return command.callback.__name__ if command.callback is not None else ""


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
