"""Sentences for what nodes and users say to each other: grants, offers, receipts, and whose key is whose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from diadem.custody.said import Said, bare, counted, quoted
from diadem.model.plain_text import size_text

_RIGHTS: Final[Mapping[str, str]] = {"list": "list", "read": "read", "assess": "judge"}
_ROUTES: Final[Mapping[str, str]] = {
    "direct": "directly",
    "hub": "through a hub",
    "local": "within the node",
    "disk": "on a disk",
}
_RELAYED: Final[Mapping[str, str]] = {
    "delivered": "when all of them had been taken",
    "deleted": "because the transfer had ended before they were taken",
    "expired": "because nobody took them in time",
}
_PEER: Final[Mapping[str, str]] = {
    "invited": "invited a node to be known as {name}",
    "pinned": "noted the key of the node {name}, which nobody has confirmed yet",
    "confirmed": "confirmed that the node {name} is the one that it says it is",
    "dropped": "broke with the node {name}: nothing more from it is accepted",
    "renamed": "renamed a known node to {name}",
    "moved": "learned a new address of the node {name}",
    "rotated": "noted a new key of the node {name}, vouched for by its root key",
    "compromised": "noted that a key of the node {name} was stolen",
}


def _way(route: str) -> str:
    return _ROUTES.get(route) or f"by the carrier {bare(route.removeprefix('via:'))}"


def _grant(said: Said) -> str:
    may = " and ".join(_RIGHTS[right] for right in said["rights"])
    scope = said.get("scope", "package")
    what = counted(len(said.statement.subjects), "package") if scope == "package" else f"what belongs to the {scope}"
    label = f" {said['label']}" if scope != "package" and said.get("label") else ""
    until = f" until {said['expires'][:10]}" if said.get("expires") else " until it is revoked"
    only = ", and only without a hub" if "direct-only" in said.get("require", ()) else ""
    why = f", for: {bare(said['purpose'])}" if said.get("purpose") else ""
    return f"{said['by']} allowed {said['to']} to {may} {what}{label}{until}{only}{why}"


def _revocation(said: Said) -> str:
    kept = "what was delivered before stays delivered"
    return f"{said['by']} revoked the statement {said['revokes'][:12]}…; {kept}{said.reason}"


def _offer(said: Said) -> str:
    size = f"{counted(said['files'], 'file')}, {size_text(said['bytes'])}"
    comment = f": {bare(said['comment'])}" if said.get("comment") else ""
    return f"{said['by']} offered the package ({size}) to {said['to']} until {said['expires'][:10]}{comment}"


def _acceptance(said: Said) -> str:
    rule = f", by the rule {said['rule'][:12]}…" if said.get("rule") else ""
    return f"{said['by']} accepted the offer, up to {size_text(said['ceiling'])}, to travel {_way(said['route'])}{rule}"


def _decline(said: Said) -> str:
    return f"{said['by']} declined the offer{said.reason}"


def _receipt(said: Said) -> str:
    came = f"{size_text(said['received'])} came {_way(said['route'])}"
    if said["route"] == "local":
        came = "no byte was moved"
    again = f", {size_text(said['again'])} of them again" if said["again"] else ""
    reused = f", {size_text(said['reused'])} were here already" if said["reused"] else ""
    places = ", ".join(quoted(store) for store in said["stores"])
    for_ = f" for {said['by']}" if said.get("by") else ""
    return f"{said.node} received the package{for_} and proved every byte in {places}: {came}{again}{reused}"


def _closure(said: Said) -> str:
    return f"{said.node} saw the other node's receipt and confirmed the transfer"


def _permit(said: Said) -> str:
    most = f"{size_text(said['ceiling'])} of sealed windows from {said.other('sender')}, until {said['expires'][:10]}"
    return f"{said.node} allowed {said.other('hub')} to keep for it at most {most}"


def _relay(said: Said) -> str:
    what = f"{counted(said['objects'], 'sealed window')} ({size_text(said['bytes'])})"
    sides = f"of {said.other('sender')} for {said.other('recipient')}"
    times = f"from {_moment(said['first'])} on and deleted the last by {_moment(said['last'])}"
    return f"{said.node} stored {what} {sides} {times}, {_RELAYED[said['event']]}"


def _moment(time: str) -> str:
    return f"{time[:10]} {time[11:16]} UTC"


def _peer(said: Said) -> str:
    who = said.get("by", said.node)
    return f"{who} {_PEER[said['event']].format(name=said['name'])}{said.reason}"


#: A writer for each kind.
WRITERS: Final[Mapping[str, Callable[[Said], str]]] = {
    "grant": _grant,
    "revocation": _revocation,
    "offer": _offer,
    "acceptance": _acceptance,
    "decline": _decline,
    "receipt": _receipt,
    "closure": _closure,
    "permit": _permit,
    "relay": _relay,
    "peer": _peer,
}
