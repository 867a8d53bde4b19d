"""Commands on other nodes and what lies between, on people who join from a laptop, and on the node's own keys."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import click

from diadem.cli.options import Argument, As, Node, NodeAt, Option, Reason, Ticket
from diadem.cli.output import minute, tell
from diadem.cli.verb import Answer, Commands, new_passphrase, opened, recovery_passphrase
from diadem.errors import UsageError

root = Commands()
peers = root.add(Commands("peer", "Other nodes, with which this one exchanges packages."))
carriers = peers.add(Commands("carrier", "Shared folders and other carriers of sealed packages."))
keys = root.add(Commands("key", "The node's own keys."))

Name = Annotated[str, Argument("What the other node is called here.")]

# -- peers -----------------------------------------------------------------------------------------------------------


@peers.verb(user=True)
def invite(
    node: Node,
    name: Annotated[str | None, Argument("A name for the other node here. Default: its own.")] = None,
    for_: Annotated[str | None, Option("Id of the one node that may use it.")] = None,
    days: Annotated[float, Option("Days until it expires.")] = 7,
    url: Annotated[str | None, Option("This node's address: https://archive.example.org:8642. Kept.")] = None,
) -> Answer:
    """Make a ticket for another node, good for one use. Give it to its people, and to nobody else."""
    ticket = node.peers.invite(name, for_=for_, days=days, url=url)
    hubs = {hub.node for hub in ticket.hubs}
    document, lines = ticket_answer(ticket, "diadem peer join")[:2]
    unknown = "has not confirmed this node, as far as known: you cannot meet there"
    closed = [
        f"WARNING          the hub '{peer.name}' {unknown}"
        for peer in node.peers
        if peer.id in hubs and peer.seen_as == "pending"
    ]
    then = "then             compare the words with them, and: diadem peer confirm NAME"
    return Answer(document, [*lines, *closed, "" if for_ else then])


def ticket_answer(ticket: Any, command: str) -> Answer:
    """A ticket, for a program or to be pasted into a mail."""
    lines = [
        ticket.to_text(),
        f"good for         one use, until {ticket.expires:%Y-%m-%d %H:%M} UTC; whoever has it can use it",
        f"on the other side: {command} TICKET",
    ]
    return Answer(
        {"ticket": ticket.to_text(), "expires": f"{ticket.expires:%Y-%m-%dT%H:%M:%SZ}", "kind": ticket.kind}, lines
    )


@peers.verb()
def join(
    ticket: Ticket,
    as_: Annotated[str | None, Option("A name for the other node here.")] = None,
    wait: Annotated[float | None, Option("Seconds to wait for an answer over a hub. Default: 20.")] = None,
    node: NodeAt = None,
    user: As = None,
) -> Answer:
    """Join a node with its ticket."""
    text = sys.stdin.read() if ticket == "-" else ticket
    with opened(node, user) as at:
        peer = at.peers.join(text, as_, wait=wait).to_dict()
    lines = [f"peer             {peer['name']}, {peer['id']}"]
    if peer["seen_as"] == "confirmed":
        lines.append("confirmed        on both sides")
    else:
        lines += [
            f"words            {peer['words']}",
            "next             Read these words to the other lab by phone; if they match, that lab confirms you.",
        ]
    return Answer({"peer": peer}, lines)


@peers.verb(user=True)
def confirm(
    node: Node,
    name: Name,
    words: Annotated[str | None, Option("The words that they read out, to compare with yours.")] = None,
) -> Answer:
    """Confirm a peer's identity. Both sides compare the words first."""
    known = node.peers.get(name)
    if words is None and str(known.state) == "pending":  # a person says whether they are the same; a script gives them
        if not sys.stdin.isatty():
            raise UsageError(
                "what are the words on the other side?",
                next='Yours are in: diadem peer ls. Have theirs read out to you, and give them: --words "…"',
            )
        tell(f"words            {known.words}")
        click.confirm("Does the other lab see the same words, and did you hear that from them?", abort=True, err=True)
    return _peer(node.peers.confirm(name, words), "confirmed")


def _peer(peer: Any, word: str) -> Answer:
    document = peer.to_dict()
    return Answer({"peer": document}, [f"{word:16} {document['name']}, {document['id']}"])


@peers.verb("ls")
def list_peers(node: Node) -> Answer:
    """List the peers, and the tickets that were given out."""
    ways = {one.peer: one.to_dict() for one in node.peers.routes()}
    known = [peer.to_dict() | {"routes": ways.get(peer.name)} for peer in node.peers.ls()]
    given = [ticket.to_dict() for ticket in node.peers.tickets()]
    return Answer({"peers": known, "tickets": given}, _peers_lines(known, given))


def _peers_lines(known: Sequence[Mapping[str, Any]], given: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for peer in known:
        where = ", ".join(peer["urls"]) or ("picks up at a hub" if peer["hubs"] else "calls this node")
        where += ", a hub" if peer["hub"] else ""
        own = f" (calls itself {peer['own_name']})" if peer["own_name"] != peer["name"] else ""
        yield f"{peer['name']:16} {peer['state']:10} {peer['id'][:16]}…  {where}{own}"
        if peer["reason"]:
            yield f"{'':16} {peer['reason']}"
        if peer["routes"] is not None:
            yield f"{'':16} takes  {peer['routes']['chosen']}"
            for view in peer["routes"]["routes"]:
                name = f"hub '{view['hub']}'" if view["hub"] else view["route"]
                yield f"{'':16} {name:16} {_way_state(view)}"
        if peer["state"] == "pending":
            yield f"{'':16} words: {peer['words']}   then: diadem peer confirm {peer['name']}"
        elif peer["state"] == "confirmed" and peer["seen_as"] == "pending":
            yield f"{'':16} has not confirmed this node yet; words: {peer['words']}"
        for key, since in peer["stolen"].items():
            yield f"{'':16} STOLEN KEY {key[:12]}…: not trusted from {since} on"
    for ticket in given:
        whom = f"user {ticket['name']}" if ticket["kind"] == "user" else ticket["name"] or "a node"
        state = f"not used yet, good until {ticket['expires'][:10]}"
        if ticket["used_by"]:
            state = f"was used by {ticket['used_name']} ({ticket['used_by'][:12]}…) on {ticket['used_at'][:10]}"
        yield f"ticket           for {whom}, of {ticket['made'][:10]}: {state}"
        if ticket["refused_by"]:
            second = f"{ticket['refused_name']} ({ticket['refused_by'][:12]}…) tried it on {ticket['refused_at'][:10]}"
            yield f"SECOND USE       {second} and was refused: ask both who has the ticket"
    if not known:
        yield "no peer yet; make a ticket: diadem peer invite"


def _way_state(view: Mapping[str, Any]) -> str:
    if not view["possible"]:
        return f"not possible: {view['why']}"
    allowed = "allowed" if view["allowed"] else "not allowed by the policy"
    if view["works"] is None:
        return f"{allowed}, not tried yet"
    if view["works"]:
        return f"{allowed}, worked {minute(view['worked'])} UTC"
    return f"{allowed}, FAILS since {minute(view['failing'])} UTC: {view['error']}"


def ways_lines(peers: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The section of `status`: the way to each peer, and what of it does not work."""
    head = "peers"
    yield ""
    for one in peers:
        yield f"{head:10} {one['peer']:16} {one['chosen']}"
        head = ""
        if one["trouble"]:
            yield f"{'':10} {'':16} PROBLEM: {one['trouble']}"


@peers.verb()
def refresh(
    node: Node, name: Annotated[str | None, Argument("Which one. Default: all that have an address.")] = None
) -> Answer:
    """Exchange the newest keys and addresses with peers."""
    outcomes = [one.to_dict() for one in node.peers.refresh(name)]
    lines = [f"{one['name']:16} {one['problem'] or 'is up to date'}" for one in outcomes]
    return Answer({"peers": outcomes}, lines, any(one["problem"] for one in outcomes))


@peers.verb(user=True)
def rename(node: Node, name: Name, new: Annotated[str, Argument("Its new name here.", metavar="NEW-NAME")]) -> Answer:
    """Rename a peer."""
    return _peer(node.peers.rename(name, new), "peer")


@peers.verb(user=True)
def compromised(
    node: Node,
    name: Name,
    since: Annotated[str, Option("The day from which its key is not trusted: 2026-03-14")],
    reason: Annotated[str, Option("What happened.")] = "",
) -> Answer:
    """Note that a peer's key was stolen. It is trusted again once its root key has named a new one."""
    peer = node.peers.compromised(name, since, reason).to_dict()
    until = "until its root key names a new key: diadem peer refresh"
    return Answer({"peer": peer}, [f"not trusted      {peer['name']}, {until}"])


@peers.verb(user=True)
def drop(node: Node, name: Name, reason: Reason = "") -> Answer:
    """Accept nothing more from a peer. What it sent before stays."""
    return _peer(node.peers.drop(name, reason), "dropped")


# -- carriers: what takes sealed packages between nodes that are not connected ---------------------------------------


@carriers.verb(user=True)
def add(
    node: Node,
    name: Annotated[str, Argument("What both nodes call it: group-drive.")],
    url: Annotated[str, Argument("Where it is: drop:///mnt/group; other kinds: diadem plugins.")],
    peer: Annotated[list[str] | None, Option("Share it with this node only. May be repeated. Default: all.")] = None,
) -> Answer:
    """Add a carrier. The other node adds it under the same name; packages are sealed before they are put there."""
    made = node.peers.carriers.add(name, url, peers=peer or ()).to_dict()
    lines = [
        f"carrier          {made['name']}, {made['url']}",
        f"takes            what is sent with --route via:{made['name']}",
    ]
    return Answer({"carrier": made}, lines)


@carriers.verb("ls")
def list_carriers(node: Node) -> Answer:
    """List the carriers, and with which nodes each is shared."""
    listed = [one.to_dict() for one in node.peers.carriers.ls()]
    names = {peer.id: peer.name for peer in node.peers.ls()}
    lines = []
    for one in listed:
        shared = ", ".join(names.get(peer, peer[:12]) for peer in one["peers"]) or "every peer"
        lines.append(f"{one['name']:16} {one['url']}   (shared with {shared})")
    return Answer({"carriers": listed}, lines)


@carriers.verb("rm", user=True)
def remove(node: Node, name: Annotated[str, Argument("Which one.")]) -> Answer:
    """Remove a carrier from the settings; its files stay."""
    removed = node.peers.carriers.rm(name).to_dict()
    return Answer({"removed": removed}, [f"removed          {removed['name']}; the files at {removed['url']} stay"])


# -- people on laptops -----------------------------------------------------------------------------------------------


@root.verb()
def login(ticket: Ticket, full_name: Annotated[str, Option("Your name, as you write it.")] = "") -> Answer:
    """Become a user of a node, from a laptop. Your key is made here and stays here."""
    from diadem.api.nodes import login as log_in

    text = sys.stdin.read() if ticket == "-" else ticket
    profile = log_in(text, full_name=full_name, passphrase=new_passphrase("your key", "DIADEM_PASSPHRASE"))
    guarded = "protected by its passphrase" if profile.protected else "NOT protected by a passphrase"
    lines = [
        f"you              {profile.address}",
        f"node             {profile.node}, at {', '.join(profile.urls)}",
        f"your key         {profile.key}   ({guarded}; nobody else has it: keep a copy)",
    ]
    return Answer({"profile": profile.to_dict()}, lines)


# -- the node's own keys ---------------------------------------------------------------------------------------------


@keys.verb()
def rotate(
    recovery_file: Annotated[Path, Option("The file that init wrote.")],
    stolen_since: Annotated[str | None, Option("The day the old key was stolen: 2026-03-14. Peers are told.")] = None,
    reason: Annotated[str, Option("With --stolen-since: what happened.")] = "",
    node: NodeAt = None,
) -> Answer:
    """Give the node a new online key, with its recovery file. Stop watch and serve first."""
    passphrase = recovery_passphrase(recovery_file)
    with opened(node) as at:
        rotated = at.keys.rotate(recovery_file, passphrase=passphrase, stolen_since=stolen_since, reason=reason)
    lines = [f"online key       {rotated.online}, card of version {rotated.version}"]
    if rotated.stolen_since:
        lines.append(f"the old one      {rotated.before}: not trusted from {rotated.stolen_since} on")
    lines.append(
        "next             diadem peer refresh   (shows it to the other nodes); put the recovery file away again"
    )
    return Answer({"key": rotated.to_dict()}, lines)
