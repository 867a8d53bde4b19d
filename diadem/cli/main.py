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
import warnings
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

import click

from diadem.cli.help import FORMER, GroupedCommands, explain
from diadem.cli.output import print_error, screens
from diadem.errors import DiademError, Interrupted, UsageError, machine_error

#: Where each command is: only the file of the one that is called is imported.
FILES: Final = {
    "demo": "demo",
    "packages": "pack verify get extract show open",
    "setup": "init store user",
    "archive": "scan archive export site import",
    "find": "status search",
    "copies": "scrub repair drop delete reindex rescan",
    "custody": "custody grant revoke",
    "assessments": "assess amend derive assessment",
    "samples": "sample",
    "peers": "peer login key",
    "transfers": "send inbox accept decline transfer rule",
    "watch": "watch",
    "tell": "tell",
    "services": "service",
    "operation": "serve page jobs doctor instruments plugins",
}


def command_line(name: str | None = None) -> click.Group:
    """The command line with all commands; or with the one, or the group, of this name alone, if there is one."""
    app = GroupedCommands(
        "diadem",
        help="Verified archives with extended metadata for electron microscopy. Start with: diadem demo",
        params=[
            click.Option(
                ["--version"],
                is_flag=True,
                is_eager=True,
                expose_value=False,
                callback=_print_version,
                help="Print the version and stop.",
            )
        ],
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},  # as wide as the terminal
    )
    name = FORMER.get(name or "", name)
    files = [file for file, names in FILES.items() if name in names.split()] or list(FILES)
    for file in files:
        for command in import_module(f"diadem.cli.{file}").root.commands.values():
            app.add_command(command)
    app.add_command(explain)
    return app


def _print_version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from diadem import __version__

        print(f"diadem {__version__}")
        ctx.exit()


#: Set by a shell that asks how a word could go on.
_COMPLETE: Final = "_DIADEM_COMPLETE"
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
    if not sys.warnoptions:  # those of libraries are for who writes programs
        warnings.filterwarnings("ignore", module=r"(?!diadem\.)")
    with screens():
        code = _code_of(arguments, as_json=as_json)
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads has enough, as `head` has: Python would complain of it when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        pass
    if code == 0:  # what failed may hold files and generators in a cycle: those are tidied up
        gc.freeze()  # Python would look through all that was imported for cycles before it ends: a fifth of `status`
    sys.exit(code)


def _code_of(arguments: list[str], *, as_json: bool) -> int:
    """Run a command, tell its error, and return its exit code."""
    try:
        app = command_line(None if _COMPLETE in os.environ else arguments[0])
        return int(app.main(arguments, prog_name="diadem", standalone_mode=False) or 0)
    except DiademError as error:
        print_error(error, as_json=as_json)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        print_error(Interrupted("stopped", next="Run the same command again."), as_json=as_json)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        # An interruption that came through exec(), as in an import of a dataclass, is raised anew by sys.exit.
        os._exit(Interrupted.exit_code)
    except click.ClickException as error:
        print_error(_usage(error), as_json=as_json)
        return UsageError.exit_code
    except BrokenPipeError:
        return 1
    except SystemExit as leaving:  # click's, where a reader has enough: it hides that from the stream, not from its end
        sys.stdout, sys.stderr = (getattr(stream, "wrapped", stream) for stream in (sys.stdout, sys.stderr))
        return leaving.code if isinstance(leaving.code, int) else 1
    except Exception as error:
        if os.environ.get("DIADEM_DEBUG"):
            raise
        failure = _unexpected(error)
        print_error(failure, as_json=as_json)
        return failure.exit_code


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
