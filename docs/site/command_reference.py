"""A page for each command, made from the command line itself, before the other pages are read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from diadem.cli.help import FIRST, GROUPS, parameter_rows
from diadem.cli.main import command_line

#: How a shell learns to complete commands and options.
_SHELL = (
    "",
    "To complete commands and options with the Tab key, add a line to the settings of your shell:",
    "",
    "| shell | file | line |",
    "|---|---|---|",
    '| bash | `~/.bashrc` | `eval "$(_DIADEM_COMPLETE=bash_source diadem)"` |',
    '| zsh | `~/.zshrc` | `eval "$(_DIADEM_COMPLETE=zsh_source diadem)"` |',
    "| fish | `~/.config/fish/completions/diadem.fish` | `_DIADEM_COMPLETE=fish_source diadem \\| source` |",
)


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("builder-inited", _write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _write(app: Sphinx) -> None:
    folder = Path(app.srcdir) / "docs/reference/commands"
    folder.mkdir(parents=True, exist_ok=True)
    commands = command_line().commands
    pages = {f"{name}.md": _page(name, commands[name]) for name in commands}
    pages["index.md"] = _list(commands)
    for name, text in pages.items():
        path = folder / name
        if not path.exists() or path.read_text("utf-8") != text:  # Sphinx reads again what was written
            path.write_text(text, "utf-8")
    for path in folder.glob("*.md"):
        if path.name not in pages:
            path.unlink()


def _list(commands: dict[str, Any]) -> str:
    grouped = {"To begin with": FIRST, **GROUPS}
    rest = sorted(set(commands) - {name for names in grouped.values() for name in names})
    lines = [
        "# Commands",
        "",
        "Each has `--help`, and `--json` for programs. `diadem help all` prints this list.",
        *_SHELL,
    ]
    for title, names in {**grouped, "Others": rest}.items():
        lines += ["", f"## {title}", "", "| | |", "|---|---|"]
        known = [name for name in names if name in commands]
        lines += [f"| [`diadem {name}`]({name}.md) | {_first(commands[name].help)} |" for name in known]
    return "\n".join([*lines, "", "```{toctree}", ":hidden:", "", *(name for name in sorted(commands)), "```", ""])


def _page(name: str, command: Any) -> str:
    return "\n".join([f"# `diadem {name}`", "", *_told(f"diadem {name}", command), ""])


def _told(called: str, command: Any) -> Iterator[str]:
    """What its help says: how it is called, what it does, its arguments and options, and the commands below it."""
    context = command.context_class(command, info_name=called)
    below = getattr(command, "commands", {})
    usage = " ".join([called, *command.collect_usage_pieces(context)])
    yield from ["```sh", usage, "```", "", _plain(command.help), ""]
    for what in ("argument", "option"):
        told = parameter_rows(command, context, what)
        if lines := [f"| `{name}` | {_plain(text)} |" for name, text in told if not name.endswith("--help")]:
            yield from [f"| {what} | |", "|---|---|", *lines, ""]
    for name, one in below.items():
        if not one.hidden:
            yield from [f"## `{called} {name}`", "", *_told(f"{called} {name}", one)]


def _plain(text: str | None) -> str:
    """One line, whose signs mean nothing to Markdown."""
    plain = " ".join((text or "").split())
    for sign in "\\|<*_[":
        plain = plain.replace(sign, f"\\{sign}")
    return plain


def _first(text: str | None) -> str:
    return _plain(text).partition(". ")[0].rstrip(".") + "."
