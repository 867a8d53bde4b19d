"""Commands that send packages to people and take in what people send: offers, answers, transfers, rules."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from diadem.cli.grouped_help import Commands
from diadem.cli.node_options import As, Json, MaxRate, NodeAt, Quiet, opened, read_rate
from diadem.cli.output import print_json, progress, tell
from diadem.cli.transfer_view import details_text, landed_lines, offers_text, rules_text, transfer_line, transfers_text

if TYPE_CHECKING:
    from diadem.api.nodes import Node

transfers = Commands("Packages on their way, in both directions.")
rules = Commands("Rules by which offers are accepted automatically.")

Id = Annotated[str, typer.Argument(help="The transfer's id, or the beginning of it.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; the other side is told.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command()(send)
    app.command()(inbox)
    app.command()(accept)
    app.command()(decline)
    app.add_typer(transfers, name="transfer")
    app.add_typer(rules, name="rule")


def send(
    package: Annotated[str, typer.Argument(help="The package's id, or the beginning of it.")],
    to: Annotated[str, typer.Argument(metavar="PERSON", help="To whom: marie@nmi, or a user of this node.")],
    expires: Annotated[str, typer.Option("--expires", help="How long it can be accepted: 14days.")] = "14days",
    comment: Annotated[str, typer.Option("--comment", help="A line for the recipient.")] = "",
    route: Annotated[str, typer.Option("--route", help="auto, direct, hub, or via:NAME of a carrier.")] = "auto",
    node: NodeAt = None,
    user: As = None,
    json: Json = False,
) -> int:
    """Offer a package to a person at another node, or at this one. Nothing moves before they accept."""
    with opened(node, user) as found:
        done = found.send(package, to, expires=_duration(expires), comment=comment, route=route)
        unsent, way = _told(found, done.id)
    if json:
        print_json({"transfer": {**done.to_dict(), "unsent": list(unsent), "way": way}})
        return 0 if not done.error else 1
    tell(f"offered          {done.title} to {done.recipient}, until {done.expires:%Y-%m-%d}")
    tell(f"transfer         {done.id}")
    if way:
        tell(f"route            {way}")
    if done.error:
        tell(f"FAILED           {done.error}")
    for line in unsent:
        tell(f"waits            {line}; the offer is delivered when the other node answers or calls")
    tell(f"next             diadem transfer show {done.id[:8]}")
    return 0 if not done.error else 1


def _told(found: Any, transfer: str) -> tuple[Sequence[str], str]:
    """What the other side does not have yet of a transfer, and its way; from a laptop the node itself tells that."""
    transfers = getattr(found, "transfers", None)
    details = transfers.show(transfer) if transfers is not None else None
    return (details.unsent, details.way) if details is not None else ((), "")


def inbox(node: NodeAt = None, user: As = None, json: Json = False) -> int:
    """List the offers that wait for your answer."""
    with opened(node, user) as found:
        offers = [offer.to_dict() for offer in found.inbox()]
    if json:
        print_json({"offers": offers})
    else:
        tell_lines(offers_text(offers))
    return 0


def accept(
    offer: Id,
    store: Annotated[
        str | None, typer.Option("--store", help="Store that takes it. Default: the first with room.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Fetch it now.")] = True,
    max_rate: MaxRate = None,
    node: NodeAt = None,
    user: As = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Accept an offer and fetch the package. Every byte is proven before it is kept."""
    with opened(node, user) as found, progress(quiet=quiet or json) as listener:
        rate = read_rate(max_rate)
        done = found.accept(offer, store=store, wait=wait, max_rate=rate, listener=listener).to_dict()
        done["way"] = _told(found, done["id"])[1]
    return _tell_transfer(done, as_json=json)


def decline(offer: Id, reason: Reason = "", node: NodeAt = None, user: As = None, json: Json = False) -> int:
    """Decline an offer."""
    with opened(node, user) as found:
        done = found.decline(offer, reason=reason).to_dict()
    return _tell_transfer(done, as_json=json)


@transfers.command()
def ls(
    everything: Annotated[bool, typer.Option("--all", help="Those of all users of the node.")] = False,
    node: NodeAt = None,
    user: As = None,
    json: Json = False,
) -> int:
    """List transfers in both directions, newest first. Names the statements that are missing."""
    with opened(node, user) as found:
        found.transfers.ask()
        listed = [transfer.to_dict() for transfer in found.transfers.ls(everything=everything)]
    if json:
        print_json({"transfers": listed})
    else:
        tell_lines(transfers_text(listed))
    return 0


@transfers.command()
def show(transfer: Id, node: NodeAt = None, user: As = None, json: Json = False) -> int:
    """Show a transfer: its steps, what went wrong, what to do."""
    with opened(node, user) as found:
        details = found.transfers.show(transfer).to_dict()
    if json:
        print_json({"transfer": details})
    else:
        tell_lines(details_text(details))
    return 1 if details["error"] else 0


@transfers.command()
def pause(transfer: Id, node: NodeAt = None, user: As = None, json: Json = False) -> int:
    """Pause a transfer; what has arrived stays here."""
    with opened(node, user) as found:
        done = found.transfers.pause(transfer).to_dict()
    return _tell_transfer(done, as_json=json)


@transfers.command()
def resume(
    transfer: Annotated[str | None, typer.Argument(help="The transfer's id. Default: all that stopped.")] = None,
    anew: Annotated[bool, typer.Option("--anew", help="A hub or folder has lost it: ask for it again.")] = False,
    max_rate: MaxRate = None,
    node: NodeAt = None,
    user: As = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Resume a transfer, or all that stopped. Only what is missing is fetched."""
    with opened(node, user) as found, progress(quiet=quiet or json) as listener:
        rate = read_rate(max_rate)
        done = [one.to_dict() for one in found.transfers.resume(transfer, anew=anew, max_rate=rate, listener=listener)]
    if json:
        print_json({"transfers": done})
    else:
        tell_lines(transfers_text(done))
    return 1 if any(one["error"] for one in done) else 0


@transfers.command()
def sync(
    max_rate: MaxRate = None,
    node: NodeAt = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Run one round of sending and receiving. A node that serves does this by itself."""
    with opened(node) as found, progress(quiet=quiet or json) as listener:
        done = found.transfers.sync(max_rate=read_rate(max_rate), listener=listener).to_dict()
    if json:
        print_json({"synced": done})
    else:
        tell(f"messages         {done['came']} received, {done['waiting']} still unanswered")
        tell_lines([transfer_line(one) for one in done["moved"]])
        for name in done["pending"]:
            tell(f"waits            {name} is to be confirmed: diadem peer confirm {name}")
        tell_lines([f"PROBLEM          {line}" for line in done["trouble"]])
    return 1 if done["trouble"] else 0


@transfers.command()
def cancel(transfer: Id, reason: Reason = "", node: NodeAt = None, user: As = None, json: Json = False) -> int:
    """Cancel a transfer before it is received. What was delivered stays delivered."""
    with opened(node, user) as found:
        done = found.transfers.cancel(transfer, reason=reason).to_dict()
    return _tell_transfer(done, as_json=json)


@rules.command(name="add")
def add_rule(
    sender: Annotated[str, typer.Argument(help="Whose offers: alice@hu-berlin, *@hu-berlin, or a node's id.")],
    max_size: Annotated[str, typer.Option("--max", help="The largest package: 50GB.")],
    project: Annotated[str, typer.Option("--project", help="Only packages of this project.")] = "",
    expires: Annotated[str, typer.Option("--expires", help="When the rule ends: 90days. Default: never.")] = "",
    node: NodeAt = None,
    user: As = None,
    json: Json = False,
) -> int:
    """Accept matching offers automatically. The rule is signed by you, and every acceptance names it."""
    with opened(node, user) as found:
        until = datetime.now(UTC) + _duration(expires) if expires else None
        rule = found.rules.add(sender, max_bytes=_size(max_size), project=project, expires=until).to_dict()
    return _tell_rules([rule], as_json=json)


@rules.command(name="ls")
def list_rules(node: NodeAt = None, json: Json = False) -> int:
    """List the rules in force."""
    with opened(node) as found:
        listed = [rule.to_dict() for rule in found.rules.ls()]
    return _tell_rules(listed, as_json=json)


@rules.command(name="rm")
def remove_rule(
    rule: Annotated[str, typer.Argument(help="The rule's id, or the beginning of it.")],
    node: NodeAt = None,
    user: As = None,
    json: Json = False,
) -> int:
    """Remove one of your rules; what it accepted stays accepted."""
    with opened(node, user) as found:
        removed = found.rules.rm(rule).to_dict()
    if json:
        print_json({"removed": removed})
    else:
        tell(f"removed          {removed['id'][:12]} from {removed['from']}")
    return 0


def _tell_rules(listed: list[dict[str, Any]], *, as_json: bool) -> int:
    if as_json:
        print_json({"rules": listed})
    else:
        tell_lines(rules_text(listed))
    return 0


def _tell_transfer(done: dict[str, Any], *, as_json: bool) -> int:
    if as_json:
        print_json({"transfer": done})
    else:
        tell(transfer_line(done))
        if done.get("way"):
            tell(f"route            {done['way']}")
        tell_lines(landed_lines(done))
        if done["error"]:
            tell(f"ERROR            {done['error']}")
            tell("next             " + (done["next"] or f"diadem transfer show {done['id'][:8]}"))
    return 1 if done["error"] else 0


def tell_lines(lines: list[str]) -> None:
    """Print lines in which words of others stand."""
    for line in lines:
        tell(line)


def look_at_transfers(found: Node) -> dict[str, Any]:
    """What of the transfers deserves a look, for `diadem status`; of a store that is read from another PC, nothing."""
    return found.transfers.look() if found.context.writable else {"text": ""}


def look_at_routes(found: Node) -> list[dict[str, Any]]:
    """The way to each peer and what of it does not work, for `diadem status`."""
    return [one.to_dict() for one in found.peers.routes()] if found.context.writable else []


def _duration(text: str) -> timedelta:
    from diadem.node.rules.measures import read_duration

    return read_duration(text)


def _size(text: str) -> int:
    from diadem.node.rules.measures import read_size

    return read_size(text)
