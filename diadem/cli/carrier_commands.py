"""Commands on what takes sealed packages between nodes that are not connected: `diadem peer carrier`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from diadem.cli.grouped_help import Commands
from diadem.cli.node_options import As, Json, NodeAt, opened
from diadem.cli.output import print_json, tell

carriers = Commands("Shared folders and other carriers of sealed packages.")


@carriers.command()
def add(
    name: Annotated[str, typer.Argument(help="What both nodes call it: group-drive.")],
    url: Annotated[str, typer.Argument(help="Where it is: drop:///mnt/group; other kinds: diadem plugins.")],
    peer: Annotated[
        list[str] | None,
        typer.Option("--peer", help="Share it with this node only. May be repeated. Default: all."),
    ] = None,
    node: NodeAt = None,
    user: As = None,
    json: Json = False,
) -> int:
    """Add a carrier. The other node adds it under the same name; packages are sealed before they are put there."""
    with opened(node, user) as found:
        made = found.peers.carriers.add(name, url, peers=peer or ()).to_dict()
    if json:
        print_json({"carrier": made})
    else:
        tell(f"carrier          {made['name']}, {made['url']}")
        tell(f"next             diadem send ID marie@nmi --route via:{made['name']}")
    return 0


@carriers.command(name="ls")
def list_carriers(node: NodeAt = None, json: Json = False) -> int:
    """List the carriers, and with which nodes each is shared."""
    with opened(node) as found:
        listed = [one.to_dict() for one in found.peers.carriers.ls()]
        names = {peer.id: peer.name for peer in found.peers.ls()}
    if json:
        print_json({"carriers": listed})
        return 0
    for one in listed:
        tell(f"{one['name']:16} {one['url']}   ({_shared(one, names)})")
    return 0


def _shared(one: dict[str, Any], names: dict[str, str]) -> str:
    shared = ", ".join(names.get(peer, peer[:12]) for peer in one["peers"])
    return f"shared with {shared}" if shared else "shared with every peer"


@carriers.command(name="rm")
def remove(
    name: Annotated[str, typer.Argument(help="Which one.")], node: NodeAt = None, user: As = None, json: Json = False
) -> int:
    """Remove a carrier from the settings; its files stay."""
    with opened(node, user) as found:
        removed = found.peers.carriers.rm(name).to_dict()
    if json:
        print_json({"removed": removed})
    else:
        tell(f"removed          {removed['name']}; the files at {removed['url']} stay")
    return 0
