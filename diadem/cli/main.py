"""The command line: one verb a command, errors in one shape, exit codes that programs can rely on.

0 done · 1 findings · 2 usage · 3 not found · 4 refused · 5 unreachable · 6 interrupted and resumable
"""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import NoReturn

import click
import typer

from diadem.cli import package_commands
from diadem.cli.output import print_error
from diadem.errors import DiademError, Interrupted

app = typer.Typer(
    name="diadem",
    help="Verified archives with extended metadata for electron microscopy. Start with: diadem demo",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
package_commands.register(app)


@app.callback(invoke_without_command=False)
def _options(
    version: bool = typer.Option(False, "--version", help="Print the version and stop.", is_eager=True),
) -> None:
    if version:
        from diadem import __version__

        print(f"diadem {__version__}")
        raise typer.Exit


def _terminated(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def run(arguments: list[str] | None = None) -> NoReturn:
    """Run a command and leave with its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if hasattr(signal, "SIGTERM"):
        signal.signal(signal.SIGTERM, _terminated)
    for stream in (sys.stdout, sys.stderr):  # a name that the console cannot show must not end the command
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
    try:
        code = app(arguments, standalone_mode=False) or 0
    except click.ClickException as error:
        print_error(_usage(error), as_json="--json" in arguments)
        code = 2
    except (KeyboardInterrupt, click.Abort):
        print_error(Interrupted("stopped", next="Run the same command again."), as_json="--json" in arguments)
        code = Interrupted.exit_code
    except DiademError as error:
        print_error(error, as_json="--json" in arguments)
        code = error.exit_code
    sys.exit(code)


def _usage(error: click.ClickException) -> DiademError:
    from diadem.errors import UsageError

    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "diadem"
    return UsageError(error.format_message(), next=f"See {path} --help.")


if __name__ == "__main__":
    run()
