"""Commands that send packages to people and take in what people send: offers, answers, transfers, rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from diadem.cli.options import Argument, Listener, MaxRate, Node, Option, StoreOf
from diadem.cli.output import duration_text, minute
from diadem.cli.verb import Answer, Commands
from diadem.model.plain_text import count_text, size_text
from diadem.model.transfers import State

root = Commands()
transfers = root.add(Commands("transfer", "Packages on their way, in both directions."))
rules = root.add(Commands("rule", "Rules by which offers are accepted automatically."))

Id = Annotated[str, Argument("The transfer's id, or the beginning of it.")]
Reason = Annotated[str, Option("Why; the other side is told.")]

# -- offers and answers ----------------------------------------------------------------------------------------------


@root.verb(user=True)
def send(
    node: Node,
    package: Annotated[str, Argument("The package's id, or the beginning of it.")],
    to: Annotated[str, Argument("To whom: marie@nmi, or a user of this node.", metavar="PERSON")],
    expires: Annotated[str, Option("How long it can be accepted: 14days.")] = "14days",
    comment: Annotated[str, Option("A line for the recipient.")] = "",
    route: Annotated[str, Option("auto, direct, hub, or via:NAME of a carrier.")] = "auto",
) -> Answer:
    """Offer a package to a person at another node, or at this one. Nothing moves before they accept."""
    from diadem.model.measures import read_duration

    done = node.send(package, to, expires=read_duration(expires), comment=comment, route=route)
    unsent, way, _, custody = _on_the_way(node, done.id)
    lines = [
        f"offered          {done.title} to {done.recipient}, until {done.expires:%Y-%m-%d}",
        f"transfer         {done.id}",
        *([f"route            {way}"] if way else []),
        *([f"FAILED           {done.error}"] if done.error else []),
        *(f"custody          {line}" for line in custody),
        *(f"waits            {line}; the offer is delivered once the two nodes are in contact" for line in unsent),
        f"next             diadem transfer show {done.id[:8]}",
    ]
    return Answer({"transfer": {**done.to_dict(), "unsent": list(unsent), "way": way}}, lines, bool(done.error))


def _on_the_way(node: Any, transfer: str) -> tuple[Sequence[str], str, Sequence[Mapping[str, str]], list[str]]:
    """What the other side does not have yet of a transfer, its way, and to whom else what came with it is to go.

    And what to know of the custody that goes with it.

    From a laptop the node itself tells that.
    """
    transfers = getattr(node, "transfers", None)
    details = transfers.show(transfer).to_dict() if transfers is not None else None
    if details is None:
        return (), "", (), []
    return details["unsent"], details["way"], details["behind"], _custody(details)


def _custody(details: Mapping[str, Any]) -> list[str]:
    """That people are named by what goes with a package, and what of it does not go."""
    lines = ["who had it until now is told too, which names people; policy.toml can leave it out"]
    if left := details["custody_left"]:
        stays = "is too large for a message and stays" if left == 1 else "are too large for a message and stay"
        way = f"diadem export {details['package'][7:19]} OUT.zip --for NAME"
        lines.append(f"{count_text(left, 'chain')} of it {stays} behind; a ZIP has all of it: {way}")
    return lines if details["custody"] else []


@root.verb(user=True)
def inbox(node: Node) -> Answer:
    """List the offers that wait for your answer."""
    offers = [offer.to_dict() for offer in node.inbox()]
    waits = list(_unmet(node))
    return Answer({"offers": offers, "waits": waits}, [*_offers_lines(offers), *(f"waits     {one}" for one in waits)])


def _unmet(node: Any) -> Iterator[str]:
    """From whom no offer can come yet, as far as is known here, because one side has not confirmed the other."""
    for peer in getattr(node, "peers", None) or ():  # a laptop has none
        if peer.state == "pending":
            yield f"{peer.name} is to be confirmed: diadem peer confirm {peer.name}"
        elif peer.state == "confirmed" and peer.seen_as == "pending":
            confirm = f"diadem peer confirm {node.context.settings.name}"
            yield (
                f"{peer.name} has not confirmed this node yet, and offers nothing before: ask its people to run "
                f"{confirm}   (the words: {peer.words})"
            )


def _offers_lines(offers: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A few lines for each offer, and how to answer."""
    for offer in offers:
        record = offer["record"]
        told = ", ".join(str(record[name]) for name in ("date", "instrument", "sample", "operator") if record.get(name))
        yield f"{offer['id'][:8]}  {offer['title']}"
        yield f"          from {offer['sender']}, {size_text(offer['bytes'])}, until {offer['expires'][:10]}"
        if told:
            yield f"          {told} (as the sender says)"
        if offer["comment"]:
            yield f'          "{offer["comment"]}"'
        if offer["error"]:
            yield f"          {offer['error']}"
    yield "next      diadem accept ID   (or: diadem decline ID --reason WHY)" if offers else "nothing is offered to you"


@root.verb(user=True)
def accept(
    node: Node,
    listener: Listener,
    offer: Id,
    store: StoreOf = None,
    wait: Annotated[bool, Option("Fetch it now.", "--wait/--no-wait")] = True,
    max_rate: MaxRate = None,
) -> Answer:
    """Accept an offer and fetch the package. Every byte is proven before it is kept."""
    done = node.accept(offer, store=store, wait=wait, max_rate=max_rate, listener=listener).to_dict()
    _, way, behind, _ = _on_the_way(node, done["id"])
    return _transfer({**done, "way": way, "behind": list(behind)})


@root.verb(user=True)
def decline(node: Node, offer: Id, reason: Reason = "") -> Answer:
    """Decline an offer."""
    return _transfer(node.decline(offer, reason=reason).to_dict())


def _transfer(done: Mapping[str, Any]) -> Answer:
    """A transfer that something was done with."""
    lines = [transfer_line(done), *([f"route            {done['way']}"] if done.get("way") else [])]
    lines += landed_lines(done) + behind_lines(done.get("behind", ()))
    if done["error"]:
        lines.append(f"ERROR            {done['error']}")
        lines.append("next             " + (done["next"] or f"diadem transfer show {done['id'][:8]}"))
    return Answer({"transfer": done}, lines, bool(done["error"]))


# -- transfers -------------------------------------------------------------------------------------------------------


@transfers.verb(user=True)
def ls(node: Node, everything: Annotated[bool, Option("Those of all users of the node.", "--all")] = False) -> Answer:
    """List transfers in both directions, newest first. Names the statements that are missing."""
    node.transfers.ask()
    return _transfers([transfer.to_dict() for transfer in node.transfers.ls(everything=everything)])


def _transfers(listed: Sequence[Mapping[str, Any]], *, findings: bool = False) -> Answer:
    return Answer({"transfers": listed}, [transfer_line(one) for one in listed] or ["no transfers"], findings)


@transfers.verb(user=True)
def show(node: Node, transfer: Id) -> Answer:
    """Show a transfer: its steps, what went wrong, what to do."""
    details = node.transfers.show(transfer).to_dict()
    return Answer({"transfer": details}, _details_lines(details), bool(details["error"]))


@transfers.verb(user=True)
def pause(node: Node, transfer: Id) -> Answer:
    """Pause a transfer; what has arrived stays here."""
    return _transfer(node.transfers.pause(transfer).to_dict())


@transfers.verb(user=True)
def resume(
    node: Node,
    listener: Listener,
    transfer: Annotated[str | None, Argument("The transfer's id. Default: all that stopped.")] = None,
    anew: Annotated[bool, Option("A hub or folder has lost it: ask for it again.")] = False,
    max_rate: MaxRate = None,
) -> Answer:
    """Resume a transfer, or all that stopped. Only what is missing is fetched."""
    done = [one.to_dict() for one in node.transfers.resume(transfer, anew=anew, max_rate=max_rate, listener=listener)]
    return _transfers(done, findings=any(one["error"] for one in done))


@transfers.verb()
def sync(node: Node, listener: Listener, max_rate: MaxRate = None) -> Answer:
    """Run one round of sending and receiving. A node that serves does this by itself."""
    done = node.transfers.sync(max_rate=max_rate, listener=listener).to_dict()
    lines = [
        f"messages         {done['came']} received, {done['waiting']} still unanswered",
        *(transfer_line(one) for one in done["moved"]),
        *(f"waits            {name} is to be confirmed: diadem peer confirm {name}" for name in done["pending"]),
        *(f"PROBLEM          {line}" for line in done["trouble"]),
    ]
    return Answer({"synced": done}, lines, bool(done["trouble"]))


@transfers.verb(user=True)
def cancel(node: Node, transfer: Id, reason: Reason = "") -> Answer:
    """Cancel a transfer before it is received. What was delivered stays delivered."""
    return _transfer(node.transfers.cancel(transfer, reason=reason).to_dict())


# -- transfers in lines ----------------------------------------------------------------------------------------------

_ARROWS: Final = {"out": "to", "in": "from", "local": "to"}
_TITLE: Final = 40
#: What people call statements that have another name in JSON.
_STATEMENTS: Final = {"closure": "confirmation"}


def transfer_line(transfer: Mapping[str, Any]) -> str:
    """One transfer on one line: id, state, direction, size, how far it is, and what is missing."""
    who = transfer["sender"] if transfer["direction"] == "in" else transfer["recipient"]
    parts = [
        f"{transfer['id'][:8]}  {_state(transfer):12} {_ARROWS[transfer['direction']]:4} {who:24}",
        f"{size_text(transfer['bytes']):>9}  {_progress(transfer):8}",
        transfer["title"][:_TITLE],
    ]
    notes = [f"{_STATEMENTS.get(what, what)} missing" for what in transfer["missing"]]
    notes += ["paused"] if transfer["paused"] else []
    notes += [f"ERROR: {transfer['error']}"] if transfer["error"] else []
    return "  ".join(parts) + (f"  ({'; '.join(notes)})" if notes else "")


def landed_lines(transfer: Mapping[str, Any]) -> list[str]:
    """What is to be known of a package that has landed here from elsewhere."""
    if transfer["direction"] != "in" or transfer["state"] not in ("received", "closed"):
        return []
    return ["page             the sender's own; whether it shows what is in the files was not checked"]


def behind_lines(behind: Sequence[Mapping[str, str]], width: int = 17) -> list[str]:
    """To whom a package went on from here before what came now was said of it, and how that gets there."""
    return [
        f"{'sent on':{width}}{one['to']} has it without the corrections and assessments that came since: {one['next']}"
        for one in behind
    ]


def _state(of: Mapping[str, Any]) -> str:
    return State(of["state"]).word


def _progress(transfer: Mapping[str, Any]) -> str:
    if transfer["state"] not in ("accepted", "transferring", "verifying", "failed"):
        return ""
    share = f"{transfer['done'] / max(transfer['bytes'], 1):.0%}"
    return f"{share} {size_text(int(transfer['rate']))}/s" if transfer["rate"] else share


def _details_lines(details: Mapping[str, Any]) -> list[str]:
    """A transfer with its steps."""
    lines = [
        transfer_line(details),
        f"  transfer    {details['id']}",
        f"  package     {details['package']}",
        f"  from        {details['sender']}",
        f"  to          {details['recipient']}",
        f"  other node  {details['peer_name']} ({details['peer']})",
    ]
    counts = details["counts"]
    if counts["received"] or counts["reused"]:
        lines.append(
            f"  received    {size_text(counts['received'])}, {size_text(counts['again'])} of it again; "
            f"{size_text(counts['reused'])} were here"
            + (f"; {count_text(counts['retries'], 'new connection')}" if counts["retries"] else "")
        )
    if details["rate"] and details["done"] < details["bytes"]:
        lines.append(f"  left        {duration_text((details['bytes'] - details['done']) / details['rate'])}")
    for event in details["events"]:
        proof = f"  statement {event['statement'][:12]}…" if event["statement"] else ""
        words = f"  {event['words']}" if event["words"] else ""
        lines.append(f"  {minute(event['at'])}  {_state(event)}{proof}{words}")
    lines += [
        f"  MISSING     {_STATEMENTS.get(what, what)}: the other node has not sent it yet"
        for what in details["missing"]
    ]
    lines += [f"  not told    {line}" for line in details["unsent"]]
    lines += [f"  route       {details['way']}"] if details["way"] else []
    lines += [f"  custody     {line}" for line in _custody(details)]
    lines += [f"  {line}" for line in behind_lines(details["behind"], 12)]
    lines += [f"  next        {details['next']}"] if details["next"] else []
    return lines


# -- rules -----------------------------------------------------------------------------------------------------------


@rules.verb("add", user=True)
def add_rule(
    node: Node,
    sender: Annotated[str, Argument("Whose offers: alice@hu-berlin, *@hu-berlin, or a node's id.")],
    max_size: Annotated[str, Option("The largest package: 50GB.", "--max")],
    project: Annotated[str, Option("Only packages of this project.")] = "",
    expires: Annotated[str, Option("When the rule ends: 90days. Default: never.")] = "",
) -> Answer:
    """Accept matching offers automatically. The rule is signed by you, and every acceptance names it."""
    from diadem.model.measures import read_duration, read_size

    until = datetime.now(UTC) + read_duration(expires) if expires else None
    return _rules([node.rules.add(sender, max_bytes=read_size(max_size), project=project, expires=until).to_dict()])


@rules.verb("ls")
def list_rules(node: Node) -> Answer:
    """List the rules in force."""
    return _rules([rule.to_dict() for rule in node.rules.ls()])


def _rules(listed: Sequence[Mapping[str, Any]]) -> Answer:
    lines = [
        f"{rule['id'][:12]}  {rule['by']} accepts from {rule['from']} up to {size_text(rule['max_bytes'])}"
        + (f", of the project {rule['project']}" if rule["project"] else "")
        + (f", until {rule['expires'][:10]}" if rule["expires"] else "")
        for rule in listed
    ]
    return Answer({"rules": listed}, lines or ["no rules: every offer waits for its recipient"])


@rules.verb("rm", user=True)
def remove_rule(node: Node, rule: Annotated[str, Argument("The rule's id, or the beginning of it.")]) -> Answer:
    """Remove one of your rules; what it accepted stays accepted."""
    removed = node.rules.rm(rule).to_dict()
    return Answer({"removed": removed}, [f"removed          {removed['id'][:12]} from {removed['from']}"])
