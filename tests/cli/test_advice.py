"""Every command of ours that a message names can be run: it exists, with these options and as many words."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import diadem
from tests.cli.test_node_commands import ROOT

SOURCE = Path(diadem.__file__).parent
#: What a value that is filled in stands for.
VALUE = "VALUE"
#: Beginnings of commands, whose last word, a ticket, is put there by whoever shows them.
BEGUN = {("cli/setup.py", "login"), ("cli/peers.py", "peer join")}
#: A command in a text, and where it ends: prose goes on after a mark, or after more than one space.
COMMAND = re.compile(
    r"(?:^|(?<=[\s(:'`]))diadem (?=[a-z-])(.*?)(?=$|  |\n|\)|`|[.,;:]?(?:\s[(A-Z]?[a-z]* ?\()|[.;,](?:\s|$)|…|\?)"
)


def texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every text that a module may print, with values filled in; docstrings and parts of others left out."""
    skipped = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            skipped |= {id(part) for part in node.values}
            parts = [str(part.value) if isinstance(part, ast.Constant) else VALUE for part in node.values]
            yield node.lineno, "".join(parts)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            yield node.lineno, node.value


def commands() -> list[tuple[str, str]]:
    """Each command that stands in a text of the source: where, and its words."""
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        for line, text in texts(ast.parse(path.read_text("utf-8"))):
            for match in COMMAND.finditer(text):
                found.append((f"{path.relative_to(SOURCE)}:{line}", match.group(1).strip()))
    return found


def fault(words: list[str]) -> str | None:
    """Why a command cannot be run; None where it can."""
    command: Any = ROOT
    while hasattr(command, "commands"):
        default = getattr(command, "default", None)
        if (not words or words[0] not in command.commands) and not isinstance(default, str):
            return f"there is no command {' '.join(words[:1])!r}"
        command = command.commands[words.pop(0) if words and words[0] in command.commands else default]
    options = {name: one for one in command.params for name in (*one.opts, *one.secondary_opts) if name.startswith("-")}
    places = [one for one in command.params if one.param_type_name == "argument"]
    given: set[Any] = set()
    count = 0
    while words:
        word = words.pop(0)
        if word.startswith("-") and word not in ("-h", "--help"):
            if (option := options.get(word.partition("=")[0])) is None:
                return f"it has no option {word}"
            given.add(option.name)
            if not option.is_flag and "=" not in word and not (words and words.pop(0)):
                return f"{word} lacks its value"
        elif not word.startswith("-"):
            count += 1
    needed = sum(one.required for one in places)
    if not needed <= count <= (10_000 if any(one.nargs == -1 for one in places) else len(places)):
        return f"it takes {needed} to {len(places)} words, not {count}"
    lacking = [one.opts[0] for one in command.params if one.required and one not in places and one.name not in given]
    return f"it needs {', '.join(lacking)}" if lacking else None


def test_every_command_that_is_named_can_be_run() -> None:
    found = commands()
    faults = [
        f"{where}: diadem {command}: {problem}"
        for where, command in sorted(set(found))
        if (problem := fault(shlex.split(command))) is not None and (where.partition(":")[0], command) not in BEGUN
    ]
    assert not faults
    assert len(found) > 150


def test_faults_are_seen() -> None:
    for line in ("custody", "user", "archiv x", "scrub --dou", "store add", "drop x", "doctor on the node"):
        assert fault(line.split()) is not None, line
    for line in ("custody x", "user ls", "grant x --to bob", "scrub main --due", "archive x --set a=b --now"):
        assert fault(line.split()) is None, line
