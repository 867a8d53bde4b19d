"""What documents name exists: commands, options, rules, exit codes, searches, lines of the policy, names in Python."""

from __future__ import annotations

import ast
import contextlib
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import diadem
from diadem import errors
from diadem.catalogue.query import Names, parse
from diadem.cli.help import FORMER
from diadem.cli.main import command_line
from diadem.policy.engine import RULES
from diadem.policy.policy_text import read_policy

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
_ENDS = {"|", "||", "&&", ";", "&"}
_GROUP: Any = command_line()


def text_of(path: Path) -> str:
    """The text of a page; of a notebook its Markdown."""
    text = path.read_text("utf-8")
    if path.suffix == ".md":
        return text
    cells = json.loads(text)["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def code_of(text: str) -> Iterator[str]:
    """What stands in a page as code that somebody may type: lines of blocks, and code within a line."""
    blocks = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
    for language, block in blocks.findall(text):
        if language == "console":
            yield from re.findall(r"^\$ (.*)$", block, re.MULTILINE)
        elif language in ("", "sh"):
            yield from block.splitlines()
    for comment in re.findall(r"^<!-- console\n(.*?)^-->$", text, re.DOTALL | re.MULTILINE):
        yield from comment.splitlines()
    yield from re.findall(r"`([^`\n]+)`", blocks.sub("", text))


def words_of(code: str) -> list[str]:
    """The words of a line as a shell reads them; where it is none, those between blanks."""
    with contextlib.suppress(ValueError):
        reader = shlex.shlex(code, posix=True, punctuation_chars="|&;")
        reader.whitespace_split, reader.commenters = True, "#"
        return list(reader)
    return code.split()


def commands_of(words: list[str]) -> Iterator[list[str]]:
    """Each call of `diadem` among the words, without the name itself; in words that are command lines too."""
    for number, word in enumerate(words):
        if word.startswith("diadem "):
            yield from commands_of(words_of(word))
        if word == "diadem":
            rest = words[number + 1 :]
            yield rest[: next((place for place, other in enumerate(rest) if other in _ENDS), len(rest))]


def fault_of(words: list[str]) -> str | None:
    """What is wrong with a call: a command or an option that there is not."""
    command, group = _GROUP, True
    for given in words:
        word = FORMER.get(given, given) if command is _GROUP else given
        default = getattr(command, "default", None)
        if isinstance(default, str) and group and word not in command.commands:  # a word that may be left out
            command, group = command.commands[default], False
        if word.startswith("-") and len(word) > 1:
            known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)} | {"--help", "-h"}
            if word.partition("=")[0] not in known:
                return f"{command.name} has no option {word}"
        elif group:
            if word not in command.commands:
                return f"there is no command {word}"
            command = command.commands[word]
            group = hasattr(command, "commands")
    return None


@pytest.mark.parametrize("page", [*PAGES, *NOTEBOOKS], ids=lambda path: path.name)
def test_commands_and_options_exist(page: Path) -> None:
    calls = [call for code in code_of(text_of(page)) for call in commands_of(words_of(code))]
    assert calls or page.name not in ("README.md", "index.md", "first-archive.md", "two-copies.md")
    faults = [f"diadem {' '.join(call)}: {fault}" for call in calls if (fault := fault_of(call)) is not None]
    assert not faults


def test_faults_are_found() -> None:
    for line in ("diadem archiv x", "diadem scrub --dou", "diadem store ad x", "cd x && diadem scrub --dou | head"):
        (call,) = commands_of(words_of(line))
        assert fault_of(call) is not None
    for line in ("diadem scrub main --part 1/28 -q", "diadem store rm usb --lost --reason 'a b'", "diadem --version"):
        (call,) = commands_of(words_of(line))
        assert fault_of(call) is None


def test_every_command_is_in_the_documents() -> None:
    text = "\n".join(map(text_of, PAGES))
    names = [
        f"{name} {below}".strip()
        for name, command in _GROUP.commands.items()
        if not command.hidden and name != "help"
        for below in (getattr(command, "commands", None) or [""])
    ]
    missing = [name for name in names if not re.search(rf"\bdiadem {name}\b", text)]
    assert not missing


def test_every_rule_has_a_way_out() -> None:
    page = text_of(ROOT / "docs" / "when-something-is-red.md")
    told = {name: title for title, name in re.findall(r"\*\*([a-z ]+)\*\* \(`([a-z.-]+)`\)", page)}
    assert set(re.findall(r"`([a-z]+\.[a-z-]+)`", page)) >= {rule.name for rule in RULES}
    assert told.keys() <= {rule.name for rule in RULES}
    assert all(told.get(rule.name, rule.title) == rule.title for rule in RULES)


def test_exit_codes() -> None:
    codes = {
        "findings": errors.DiademError, "usage": errors.UsageError, "not found": errors.NotFound,
        "refused": errors.Refused, "unreachable": errors.Unreachable, "interrupted": errors.Interrupted,
    }  # fmt: skip
    readme = text_of(ROOT / "README.md")
    told = dict(re.findall(r"([1-6]) ([a-z ]+?)[,;]", readme[readme.index("Exit codes are") :]))
    assert told == {str(kind.exit_code): name for name, kind in codes.items()}
    for page in PAGES:
        assert set(re.findall(r"\bcode ([0-9]+)\b", text_of(page))) <= {"0", *told}, page.name


def test_policies_can_be_read() -> None:
    marked = r"<!-- policy -->\n```toml\n(.*?)```"
    policies = [policy for page in PAGES for policy in re.findall(marked, text_of(page), re.DOTALL)]
    assert policies
    for policy in policies:
        read_policy(policy)


class Listed(Names):
    """Texts of every key are listed; there is none."""

    def texts(self, *_: object, **__: object) -> list[tuple[str, ...]]:
        return []


def test_searches_are_understood() -> None:
    page = text_of(ROOT / "docs" / "search.md")
    asked = [code for code in re.findall(r"`([^`\n]+)`", page) if re.search(r"\w(?:[:<>=]|!=)\S", code)]
    asked += re.findall(r"diadem search '([^']+)'\n(?!diadem:)", page)
    assert len(asked) > 20
    for query in asked:
        parse(query, Listed())


def test_python_names_exist() -> None:
    owners = {"diadem": diadem, "node": diadem.Node, "package": diadem.Package}
    names = [
        (page.name, found.value.id, found.attr)
        for page in PAGES
        for block in re.findall(r"```python\n(.*?)```", text_of(page), re.DOTALL)
        for found in ast.walk(ast.parse(block))
        if isinstance(found, ast.Attribute) and isinstance(found.value, ast.Name) and found.value.id in owners
    ]
    assert len(names) > 30
    assert [one for one in names if not hasattr(owners[one[1]], one[2])] == []
