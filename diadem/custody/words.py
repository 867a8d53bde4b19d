"""One plain sentence for each statement, for someone who works at a microscope and has never heard of a Merkle tree."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from diadem.custody.corrections import CorrectionSheet
from diadem.custody.network_words import WRITERS
from diadem.custody.said import Said, bare, counted, quoted
from diadem.errors import DocumentError
from diadem.model.plain_text import size_text
from diadem.model.sample_custody import event_text
from diadem.model.samples import MEMBERS, Event
from diadem.model.statements import Statement
from diadem.serialization.validation import validate_statement

#: How the source of an `ingest` begins that found a package as it was: by whom it was made is not stated.
HANDED_OVER: Final = "found as a package in "
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
#: What of a package was handed over.
_PARTS: Final[Mapping[str, str]] = {
    "raw": "the instrument's files of the package, without its metadata,",
    "record": "the metadata of the package, without the instrument's files,",
}
_JUDGED: Final[Mapping[str, str]] = {
    "accept": "accepted",
    "limited": "accepted, with limits,",
    "reject": "rejected",
}


def sentence(statement: Statement, names: Mapping[str, str] | None = None) -> str:
    """What a statement says, in one sentence.

    Parameters
    ----------
    statement : Statement
        Of any kind; of one that this version does not know, the sentence says so.
    names : mapping of str to str, optional
        Names of nodes and stores by their ids. The rest is shown by the first digits of its id.
    """
    names = names or {}
    node = f"the node {names.get(statement.node) or statement.node[:12] + '…'}"
    when = f"On {_day(statement)}"
    writer = _WRITERS.get(statement.kind)
    if writer is None and statement.known is None:
        return (
            f"{when} {node} noted a statement of the kind '{statement.kind}', which this version does not understand."
        )
    if writer is None:
        return f"{when} {node} noted: {_lower(statement.known.meaning if statement.known else '')}"
    try:
        validate_statement(statement)
        said = writer(Said(statement, node, names))
    except (DocumentError, KeyError, TypeError, ValueError, IndexError):
        return f"{when} {node} noted a {statement.kind} statement whose content this version does not understand."
    return f"{when} {said}."


def _ingest(said: Said) -> str:
    how = "adopted where they are" if said.get("adopted") else f"archived in the store {said['store']}"
    files = f"{counted(said['files'], 'file')} ({size_text(said['bytes'])})"
    were = "was" if said["files"] == 1 else "were"
    if said["source"] == f"found in the store {said['store']}":
        return f"{files} {were} {said['source']} and entered for {said['owner']}; who put them there is not stated"
    if said["source"].startswith(HANDED_OVER):
        return (
            f"{files} were {said['source']}, proven whole, {how} and entered for {said['owner']};"
            " who made it is not stated"
        )
    text = f"{files} from {said['source']} {were} {how} for {said['owner']}"
    if said.get("predecessor"):
        text += f", as a continuation of {said['predecessor'][:19]}…"
    if said["omitted"]:
        text += (
            f"; {counted(said['omitted'], 'item')} of the source could not be taken along, and the record names each"
        )
    return text


def _fixity(said: Said) -> str:
    findings, read = said.get("findings", []), _LEVELS[said["level"]]
    ours = {f"diadem:{subject.sha256}" for subject in said.statement.subjects}
    found = [item for item in findings if item["package"] in ours]
    many = counted(len(ours), "package")
    text = f"{said.node} checked {many} in the store {said['store']} ({read})"
    if not found:
        return f"{text} and found nothing wrong"
    worst = found[0]
    if all(item["code"] == "copy-missing" for item in found):
        why = f": {bare(worst['message'])}" if worst.get("message") else ""
        return f"{said.node} looked for {many} in the store {said['store']} and did not find a copy{why}"
    place = f" in {quoted(worst['path'])}" if worst.get("path") else ""
    more = f", and {counted(len(found) - 1, 'more finding')}" if len(found) > 1 else ""
    return f"{text} and found damage: {worst['code']}{place} of {worst['package'][:19]}…{more}"


def _replicate(said: Said) -> str:
    if said["from"] == said["store"]:
        return f"{said.node} found a copy of the package in the store {said['store']}; {_PROOFS[said['proof']]}"
    source = said["from"] if said["from"].startswith("node ") else f"store {said['from']}"  # no store has a space
    way = f"from the {source} to the store {said['store']}"
    return f"{said.actor} copied the package {way}; {_PROOFS[said['proof']]}"


def _repair(said: Said) -> str:
    what = "the whole file" if said["leaf"] is None else f"the damaged leaf {said['leaf']} (1 MiB) of the file"
    source = "its parity" if said["from"] == "parity" else f"the copy in {said['from']}"
    return f"{said.node} replaced {what} {said['path']} in the store {said['store']} with proven bytes from {source}"


def _drop(said: Said) -> str:
    kept = ", ".join(f"{quoted(proof['store'])} (checked {proof['at'][:10]})" for proof in said["proofs"][:5])
    return f"{said.actor} removed the copy in the store {said['store']} while these remained: {kept}{said.reason}"


def _tombstone(said: Said) -> str:
    if said.get("lost") is True:
        return f"{said.actor} wrote the package off: no copy of it was left in any store{said.reason}"
    return f"{said.actor} deleted the package from every store; what was said about it remains{said.reason}"


def _handover(said: Said) -> str:
    left_out = " without some of its metadata" if said["redacted"] else ""
    what = _PARTS.get(said.get("only", ""), "the package")
    size = f", {size_text(said['bytes'])}" if type(said.get("bytes")) is int else ""
    given = f"{said.actor} gave {what} to {said['to']} ({said['form']}{size}){left_out}"
    return f"{given}; that it arrived is not attested by anyone else"


def _key(said: Said) -> str:
    until = f", until {said['expires'][:10]}" if said.get("expires") else ""
    if said.get("successor"):
        return f"{said.node} noted that {said['name']} has retired, and that {said['successor']} follows{said.reason}"
    if said["role"] == "user":
        held = {"node-held": ", which the node can use too", "user-held": ", which nobody else has"}.get(
            said.get("custody", ""), ""
        )
        return f"{said.node} vouched for the key of {said['name']}{held} (version {said['version']}{until})"
    return f"the node {said['name']} named its {_ROLES[said['role']]} (version {said['version']}{until})"


def _recovery(said: Said) -> str:
    kept = "what its stores had of the log was kept" if said.get("previous") else "nothing of the log was left"
    return f"{said.node} was restored after a loss and began epoch {said['epoch']} of its log; {kept}{said.reason}"


def _countersign(said: Said) -> str:
    return f"{said.get('by', 'a user')} vouched for a statement of another{said.reason}"


def _head(said: Said) -> str:
    return f"{said.node} said that its log holds {counted(said['length'], 'statement')} on this subject and no more"


def _amendment(said: Said) -> str:
    fields = ", ".join(quoted(change["field"]) for change in said["changes"][:5])
    more = f" and {len(said['changes']) - 5} more" if len(said["changes"]) > 5 else ""
    return f"{said.get('by', 'a user')} corrected the record: {fields}{more}{said.reason}"


def _corrections(said: Said) -> str:
    names, found = said.predicate["names"], []
    for entry, sheet in CorrectionSheet.from_line(said.predicate["sheet"].encode()).all():
        user = str(entry.statement.predicate["by"]).rpartition("@")[0]
        found.append(quoted(f"{user}@{names.get(sheet.node, sheet.node[:12])}"))
    by = " and ".join(dict.fromkeys(found))
    return f"{counted(len(found), 'correction')} by {by} came with the package from {said.other('from')}"


def _assessment(said: Said) -> str:
    target, machine = said["target"], said.get("machine")
    what = f"the dataset {quoted(target['dataset'])} of the package" if target.get("dataset") else "the package"
    if target.get("signal"):
        what = f"the signal {quoted(target['signal'])} of {what}"
    who = f"{said['by']}, by the program {quoted(machine['plugin'])}," if machine else said["by"]
    by = f" by the criterion {said['criterion']}" if said.get("criterion") else ""
    value = f" ({said['value']:g} {said.get('unit', '')}".rstrip() + ")" if said.get("value") is not None else ""
    why = f": {bare(said['comment'])}" if said.get("comment") else ""
    instead = ", in place of an earlier assessment" if said.get("replaces") else ""
    return f"{who} {_JUDGED[said['verdict']]} {what} for {said['purpose']}{by}{value}{instead}{why}"


def _derivation(said: Said) -> str:
    sources = list(dict.fromkeys(source["package"] for source in said["sources"]))
    named = ", ".join(f"{package[:19]}…" for package in sources[:3])
    more = f" and {len(sources) - 3} more" if len(sources) > 3 else ""
    programs = [f"{quoted(one['name'])} {quoted(one['version'])}" for one in said.get("software", [])[:4]]
    used = f" with {', '.join(programs)}" if programs else ""
    why = f": {bare(said['comment'])}" if said.get("comment") else ""
    return f"{said['by']} stated that {said['result'][:19]}… was made from {named}{more}{used}{why}"


def _audit(said: Said) -> str:
    outcome = "it failed" if said["outcome"] == "failed" else f"it was {said['outcome']}"
    return f"{said['actor']} asked for: {bare(said['action'])}; {outcome}{said.reason}"


def _rule(said: Said) -> str:
    until = f" until {said['expires'][:10]}" if said.get("expires") else ""
    ceiling = f"of up to {size_text(said['max_bytes'])}{until}"
    return f"{said.get('by', 'a user')} agreed to accept offers from {said['from']} {ceiling}"


def _sample(said: Said) -> str:
    by, what = said.get("by", "a user"), said["event"]
    if what == "defined":
        return f"{by} defined the sample {said['identifier']}{_described(said)}"
    if what == "changed":
        members = ", ".join(key.replace("_", " ") for key in MEMBERS if key in said.predicate)
        return f"{by} changed what is said of the sample: {members or 'nothing that this version knows'}"
    if what in ("linked", "unlinked"):
        other = said.get("other")
        names = [subject.name[:15] + "…" for subject in said.statement.subjects]
        one = f"{quoted(other['name'])} of {quoted(other['lab'])} and the sample" if other else " and ".join(names)
        verb = "are one sample" if what == "linked" else "are not one sample after all"
        return f"{by} stated that {one} {verb}{said.reason}"
    if what == "retracted":
        return f"{by} retracted what the statement {said['retracts'][:12]}… says had happened{said.reason}"
    event = Event(what, said["date"], said.get("from", ""), said.get("to", ""))
    comment = f": {bare(said['comment'])}" if said.get("comment") else ""
    return f"{by} stated that the sample was {event_text(event)}{comment}"


def _described(said: Said) -> str:
    maker = said.get("maker") or {}
    made = [quoted(maker[key]) for key in ("name", "lab") if maker.get(key)]
    from_ = said.get("parents") or ()
    return (
        (f" ({said['name']})" if said.get("name") else "")
        + (f", made by {', '.join(made)}" if made else "")
        + (f", made from {counted(len(from_), 'sample')}" if from_ else "")
    )


_WRITERS: Final[Mapping[str, Callable[[Said], str]]] = {
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
    **WRITERS,
}


def _day(statement: Statement) -> str:
    time = statement.time
    return f"{time.day} {time:%B %Y}, {time:%H:%M} UTC,"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
