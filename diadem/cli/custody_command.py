"""The command that shows, exports and checks custody."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from diadem.cli.node_options import Json, NodeAt, opened
from diadem.cli.output import print_json, show_warnings, tell
from diadem.errors import UsageError

if TYPE_CHECKING:
    from diadem.node.custody.report import CustodyReport

_WIDTH = 100
_NODE_ID = re.compile(r"[0-9a-f]{64}\Z")
_MARKS = {"proved": "proved", "claimed by one side": "claimed", "missing": "MISSING", "contradicted": "CONTRADICTED"}


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(custody)


def custody(
    what: Annotated[
        list[str], typer.Argument(metavar="ID", help="Of a package; or: verify FILE… for chains from anyone.")
    ],
    export: Annotated[
        Path | None, typer.Option("--export", help="Write the chain for others to check: chain.json")
    ] = None,
    pin: Annotated[list[str] | None, typer.Option("--pin", help="With verify: id of a node that you trust.")] = None,
    checkpoint: Annotated[
        list[Path] | None, typer.Option("--checkpoint", help="With verify: a checkpoint that you kept from earlier.")
    ] = None,
    since: Annotated[
        list[Path] | None,
        typer.Option("--since", metavar="FILE", help="With --export: a checkpoint of the receiver."),
    ] = None,
    node: NodeAt = None,
    json: Json = False,
) -> int:
    """Show who gave what to whom, and what is proven. `custody verify FILE…` needs no node and no network."""
    if what[0] == "verify":
        if len(what) < 2:
            raise UsageError("no file was named", next="Example: diadem custody verify chain.json")
        from diadem.api.nodes import verify_custody

        _check_pins(pin or ())
        report = verify_custody(*what[1:], pins=pin or None, checkpoints=checkpoint or ())
        code = _show(report, as_json=json)
        return 1 if any(node.pinned is False for node in report.nodes) else code
    if len(what) > 1:
        raise UsageError("name one package", next="Example: diadem custody 406f3245b359 --export chain.json")
    with opened(node) as found:
        if export is not None:
            path = found.export_custody(what[0], export, since=[path.read_text("utf-8") for path in since or ()])
            beside = [str(one) for one in found.export_relays(what[0], export)]
            document = {"written": str(path), "relays": beside, "node": found.id}
            if json:
                print_json(document)
            else:
                print(f"written          {path}")
                for one in beside:
                    print(f"written          {one}   (of its route through a hub)")
                print(f"next             diadem custody verify {' '.join([str(path), *beside])}   (anywhere, offline)")
                print(f"this node's id   {found.id}   (give it to the reader by another channel, such as the phone)")
            return 0
        report = found.custody(what[0])
        own = found.id
    return _show(report, as_json=json, own=own)


def _check_pins(pins: Sequence[str]) -> None:
    for pin in pins:
        if not _NODE_ID.match(pin):
            raise UsageError(f"'{pin}' is not the id of a node", next="It has 64 hex digits: diadem custody ID")


def _show(report: CustodyReport, *, as_json: bool, own: str = "") -> int:
    document = report.to_dict()
    if as_json:
        print_json(document)
        return 0 if document["ok"] else 1
    for subject in document["subjects"]:
        print(f"custody of       {subject}")
    for node in document["nodes"]:
        trust = {
            True: "a confirmed peer" if own else "trusted",
            False: "NOT among the nodes that you trust",
            None: "compare this id with the people there",
        }
        said = "this one" if node["id"] == own else trust[node["pinned"]]
        print(f"node             {node['name'] or '(no name)'}  {node['id']}  ({said})")
    for step in report.story:
        _step(step.to_dict())
    show_warnings(document["warnings"])
    counts = ", ".join(f"{count} {verdict}" for verdict, count in document["counts"].items() if count)
    print(f"in all           {counts}")
    return 0 if document["ok"] else 1


def _step(step: dict[str, Any]) -> None:
    mark = _MARKS[step["verdict"]]
    said = step["sentence"] + (f" [{', '.join(step['signers'])}]" if step["signers"] else "")
    for number, line in enumerate(_folded(said, _WIDTH - 17) or [""]):
        tell(f"{mark if number == 0 else '':16} {line}")
    if step["reason"] and step["verdict"] != "proved":
        where = f" ({step['file']})" if step["file"] else ""
        for line in _folded(step["reason"] + where, _WIDTH - 19):
            print(f"{'':16}   {line}")


def _folded(text: str, width: int) -> list[str]:
    """Lines in which names and paths stay whole."""
    return textwrap.wrap(text, width, break_on_hyphens=False, break_long_words=False)
