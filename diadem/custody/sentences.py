"""One plain sentence for each statement, for someone who works at a microscope and has never heard of a Merkle tree.

The table at the end says which function makes the sentence of a kind; each gets the members of the predicate, harmless
to show.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from diadem.custody.corrections import CorrectionSheet
from diadem.custody.log_entry import Entry
from diadem.custody.statements import HANDED_OVER, takes_out
from diadem.errors import DocumentError
from diadem.model.plain_text import count_text, one_line, size_text
from diadem.model.sample_custody import event_text
from diadem.model.samples import MEMBERS, Event
from diadem.model.statements import Statement
from diadem.serialization.validation import validate_statement

#: How a copy's bytes were proven, as `replicate` says it.
_PROOFS: Final[Mapping[str, str]] = {
    "written": "every byte was hashed while it was written",
    "server": "the server checked every part",
    "read-back": "it was read back and every byte is right",
    "earlier": "it was there already, and its sizes and tag files are right",
    "none": "its bytes are not proven yet",
}
#: What a check reads, as `fixity` says it.
_LEVELS: Final[Mapping[str, str]] = {
    "quick": "sizes and tag files only",
    "leaves": "every byte, in leaves of 1 MiB",
    "full": "every byte, and the SHA-256 of every file",
}
_ROLES: Final[Mapping[str, str]] = {
    "root": "root key, which signs its other keys",
    "online": "key for what it says",
    "log": "key for its log",
}
#: Nothing of a package was handed over but what is said of it, in another form.
DESCRIPTION: Final = "description"
#: What of a package was handed over.
_PARTS: Final[Mapping[str, str]] = {
    "raw": "the instrument's files of the package, without its metadata,",
    "record": "the metadata of the package, without the instrument's files,",
    DESCRIPTION: "a description of the package",
}
_JUDGED: Final[Mapping[str, str]] = {
    "accept": "accepted",
    "limited": "accepted, with limits,",
    "reject": "rejected",
}
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


def sentence(statement: Statement, names: Mapping[str, str] | None = None) -> str:
    """What a statement says, in one sentence; of a kind that this version does not know, that it does not.

    `names` of nodes and stores by their ids; the rest is shown by the first digits of its id.
    """
    names = names or {}
    node = f"the node {names.get(statement.node) or statement.node[:12] + '…'}"
    when = f"On {statement.time.day} {statement.time:%B %Y, %H:%M} UTC, {node}"
    if statement.kind not in _SENTENCES:
        return f"{when} noted a statement of the kind '{statement.kind}', which this version does not understand."
    try:
        validate_statement(statement)
        said = _SENTENCES[statement.kind](Predicate(statement, node, names))
    except (DocumentError, KeyError, TypeError, ValueError, IndexError):
        return f"{when} noted a {statement.kind} statement whose content this version does not understand."
    return f"{when.removesuffix(node)}{said}."


class Predicate:
    """The members of a statement, texts of others made harmless; and the phrases that many sentences end with."""

    def __init__(self, statement: Statement, node: str, names: Mapping[str, str]) -> None:
        self.statement, self.node, self._names = statement, node, names
        self.plain: Mapping[str, Any] = statement.predicate

    def __getitem__(self, name: str) -> Any:
        value = self.plain[name]
        return one_line(value) if isinstance(value, str) else value

    def get(self, name: str, default: Any = None) -> Any:
        """A member that need not be there."""
        return self[name] if self.plain.get(name) is not None else default

    def other(self, name: str) -> str:
        """Another node, by the member that has its id."""
        return f"the node {self._names.get(self.plain[name]) or self[name][:12] + '…'}"

    @property
    def actor(self) -> str:
        """Who acted: the person where one is named, else the node."""
        return str(self.get("by", self.node))

    @property
    def reason(self) -> str:
        """The reason given, to be put after the sentence."""
        return f", because: {_bare(self['reason'])}" if self.get("reason") else ""

    @property
    def comment(self) -> str:
        """The comment given, to be put after the sentence."""
        return f": {_bare(self['comment'])}" if self.get("comment") else ""

    @property
    def until(self) -> str:
        """The day on which it ends, where it does."""
        return f" until {self['expires'][:10]}" if self.get("expires") else ""


def _bare(text: str) -> str:
    """A text without the full stop at its end: the sentence brings its own."""
    return one_line(text).rstrip(". ")


# -- packages and their copies -----------------------------------------------------------------------------------------


def _ingest(said: Predicate) -> str:
    how = "adopted where they are" if said.get("adopted") else f"archived in the store {said['store']}"
    files = f"{count_text(said['files'], 'file')} ({size_text(said['bytes'])})"
    were = "was" if said["files"] == 1 else "were"
    if said["source"] == f"found in the store {said['store']}":
        return f"{files} {were} {said['source']} and entered for {said['owner']}; who put them there is not stated"
    if said["source"].startswith(HANDED_OVER):
        return (
            f"{files} {were} {said['source']}, proven whole, {how} and entered for {said['owner']};"
            " who made it is not stated"
        )
    text = f"{files} from {said['source']} {were} {how} for {said['owner']}"
    if said.get("predecessor"):
        text += f", as a continuation of {said['predecessor'][:19]}…"
    if said["omitted"]:
        text += (
            f"; {count_text(said['omitted'], 'item')} of the source could not be taken along, and the record names each"
        )
    return text


def _fixity(said: Predicate) -> str:
    findings, read = said.get("findings", []), _LEVELS[said["level"]]
    ours = {f"diadem:{subject.sha256}" for subject in said.statement.subjects}
    found = [item for item in findings if item["package"] in ours]
    many = count_text(len(ours), "package")
    text = f"{said.node} checked {many} in the store {said['store']} ({read})"
    if not found:
        return f"{text} and found nothing wrong"
    worst = found[0]
    if all(item["code"] == "copy-missing" for item in found):
        why = f": {_bare(worst['message'])}" if worst.get("message") else ""
        return f"{said.node} looked for {many} in the store {said['store']} and did not find a copy{why}"
    place = f" in {one_line(worst['path'])}" if worst.get("path") else ""
    more = f", and {count_text(len(found) - 1, 'more finding')}" if len(found) > 1 else ""
    return f"{text} and found damage: {worst['code']}{place} of {worst['package'][:19]}…{more}"


def _replicate(said: Predicate) -> str:
    if said["from"] == said["store"]:
        return f"{said.node} found a copy of the package in the store {said['store']}; {_PROOFS[said['proof']]}"
    source = said["from"] if said["from"].startswith("node ") else f"store {said['from']}"  # no store has a space
    way = f"from the {source} to the store {said['store']}"
    return f"{said.actor} copied the package {way}; {_PROOFS[said['proof']]}"


def _repair(said: Predicate) -> str:
    what = "the whole file" if said["leaf"] is None else f"the damaged leaf {said['leaf']} (1 MiB) of the file"
    source = "its parity" if said["from"] == "parity" else f"the copy in {said['from']}"
    return f"{said.node} replaced {what} {said['path']} in the store {said['store']} with proven bytes from {source}"


def _drop(said: Predicate) -> str:
    kept = ", ".join(f"{one_line(proof['store'])} (checked {proof['at'][:10]})" for proof in said["proofs"][:5])
    return f"{said.actor} removed the copy in the store {said['store']} while these remained: {kept}{said.reason}"


def _tombstone(said: Predicate) -> str:
    if said.get("lost") is True:
        return f"{said.actor} wrote the package off: no copy of it was left in any store{said.reason}"
    return f"{said.actor} deleted the package from every store; what was said about it remains{said.reason}"


def _handover(said: Predicate) -> str:
    left_out = " without some of its metadata" if said["redacted"] else ""
    what = _PARTS.get(said.get("only", ""), "the package")
    size = f", {size_text(said['bytes'])}" if type(said.get("bytes")) is int else ""
    if said.get("dataset"):
        what = f"dataset {said['dataset']} of {what}"
    where = f", at {said['where']}" if said.get("where") else ""
    called = f", where it is called {', '.join(map(str, said['identifiers']))}" if said.get("identifiers") else ""
    about = f" ({said['form']}{size}{where}){called}{left_out}"
    own = takes_out(said["to"], said.get("by", ""))
    if own and not where:
        return f"{said.actor} took out {what}{about}"
    given = f"exported {what}" if own else f"gave {what} to {said['to']}"
    return f"{said.actor} {given}{about}; that it arrived is not attested by anyone else"


def _key(said: Predicate) -> str:
    until = f", until {said['expires'][:10]}" if said.get("expires") else ""
    if said.get("successor"):
        return f"{said.node} noted that {said['name']} has retired, and that {said['successor']} follows{said.reason}"
    if said["role"] == "user":
        held = {"node-held": ", which the node can use too", "user-held": ", which nobody else has"}.get(
            said.get("custody", ""), ""
        )
        return f"{said.node} vouched for the key of {said['name']}{held} (version {said['version']}{until})"
    return f"the node {said['name']} named its {_ROLES[said['role']]} (version {said['version']}{until})"


def _recovery(said: Predicate) -> str:
    kept = "what its stores had of the log was kept" if said.get("previous") else "nothing of the log was left"
    return f"{said.node} was restored after a loss and began epoch {said['epoch']} of its log; {kept}{said.reason}"


def _countersign(said: Predicate) -> str:
    return f"{said.get('by', 'a user')} vouched for a statement of another{said.reason}"


def _head(said: Predicate) -> str:
    return f"{said.node} said that its log holds {count_text(said['length'], 'statement')} on this subject and no more"


def _amendment(said: Predicate) -> str:
    fields = ", ".join(one_line(change["field"]) for change in said["changes"][:5])
    more = f" and {len(said['changes']) - 5} more" if len(said["changes"]) > 5 else ""
    return f"{said.get('by', 'a user')} corrected the record: {fields}{more}{said.reason}"


def _corrections(said: Predicate) -> str:
    names, sheet = said.plain["names"], CorrectionSheet.from_line(said.plain["sheet"].encode())
    corrected, judged, doubted, left_out = [], [], 0, 0
    for one in sheet.nodes():
        called, proven = names.get(one.node, one.node[:12]), one.judgements()
        corrected += [_by(entry, called) for entry in one.amendments]
        judged += [_by(entry, called) for entry in proven.said]
        doubted += len(proven.inherited)
        left_out += proven.left_out
    came = [
        f"{count_text(len(found), what)} by {' and '.join(dict.fromkeys(found))}"
        for what, found in (("correction", corrected), ("judgement", judged))
        if found
    ]
    if left_out:
        came.append(f"not {left_out:,} more, for which there was no room,")
    if doubted:
        came.append(count_text(doubted, "doubt") + " about its sources")
    refused = (
        f", without what does not hold: {one_line('; '.join(map(str, said['refused'])), 500)}"
        if (said.plain.get("refused"))
        else ""
    )
    return f"{' and '.join(came) or 'no judgement'} came with the package from {said.other('from')}{refused}"


def _by(entry: Entry, called: str) -> str:
    return one_line(f"{str(entry.statement.predicate['by']).rpartition('@')[0]}@{called}")


def _assessment(said: Predicate) -> str:
    target, machine = said["target"], said.get("machine")
    what = f"the dataset {one_line(target['dataset'])} of the package" if target.get("dataset") else "the package"
    if target.get("signal"):
        what = f"the signal {one_line(target['signal'])} of {what}"
    who = f"{said['by']}, by the program {one_line(machine['plugin'])}," if machine else said["by"]
    by = f" by the criterion {said['criterion']}" if said.get("criterion") else ""
    value = f" ({said['value']:g} {said.get('unit', '')}".rstrip() + ")" if said.get("value") is not None else ""
    instead = ", in place of an earlier assessment" if said.get("replaces") else ""
    return f"{who} {_JUDGED[said['verdict']]} {what} for {said['purpose']}{by}{value}{instead}{said.comment}"


def _derivation(said: Predicate) -> str:
    sources = list(dict.fromkeys(source["package"] for source in said["sources"]))
    named = ", ".join(f"{package[:19]}…" for package in sources[:3])
    more = f" and {len(sources) - 3} more" if len(sources) > 3 else ""
    programs = [f"{one_line(one['name'])} {one_line(one['version'])}" for one in said.get("software", [])[:4]]
    used = f" with {', '.join(programs)}" if programs else ""
    return f"{said['by']} stated that {said['result'][:19]}… was made from {named}{more}{used}{said.comment}"


def _audit(said: Predicate) -> str:
    outcome = "it failed" if said["outcome"] == "failed" else f"it was {said['outcome']}"
    return f"{said['actor']} asked for: {_bare(said['action'])}; {outcome}{said.reason}"


def _rule(said: Predicate) -> str:
    ceiling = f"of up to {size_text(said['max_bytes'])}{said.until}"
    return f"{said.get('by', 'a user')} agreed to accept offers from {said['from']} {ceiling}"


def _sample(said: Predicate) -> str:
    by, what = said.get("by", "a user"), said["event"]
    if what == "defined":
        return f"{by} defined the sample {said['identifier']}{_described(said)}"
    if what == "changed":
        members = ", ".join(key.replace("_", " ") for key in MEMBERS if key in said.plain)
        return f"{by} changed what is said of the sample: {members or 'nothing that this version knows'}"
    if what in ("linked", "unlinked"):
        other = said.get("other")
        names = [subject.name[:15] + "…" for subject in said.statement.subjects]
        one = f"{one_line(other['name'])} of {one_line(other['lab'])} and the sample" if other else " and ".join(names)
        verb = "are one sample" if what == "linked" else "are not one sample after all"
        return f"{by} stated that {one} {verb}{said.reason}"
    if what == "retracted":
        return f"{by} retracted what the statement {said['retracts'][:12]}… says had happened{said.reason}"
    event = Event(what, said["date"], said.get("from", ""), said.get("to", ""))
    return f"{by} stated that the sample was {event_text(event)}{said.comment}"


def _described(said: Predicate) -> str:
    maker = said.get("maker") or {}
    made = [one_line(maker[key]) for key in ("name", "lab") if maker.get(key)]
    from_ = said.get("parents") or ()
    return (
        (f" ({said['name']})" if said.get("name") else "")
        + (f", made by {', '.join(made)}" if made else "")
        + (f", made from {count_text(len(from_), 'sample')}" if from_ else "")
    )


# -- what nodes and users say to each other ----------------------------------------------------------------------------


def _way(route: str) -> str:
    return _ROUTES.get(route) or f"by the carrier {_bare(route.removeprefix('via:'))}"


def _grant(said: Predicate) -> str:
    may = " and ".join(_RIGHTS[right] for right in said["rights"])
    scope = said.get("scope", "package")
    what = count_text(len(said.statement.subjects), "package") if scope == "package" else f"what belongs to the {scope}"
    label = f" {said['label']}" if scope != "package" and said.get("label") else ""
    until = said.until or " until it is revoked"
    only = ", and only without a hub" if "direct-only" in said.get("require", ()) else ""
    why = f", for: {_bare(said['purpose'])}" if said.get("purpose") else ""
    return f"{said['by']} allowed {said['to']} to {may} {what}{label}{until}{only}{why}"


def _revocation(said: Predicate) -> str:
    kept = "what was delivered before stays delivered"
    return f"{said['by']} revoked the statement {said['revokes'][:12]}…; {kept}{said.reason}"


def _offer(said: Predicate) -> str:
    size = f"{count_text(said['files'], 'file')}, {size_text(said['bytes'])}"
    return f"{said['by']} offered the package ({size}) to {said['to']} until {said['expires'][:10]}{said.comment}"


def _acceptance(said: Predicate) -> str:
    rule = f", by the rule {said['rule'][:12]}…" if said.get("rule") else ""
    return f"{said['by']} accepted the offer, up to {size_text(said['ceiling'])}, to travel {_way(said['route'])}{rule}"


def _decline(said: Predicate) -> str:
    return f"{said['by']} declined the offer{said.reason}"


def _receipt(said: Predicate) -> str:
    came = f"{size_text(said['received'])} came {_way(said['route'])}"
    if said["route"] == "local":
        came = "no byte was moved"
    again = f", {size_text(said['again'])} of them again" if said["again"] else ""
    reused = f", {size_text(said['reused'])} were here already" if said["reused"] else ""
    places = ", ".join(one_line(store) for store in said["stores"])
    for_ = f" for {said['by']}" if said.get("by") else ""
    return f"{said.node} received the package{for_} and proved every byte in {places}: {came}{again}{reused}"


def _closure(said: Predicate) -> str:
    return f"{said.node} saw the other node's receipt and confirmed the transfer"


def _permit(said: Predicate) -> str:
    most = f"{size_text(said['ceiling'])} of sealed windows from {said.other('sender')}, until {said['expires'][:10]}"
    return f"{said.node} allowed {said.other('hub')} to keep for it at most {most}"


def _relay(said: Predicate) -> str:
    what = f"{count_text(said['objects'], 'sealed window')} ({size_text(said['bytes'])})"
    sides = f"of {said.other('sender')} for {said.other('recipient')}"
    times = f"from {_moment(said['first'])} on and deleted the last by {_moment(said['last'])}"
    return f"{said.node} stored {what} {sides} {times}, {_RELAYED[said['event']]}"


def _moment(time: str) -> str:
    return f"{time[:10]} {time[11:16]} UTC"


def _peer(said: Predicate) -> str:
    who = said.get("by", said.node)
    return f"{who} {_PEER[said['event']].format(name=said['name'])}{said.reason}"


#: The sentence of each kind of statement.
_SENTENCES: Final[Mapping[str, Callable[[Predicate], str]]] = {
    "ingest": _ingest,
    "fixity": _fixity,
    "replicate": _replicate,
    "repair": _repair,
    "drop": _drop,
    "tombstone": _tombstone,
    "handover": _handover,
    "key": _key,
    "recovery": _recovery,
    "countersign": _countersign,
    "head": _head,
    "amendment": _amendment,
    "corrections": _corrections,
    "assessment": _assessment,
    "derivation": _derivation,
    "audit": _audit,
    "rule": _rule,
    "sample": _sample,
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
