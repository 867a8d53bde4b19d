"""Transfers, offers and rules as lines for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from diadem.cli.output import duration_text, size_text

_ARROWS: Final = {"out": "to", "in": "from", "local": "to"}
_TITLE: Final = 40
#: What people call states that have another name in JSON.
_STATES: Final = {"closed": "confirmed", "revoked": "withdrawn"}
#: The same of statements.
_STATEMENTS: Final = {"closure": "confirmation"}


def transfer_line(transfer: Mapping[str, Any]) -> str:
    """One transfer on one line: id, state, direction, size, how far it is, and what is missing."""
    who = transfer["sender"] if transfer["direction"] == "in" else transfer["recipient"]
    parts = [
        f"{transfer['id'][:8]}  {_state(transfer):12} {_ARROWS[transfer['direction']]:4} {who:24}",
        f"{size_text(transfer['bytes']):>8}  {_progress(transfer):8}",
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


def _state(of: Mapping[str, Any]) -> str:
    state = str(of["state"])
    return _STATES.get(state, state)


def _progress(transfer: Mapping[str, Any]) -> str:
    if transfer["state"] not in ("accepted", "transferring", "verifying", "failed"):
        return ""
    share = f"{transfer['done'] / max(transfer['bytes'], 1):.0%}"
    return f"{share} {size_text(int(transfer['rate']))}/s" if transfer["rate"] else share


def transfers_text(listed: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each transfer."""
    return [transfer_line(one) for one in listed] or ["no transfers"]


def offers_text(offers: Sequence[Mapping[str, Any]]) -> list[str]:
    """A few lines for each offer, and how to answer."""
    lines = []
    for offer in offers:
        record = offer["record"]
        told = ", ".join(str(record[name]) for name in ("date", "instrument", "sample", "operator") if record.get(name))
        lines += [
            f"{offer['id'][:8]}  {offer['title']}",
            f"          from {offer['sender']}, {size_text(offer['bytes'])}, until {offer['expires'][:10]}",
        ]
        lines += [f"          {told} (as the sender says)"] if told else []
        lines += [f'          "{offer["comment"]}"'] if offer["comment"] else []
    if not lines:
        return ["nothing is offered to you"]
    return [*lines, "next      diadem accept ID   (or: diadem decline ID --reason WHY)"]


def details_text(details: Mapping[str, Any]) -> list[str]:
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
            f"{size_text(counts['reused'])} were here; {counts['retries']} new connections"
        )
    if details["rate"] and details["done"] < details["bytes"]:
        lines.append(f"  left        {duration_text((details['bytes'] - details['done']) / details['rate'])}")
    for event in details["events"]:
        proof = f"  statement {event['statement'][:12]}…" if event["statement"] else ""
        words = f"  {event['words']}" if event["words"] else ""
        lines.append(f"  {event['at'].replace('T', ' ')[:16]}  {_state(event)}{proof}{words}")
    lines += [
        f"  MISSING     {_STATEMENTS.get(what, what)}: the other node has not sent it yet"
        for what in details["missing"]
    ]
    lines += [f"  not told    {line}" for line in details["unsent"]]
    lines += [f"  route       {details['way']}"] if details["way"] else []
    lines += [f"  next        {details['next']}"] if details["next"] else []
    return lines


def rules_text(rules: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each rule."""
    return [
        f"{rule['id'][:12]}  {rule['by']} accepts from {rule['from']} up to {size_text(rule['max_bytes'])}"
        + (f", of the project {rule['project']}" if rule["project"] else "")
        + (f", until {rule['expires'][:10]}" if rule["expires"] else "")
        for rule in rules
    ] or ["no rules: every offer waits for its recipient"]
