"""Commands on other nodes, on people who join from a laptop, and on the node's own keys."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from diadem.cli.carrier_commands import carriers
from diadem.cli.grouped_help import Commands
from diadem.cli.node_options import As, Json, NodeAt, new_passphrase, opened
from diadem.cli.output import print_json, tell
from diadem.cli.route_view import routes_lines
from diadem.cli.setup_commands import recovery_passphrase
from diadem.errors import UsageError

peers = Commands("Other nodes, with which this one exchanges packages.")
keys = Commands("The node's own keys.")

Name = Annotated[str, typer.Argument(help="What the other node is called here.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    peers.add_typer(carriers, name="carrier")
    app.add_typer(peers, name="peer")
    app.add_typer(keys, name="key")
    app.command()(login)


@peers.command()
def invite(
    name: Annotated[str | None, typer.Argument(help="A name for the other node here. Default: its own.")] = None,
    for_: Annotated[str | None, typer.Option("--for", help="Id of the one node that may use it.")] = None,
    days: Annotated[float, typer.Option("--days", help="Days until it expires.")] = 7,
    url: Annotated[
        str | None,
        typer.Option("--url", help="This node's address: https://archive.example.org:8642. Kept."),
    ] = None,
    node: NodeAt = None,
    user: As = None,
    json: Json = False,
) -> int:
    """Make a ticket for another node, good for one use. Give it to its people, and to nobody else."""
    with opened(node, user) as found:
        ticket = found.peers.invite(name, for_=for_, days=days, url=url)
        hubs = {hub.node for hub in ticket.hubs}
        closed = [peer.name for peer in found.peers if peer.id in hubs and peer.seen_as == "pending"]
    show_ticket(ticket, "diadem peer join", as_json=json)
    if not json:
        for hub in closed:
            tell(
                f"WARNING          the hub '{hub}' has not confirmed this node, as far as known: you cannot meet there"
            )
        print("then             compare the words with them, and: diadem peer confirm NAME" if not for_ else "")
    return 0


def show_ticket(ticket: Any, command: str, *, as_json: bool) -> None:
    """Print a ticket, for a program or to be pasted into a mail."""
    if as_json:
        print_json({"ticket": ticket.to_text(), "expires": f"{ticket.expires:%Y-%m-%dT%H:%M:%SZ}", "kind": ticket.kind})
        return
    print(ticket.to_text())
    print(f"good for         one use, until {ticket.expires:%Y-%m-%d %H:%M} UTC; whoever has it can use it")
    print(f"on the other side: {command} TICKET")


@peers.command()
def join(
    ticket: Annotated[str, typer.Argument(help="The ticket; - reads it from standard input.")],
    as_: Annotated[str | None, typer.Option("--as", help="A name for the other node here.")] = None,
    wait: Annotated[
        float | None, typer.Option("--wait", help="Seconds to wait for an answer over a hub. Default: 20.")
    ] = None,
    node: NodeAt = None,
    user: As = None,
    json: Json = False,
) -> int:
    """Join a node with its ticket."""
    text = sys.stdin.read() if ticket == "-" else ticket
    with opened(node, user) as found:
        peer = found.peers.join(text, as_, wait=wait).to_dict()
    if json:
        print_json({"peer": peer})
        return 0
    tell(f"peer             {peer['name']}, {peer['id']}")
    if peer["seen_as"] == "confirmed":
        print("confirmed        on both sides")
        return 0
    tell(f"words            {peer['words']}")
    print("next             Read these words to the other lab by phone; if they match, that lab confirms you.")
    return 0


@peers.command()
def confirm(
    name: Name,
    words: Annotated[
        str | None, typer.Option("--words", help="The words that they read out, to compare with yours.")
    ] = None,
    node: NodeAt = None,
    user: As = None,
    json: Json = False,
) -> int:
    """Confirm a peer's identity. Both sides compare the words first."""
    with opened(node, user) as found:
        peer = found.peers.get(name)
        if words is None and str(peer.state) == "pending":
            _compare(peer.words)
        document = found.peers.confirm(name, words).to_dict()
    if json:
        print_json({"peer": document})
    else:
        tell(f"confirmed        {document['name']}, {document['id']}")
    return 0


def _compare(words: str) -> None:
    """Ask a person whether the words are the same; a script gives them."""
    if not sys.stdin.isatty():
        raise UsageError("what are the words on the other side?", next='Give them: --words "…"')
    tell(f"words            {words}")
    typer.confirm("Does the other lab see the same words, and did you hear that from them?", abort=True, err=True)


@peers.command()
def ls(node: NodeAt = None, json: Json = False) -> int:
    """List the peers, and the tickets that were given out."""
    with opened(node) as found:
        ways = {one.peer: one.to_dict() for one in found.peers.routes()}
        known = [peer.to_dict() | {"routes": ways.get(peer.name)} for peer in found.peers.ls()]
        given = [ticket.to_dict() for ticket in found.peers.tickets()]
    if json:
        print_json({"peers": known, "tickets": given})
        return 0
    for peer in known:
        _show_peer(peer)
    for ticket in given:
        _show_given(ticket)
    if not known:
        print("no peer yet; make a ticket: diadem peer invite")
    return 0


def _show_peer(peer: Mapping[str, Any]) -> None:
    where = ", ".join(peer["urls"]) or ("picks up at a hub" if peer["hubs"] else "calls this node")
    where += ", a hub" if peer["hub"] else ""
    own = f" (calls itself {peer['own_name']})" if peer["own_name"] != peer["name"] else ""
    tell(f"{peer['name']:16} {peer['state']:10} {peer['id'][:16]}…  {where}{own}")
    if peer["reason"]:
        tell(f"{'':16} {peer['reason']}")
    if peer["routes"] is not None:
        for line in routes_lines(peer["routes"]):
            tell(line)
    if peer["state"] == "pending":
        tell(f"{'':16} words: {peer['words']}   then: diadem peer confirm {peer['name']}")
    elif peer["state"] == "confirmed" and peer["seen_as"] == "pending":
        tell(f"{'':16} has not confirmed this node yet; words: {peer['words']}")
    for key, since in peer["stolen"].items():
        tell(f"{'':16} STOLEN KEY {key[:12]}…: not trusted from {since} on")


def _show_given(ticket: Mapping[str, Any]) -> None:
    whom = f"user {ticket['name']}" if ticket["kind"] == "user" else ticket["name"] or "a node"
    if ticket["used_by"]:
        state = f"was used by {ticket['used_name']} ({ticket['used_by'][:12]}…) on {ticket['used_at'][:10]}"
    else:
        state = f"not used yet, good until {ticket['expires'][:10]}"
    tell(f"ticket           for {whom}, of {ticket['made'][:10]}: {state}")
    if ticket["refused_by"]:
        tell(
            f"SECOND USE       {ticket['refused_name']} ({ticket['refused_by'][:12]}…) tried it on"
            f" {ticket['refused_at'][:10]} and was refused: ask both who has the ticket"
        )


@peers.command()
def refresh(
    name: Annotated[str | None, typer.Argument(help="Which one. Default: all that have an address.")] = None,
    node: NodeAt = None,
    json: Json = False,
) -> int:
    """Exchange the newest keys and addresses with peers."""
    with opened(node) as found:
        outcomes = [one.to_dict() for one in found.peers.refresh(name)]
    if json:
        print_json({"peers": outcomes})
    else:
        for one in outcomes:
            tell(f"{one['name']:16} {one['problem'] or 'is up to date'}")
    return 1 if any(one["problem"] for one in outcomes) else 0


@peers.command()
def rename(
    name: Name,
    new: Annotated[str, typer.Argument(metavar="NEW-NAME", help="Its new name here.")],
    node: NodeAt = None,
    user: As = None,
    json: Json = False,
) -> int:
    """Rename a peer."""
    with opened(node, user) as found:
        document = found.peers.rename(name, new).to_dict()
    if json:
        print_json({"peer": document})
    else:
        tell(f"peer             {document['name']}, {document['id']}")
    return 0


@peers.command()
def compromised(
    name: Name,
    since: Annotated[str, typer.Option("--since", help="The day from which its key is not trusted: 2026-03-14")],
    reason: Annotated[str, typer.Option("--reason", help="What happened.")] = "",
    node: NodeAt = None,
    user: As = None,
    json: Json = False,
) -> int:
    """Note that a peer's key was stolen. It is trusted again once its root key has named a new one."""
    with opened(node, user) as found:
        document = found.peers.compromised(name, since, reason).to_dict()
    if json:
        print_json({"peer": document})
    else:
        tell(f"not trusted      {document['name']}, until its root key names a new key: diadem peer refresh")
    return 0


@peers.command()
def drop(
    name: Name,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the log.")] = "",
    node: NodeAt = None,
    user: As = None,
    json: Json = False,
) -> int:
    """Accept nothing more from a peer. What it sent before stays."""
    with opened(node, user) as found:
        document = found.peers.drop(name, reason).to_dict()
    if json:
        print_json({"peer": document})
    else:
        tell(f"dropped          {document['name']}, {document['id']}")
    return 0


# -- people on laptops ----------------------------------------------------------------------------------------------


def login(
    ticket: Annotated[str, typer.Argument(help="The ticket; - reads it from standard input.")],
    full_name: Annotated[str, typer.Option("--full-name", help="Your name, as you write it.")] = "",
    json: Json = False,
) -> int:
    """Become a user of a node, from a laptop. Your key is made here and stays here."""
    from diadem.api.nodes import login as log_in

    text = sys.stdin.read() if ticket == "-" else ticket
    profile = log_in(text, full_name=full_name, passphrase=new_passphrase("your key", "DIADEM_PASSPHRASE"))
    if json:
        print_json({"profile": profile.to_dict()})
        return 0
    tell(f"you              {profile.address}")
    tell(f"node             {profile.node}, at {', '.join(profile.urls)}")
    guarded = "protected by its passphrase" if profile.protected else "NOT protected by a passphrase"
    tell(f"your key         {profile.key}   ({guarded}; nobody else has it: keep a copy)")
    return 0


# -- the node's own keys -------------------------------------------------------------------------------------------


@keys.command()
def rotate(
    recovery_file: Annotated[Path, typer.Option("--recovery-file", help="The file that init wrote.")],
    stolen_since: Annotated[
        str | None, typer.Option("--stolen-since", help="The day the old key was stolen: 2026-03-14. Peers are told.")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="With --stolen-since: what happened.")] = "",
    node: NodeAt = None,
    json: Json = False,
) -> int:
    """Give the node a new online key, with its recovery file. Stop watch and serve first."""
    passphrase = recovery_passphrase(recovery_file)
    with opened(node) as found:
        rotated = found.keys.rotate(recovery_file, passphrase=passphrase, stolen_since=stolen_since, reason=reason)
    if json:
        print_json({"key": rotated.to_dict()})
        return 0
    print(f"online key       {rotated.online}, card of version {rotated.version}")
    if rotated.stolen_since:
        print(f"the old one      {rotated.before}: not trusted from {rotated.stolen_since} on")
    print("next             diadem peer refresh   (shows it to the other nodes); put the recovery file away again")
    return 0
