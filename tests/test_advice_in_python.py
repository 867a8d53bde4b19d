"""What errors advise, in the words of Python: every call that stands for a command exists and takes its arguments."""

from __future__ import annotations

import ast
import inspect
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

import diadem
from diadem.advice import in_python
from diadem.errors import NotFound, UsageError
from tests.cli.test_advice import VALUE, commands
from tests.node.verbs.conftest import Lab, lab

__all__ = ["lab"]

#: Commands that act on this machine, or show a page: they have no call.
ALONE = {
    "init",
    "serve",
    "watch",
    "page",
    "open",
    "plugins",
    "demo",
    "instruments",
    "user invite",
    "peer invite",
    "hub",
}


def fault(call: str, node: object) -> str | None:
    """Why a call cannot be made; None where it can."""
    tree = ast.parse(call, mode="eval").body
    if isinstance(tree, ast.Subscript):
        tree = tree.value
    if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Attribute) and isinstance(tree.func.value, ast.Call):
        tree = tree.func.value
    target: Any = eval(ast.unparse(tree.func if isinstance(tree, ast.Call) else tree), {"diadem": diadem, "node": node})
    if isinstance(tree, ast.Call):
        try:
            inspect.signature(target).bind(*tree.args, **{str(one.arg): one.value for one in tree.keywords})
        except TypeError as error:
            return str(error)
    return None


def test_every_command_that_is_advised_is_a_call_that_can_be_made(lab: Lab) -> None:
    advised = {words for place, words in commands() if not place.startswith(("cli/", "page/"))}
    calls = {words: in_python(f"diadem {words}") for words in advised}
    stay = {words for words, call in calls.items() if call == f"diadem {words}"}
    assert {words for words in stay if words.split()[0] not in ALONE} <= {
        "export has made", "search shows them", "status --node VALUE", "search --node VALUE",
        "archive VALUE --split", "peer invite --url https://archive.example.org:8642",
    }  # fmt: skip
    faults = [
        f"{words}: {call}: {why}"
        for words, call in calls.items()
        if words not in stay and (why := fault(call, lab.node))
    ]
    assert not faults, "\n".join(faults)
    assert len(calls) - len(stay) > 90
    assert VALUE in calls["repair VALUE"]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Run diadem scrub, then diadem repair.", "Run node.scrub(), then node.repair()."),
        ("See: diadem store ls", "See: node.stores"),
        ("diadem drop ID --store usb --reason '...'", 'node.drop("ID", store="usb", reason=...)'),
        ("diadem amend ID --set sample.name=S-12", 'node.amend("ID", {"sample.name": "S-12"})'),
        ("diadem amend ID --dataset a.msa --set k=v", 'node.amend("ID", {"k": "v"}, dataset="a.msa")'),
        ("diadem rule add a@b --max 50GB", 'node.rules.add("a@b", max_bytes=50000000000)'),
        ("diadem get 406f3245b359 FOLDER", 'node.restore("406f3245b359", "FOLDER")'),
        ("diadem get '/data/a b' FOLDER", 'diadem.open("/data/a b").restore("FOLDER")'),
        ("As diadem export does that", "As diadem export does that"),
        ("diadem serve --hub", "diadem serve --hub"),
        ("diadem show 'it", "diadem show 'it"),
    ],
)
def test_commands_as_calls(said: str, told: str) -> None:
    assert in_python(said) == told


def test_an_error_says_message_place_and_next_on_a_line_each() -> None:
    error = NotFound("it is not there", where="/here", next="See: diadem store ls")
    assert str(error) == "it is not there\n  where: /here\n  next:  See: node.stores"
    assert error.line == "it is not there [/here] See: diadem store ls"
    assert error.to_dict()["next"] == "See: diadem store ls", "the command line's own words"
    assert str(UsageError("no")) == "no"


def test_in_ipython_a_traceback_shows_the_callers_lines_alone(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    shell: Any = InteractiveShell.instance()
    shell.push({"node": lab.node})
    shell.run_cell("def mine():\n    return node.get('deadbeefdead')\nmine()")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert "mine()" in lines[0]
    assert "node.get('deadbeefdead')" in lines[1]
    assert lines[2:] == [
        "NotFound: the catalogue has no package deadbeefdead",
        "  next:  Look for it with node.search().",
    ]


def test_levels_are_refused_with_what_to_use_instead(lab: Lab) -> None:
    package = lab.node.archive(lab.session("S-12"), now=True).package
    with pytest.raises(UsageError, match=r"(?s)'quickly'.*next:.*quick, leaves, full"):
        package.verify(level="quickly")
