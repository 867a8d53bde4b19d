"""The command that says which plugins there are, what they offer, and why one does not work."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from diadem.cli.output import print_json
from diadem.cli.package_commands import Json
from diadem.model.plain_text import printable

#: Columns of a terminal that does not say how many it has.
_WIDTH = 100
#: Bundled plugins by what they offer, and the words for it.
_KINDS: Mapping[str, str] = {
    "formats": "reads",
    "fields": "fields",
    "schemas": "extensions",
    "previews": "previews",
    "checks": "checks",
    "carriers": "carriers",
}


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(plugins)


def plugins(
    explain: Annotated[
        Path | None, typer.Option("--explain", help="A file: what each rule of the tables finds in it, or why not.")
    ] = None,
    json: Json = False,
) -> int:
    """List plugins, what they offer, and what failed."""
    if explain is not None:
        return _explain(explain, json=json)
    from diadem.api import plugins as listed
    from diadem.api.tools import unnamed_plugins

    found = [plugin.to_dict() for plugin in listed()]
    left_out = list(unnamed_plugins())
    failed = any(plugin["failures"] for plugin in found)
    if json:
        print_json({"plugins": found, "ok": not failed, "not_in_services": left_out})
    else:
        for line in _lines(found, left_out):
            print(line)
    return 1 if failed else 0


def _explain(path: Path, *, json: bool) -> int:
    """Say what became of each rule; 1 where one raised."""
    from diadem.api.extraction import explain

    said = explain(path).to_dict()
    if json:
        print_json(said)
    else:
        for line in _explained(said):
            print(line)
    return 1 if any(rule["verdict"] == "raised" for rule in said["rules"]) else 0


def _explained(said: Mapping[str, Any]) -> Iterator[str]:
    """A heading for each block, and a line for each rule; rules that found nothing are named in one paragraph."""
    yield f"read as {printable(said['format'])}"
    for issue in said["issues"]:
        yield from _wrapped("issue", printable(f"{issue['code']}: {issue['message']}"))
    blocks: dict[tuple[str, str, str], list[Mapping[str, str]]] = {}
    for rule in said["rules"]:
        blocks.setdefault((rule["table"], rule["block"], rule["place"]), []).append(rule)
    if not blocks:
        yield "No table matches this file."
    for (name, kind, place), rules in blocks.items():
        yield printable(f"table '{kind}' of '{name}'" + (f", {place}" if place else ""))
        nothing = []
        for rule in rules:
            at = f" at {rule['keys']}" if rule["keys"] else ""
            if rule["verdict"] == "nothing there":
                nothing.append(f"{rule['rule']}{at}")
            else:
                told = f"{rule['why']}{at}" if rule["verdict"] == "found" else f"{rule['rule']}{at}: {rule['why']}"
                yield from _wrapped(f"  {rule['verdict']}", printable(told))
        if nothing:
            yield from _wrapped("  nothing there", printable("; ".join(nothing)))


def _lines(found: Sequence[Mapping[str, Any]], left_out: Sequence[str]) -> Iterator[str]:
    """A heading for each distribution, its offers, and what failed."""
    distributions: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for plugin in found:
        distributions.setdefault((plugin["distribution"], plugin["version"]), []).append(plugin)
    for (name, version), members in distributions.items():
        yield " ".join(filter(None, (name or "not installed", version, _note(members))))
        if members[0]["bundled"]:
            yield from _offers(members)
            continue
        for plugin in members:
            yield f"  {plugin['name']} ({plugin['module']})" if plugin["module"] else f"  {plugin['name']}"
            yield from _offers([plugin])
    for plugin in found:
        for failure in plugin["failures"]:
            yield from _wrapped("failed", failure)
    if left_out:
        words = f"serve and watch load these only where DIADEM_PLUGINS names them: {', '.join(left_out)}"
        yield from _wrapped("in services", words)
    if not any(not plugin["bundled"] for plugin in found):
        yield "No other plugin is installed, or DIADEM_PLUGINS leaves it out. docs/plugins.md says how to write one."


def _note(members: Sequence[Mapping[str, Any]]) -> str:
    return f"(bundled, {len(members)} plugins)" if members[0]["bundled"] else ""


def _offers(members: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What plugins offer, a line for each kind, long lists wrapped."""
    for kind, word in _KINDS.items():
        names = sorted({name for plugin in members for name in plugin[kind]})
        if names:
            yield from _wrapped(f"    {word}", ", ".join(names))


def _wrapped(label: str, text: str) -> Iterator[str]:
    width = max(60, shutil.get_terminal_size((_WIDTH, 24)).columns)
    start = f"{label:16} "
    yield from textwrap.wrap(
        text,
        width,
        initial_indent=start,
        subsequent_indent=" " * len(start),
        break_long_words=False,
        break_on_hyphens=False,
    )
