"""What this program states: one builder a kind, under its name (a `key` is a `card`). Nothing else makes a draft.

Who may sign a kind, and what it means for the catalogue, stands in `diadem.model.statement_kinds.KINDS`; its sentence
for people in `diadem.custody.sentences`. A builder takes the members of the kind's schema (``schemas/statement``),
leaves out those that are optional and empty, and says what the statement is about. Nobody makes a `countersign` yet.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from diadem.model.manifest import PackageId
from diadem.model.statements import Draft, Subject
from diadem.model.times import time_text

if TYPE_CHECKING:
    from diadem.model.assessments import Assessment
    from diadem.model.lineage import Source
    from diadem.model.transfers import Counts, Transfer
    from diadem.trust.keys import PublicKey

#: Roles of keys: the root signs cards, the online key what the node says, the log key checkpoints, a user's key what
#: the user says.
ROOT: Final = "root"
ONLINE: Final = "online"
LOG: Final = "log"
USER: Final = "user"

#: How the source of an `ingest` begins that found a package as it was: by whom it was made is not stated.
HANDED_OVER: Final = "found as a package in "
#: What went by hubs, one object a hub, as the schemas of receipt and closure have it.
Relayed = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class StatedStore:
    """A store as statements name it: its id too, for the name may be given to another store one day.

    The place of adopted folders, which is no store, has no id.
    """

    name: str
    id: str = ""

    def members(self) -> dict[str, str]:
        """What a predicate says of it."""
        return {"store": self.name, **_given(store_id=self.id)}


def transfer_subject(transfer: str) -> Subject:
    """A transfer as the subject of statements."""
    return Subject.named(f"transfer:{transfer}")


def relay_subject(relay: str) -> Subject:
    """A relay as the subject of statements: the only one, so that they name no transfer."""
    return Subject.named(f"relay:{relay}")


def _packages(ids: Iterable[str]) -> tuple[Subject, ...]:
    return tuple(map(Subject.package, ids))


def _given(**members: Any) -> dict[str, Any]:
    """Members that need not be there, without the empty ones."""
    return {name: value for name, value in members.items() if value not in (None, "", (), [], {})}


# -- copies ------------------------------------------------------------------------------------------------------------


def ingest(
    package_id: str,
    *,
    payload_id: str,
    files: int,
    size: int,
    software: str,
    source: str,
    owner: str,
    store: StatedStore,
    path: str,
    proof: str,
    omitted: int,
    predecessor: str | None = None,
    more: Mapping[str, Any] | None = None,
) -> Draft:
    """That a package was taken in: what, from where, by whom, where to."""
    said = {"payload_id": payload_id, "bytes": size, "files": files, "software": software, "source": source}
    said |= {"owner": owner, **store.members(), "path": path, "proof": proof, "omitted": omitted}
    said |= {**_given(predecessor=predecessor), **(more or {})}
    return Draft("ingest", _packages([package_id]), said)


def replicate(
    package_id: str,
    *,
    payload_id: str,
    source: str,
    store: StatedStore,
    path: str,
    proof: str,
    by: str,
    more: Mapping[str, Any] | None = None,
) -> Draft:
    """That a further copy is there; `source` is the store, node or folder from which it came."""
    said = {"payload_id": payload_id, **store.members(), "from": source, "proof": proof, "path": path, "by": by}
    return Draft("replicate", _packages([package_id]), {**said, **(more or {})})


#: Packages that one `fixity` names at most: all of it stands in the chain of each of them, as often as they are read.
CHECKED_TOGETHER: Final = 16


def fixity(
    packages: Sequence[str],
    *,
    store: StatedStore,
    level: str,
    proven: Sequence[str] = (),
    checked: Mapping[str, int] | None = None,
    findings: Sequence[Mapping[str, Any]] = (),
    part: str = "",
) -> Draft:
    """That copies in one store were read: which are proven, and what is wrong with the others (`copy_fault`).

    Of more packages than `CHECKED_TOGETHER` several are stated at once.
    """
    said: dict[str, Any] = {**store.members(), "level": level, "proven": list(proven), "checked": dict(checked or {})}
    said |= {"findings": list(findings), **_given(slice=part)}
    return Draft("fixity", _packages(packages), said)


def copy_fault(
    package_id: str, code: str, message: str | None = None, *, path: str | None = None, leaf: int | None = None
) -> dict[str, Any]:
    """One finding of a `fixity`: what is wrong with the copy of a package, in which file and leaf."""
    return {"package": package_id, "code": code, "path": path, "leaf": leaf, "message": message}


def repair(
    package_id: str,
    *,
    payload_id: str,
    store: StatedStore,
    path: str,
    leaf: int | None,
    source: str,
    before: str | None,
    after: str,
) -> Draft:
    """That a leaf or a file of a copy was replaced; `before` and `after` are its hashes."""
    said = {**store.members(), "payload_id": payload_id, "path": path, "leaf": leaf}
    return Draft("repair", _packages([package_id]), {**said, "from": source, "before": before, "after": after})


def drop(
    package_id: str,
    *,
    payload_id: str,
    store: StatedStore,
    reason: str,
    proofs: Sequence[Mapping[str, str]],
    by: str,
) -> Draft:
    """That a copy was given up while others were proven."""
    said = {**store.members(), "payload_id": payload_id, "reason": reason, "proofs": list(proofs), "by": by}
    return Draft("drop", _packages([package_id]), said)


def tombstone(
    package_id: str,
    *,
    payload_id: str,
    reason: str,
    stores: Sequence[str],
    by: str,
    retention: str | None = None,
    lost: bool = False,
) -> Draft:
    """That a package was deleted when its retention was over, or written off as lost."""
    said = {"reason": reason, "payload_id": payload_id, "retention": retention, "stores": list(stores), "by": by}
    return Draft("tombstone", _packages([package_id]), said | ({"lost": True} if lost else {}))


def handover(
    packages: Sequence[str],
    *,
    to: str,
    form: str,
    by: str,
    redacted: bool | Sequence[str] = False,
    payload_id: str = "",
    only: str = "",
    file: Mapping[str, Any] | None = None,
    transfer: str = "",
) -> Draft:
    """That packages were given out.

    `file` has the name, SHA-256 and bytes of what was written; `transfer` is the one by which a disk is answered.
    """
    said = {"to": to, "form": form, "redacted": redacted, "by": by, **(file or {})}
    about = (*_packages(packages), transfer_subject(transfer)) if transfer else _packages(packages)
    return Draft("handover", about, said | _given(payload_id=payload_id, only=only, transfer=transfer))


def takes_out(to: str, by: str) -> bool:
    """Whether a package is for the one who gives it out, as the node calls them: ``alice``, or with ``@hu-berlin``."""
    return to in (by, by.rpartition("@")[0])


# -- what users say of packages ----------------------------------------------------------------------------------------


def assessment(package_id: str, judged: Assessment) -> Draft:
    """That somebody judged a package, or a dataset of it, for a purpose."""
    return Draft("assessment", _packages([package_id]), judged.to_predicate())


def amendment(
    package_id: str, *, changes: Sequence[Mapping[str, Any]], tips: Sequence[str], by: str, reason: str = ""
) -> Draft:
    """That fields of a record have other values; `tips` are the user's amendments that nothing follows yet."""
    said = {"predecessor": tips[-1] if tips else None, "by": by, "changes": list(changes)}
    return Draft("amendment", _packages([package_id]), said | _given(joins=list(tips[:-1]), reason=reason))


def corrections(
    package_id: str,
    sheet: bytes,
    *,
    source: str,
    names: Mapping[str, str],
    before: bool,
    refused: Sequence[str] = (),
) -> Draft:
    """That a package came from a node with corrections and judgements that others had signed.

    `names` of their nodes, by id; `refused` says which judgements do not hold, and why.
    """
    said = {"sheet": sheet.decode("ascii"), "from": source, "names": dict(names), "before": before}
    return Draft("corrections", _packages([package_id]), said | _given(refused=list(refused)))


def derivation(
    result: str,
    sources: Sequence[Source],
    *,
    by: str,
    software: Iterable[tuple[str, str]] = (),
    parameters: Mapping[str, Any] | None = None,
    comment: str = "",
) -> Draft:
    """That a package was made from others, by programs of a name and a version."""
    said = {"result": result, "sources": [source.to_dict() for source in sources], "by": by}
    used = [{"name": name, "version": version} for name, version in software]
    said |= _given(software=used, parameters=dict(parameters or {}), comment=comment)
    return Draft("derivation", _packages(dict.fromkeys([result, *(source.package for source in sources)])), said)


def sample(ids: Sequence[str], event: str, said: Mapping[str, Any], *, by: str) -> Draft:
    """That something happened with a sample, or that two are one."""
    return Draft("sample", tuple(map(Subject.named, ids)), {"event": event, **said, "by": by})


# -- who may what ------------------------------------------------------------------------------------------------------


def grant(
    subjects: Sequence[Subject],
    *,
    to: str,
    recipient: str,
    rights: Sequence[str],
    scope: str,
    expires: datetime | None,
    by: str,
    not_before: datetime | None = None,
    label: str = "",
    purpose: str = "",
    require: Sequence[str] = (),
) -> Draft:
    """That somebody may see, read or judge packages, or what belongs to a project or sample."""
    said: dict[str, Any] = {"to": to, "recipient": recipient, "rights": list(rights), "scope": scope, "by": by}
    said["expires"] = time_text(expires) if expires else None
    begins = time_text(not_before) if not_before else ""
    said |= _given(label=label, purpose=purpose, require=list(require), not_before=begins)
    return Draft("grant", tuple(subjects), said)


def revocation(revokes: str, about: Sequence[Subject], *, by: str, reason: str = "") -> Draft:
    """That a grant, an offer or a rule holds no longer; `about` is what it was about."""
    said = {"revokes": revokes, "by": by, **_given(reason=reason)}
    return Draft("revocation", (Subject.statement(revokes), *about), said)


def rule(
    subjects: Sequence[Subject], *, source: str, max_bytes: int, expires: datetime | None, by: str, project: str = ""
) -> Draft:
    """That offers from a sender, each up to a size, are accepted by themselves."""
    ends = time_text(expires) if expires else None
    said = {"from": source, "max_bytes": max_bytes, "expires": ends, "by": by, **_given(project=project)}
    return Draft("rule", tuple(subjects), said)


def audit(subjects: Sequence[Subject], *, action: str, actor: str, outcome: str, reason: str = "") -> Draft:
    """That somebody asked for something, and what came of it: ``allowed``, ``refused`` or ``failed``."""
    said = {"action": action, "actor": actor, "outcome": outcome, **_given(reason=reason)}
    return Draft("audit", tuple(subjects), said)


# -- whose key is whose ------------------------------------------------------------------------------------------------


def card(
    public: PublicKey,
    *,
    name: str,
    role: str,
    version: int,
    expires: datetime | None,
    more: Mapping[str, Any] | None = None,
) -> Draft:
    """That a key belongs to a node or a user: one line of a card."""
    ends = time_text(expires) if expires else None
    said = {"name": name, "public": public.to_text(), "role": role, "version": version, "expires": ends}
    return Draft("key", (Subject.key(public.key_id),), {**said, **(more or {})})


def node_card(
    *,
    name: str,
    root: PublicKey,
    online: PublicKey,
    log: PublicKey,
    version: int = 1,
    expires: datetime | None = None,
) -> tuple[Draft, ...]:
    """The card of a node: three `key` statements, for root, online and log key, to be signed by the root key.

    The node's id is the root key's id. A later version replaces the card, as after a recovery; with no end it holds
    until then.
    """
    keys = ((ROOT, root), (ONLINE, online), (LOG, log))
    return tuple(card(public, name=name, role=role, version=version, expires=expires) for role, public in keys)


def user_card(
    *,
    name: str,
    key: PublicKey,
    custody: str = "node-held",
    version: int = 1,
    expires: datetime | None = None,
    age: str | None = None,
    successor: str | None = None,
    reason: str = "",
) -> Draft:
    """The card of a user: one `key` statement, to be signed by the node's online key.

    A key is ``node-held`` where the node can use it too, as for the account of a shared microscope, ``user-held`` where
    nobody else can. `age` is the recipient for what is sealed for the user. Where a successor is named the user
    retires, and the key signs nothing any more.
    """
    more = _given(custody=custody, age=age, successor=successor, reason=reason)
    return card(key, name=name, role=USER, version=version, expires=expires, more=more)


def recovery(*, node: str, epoch: int, previous: str | None, reason: str) -> Draft:
    """That the log begins anew with an epoch, to be signed by the root key: the first entry of it.

    `previous` is the last checkpoint of the epoch before, as it was found.
    """
    return Draft("recovery", (Subject.key(node),), {"epoch": epoch, "previous": previous, "reason": reason})


def head(subject: Subject, *, last: str, length: int, epoch: int, size: int) -> Draft:
    """Where an export ends, to be signed by the node; it is not itself in the log.

    `last` is the last of `length` statements on the subject, up to the checkpoint of `size` entries in `epoch`.
    """
    return Draft("head", (subject,), {"last": last, "length": length, "epoch": epoch, "size": size})


def peer(node: str, event: str, *, name: str, **known: Any) -> Draft:
    """That something happened with another node: ``pinned``, ``confirmed`` …, with what is known of its key.

    `known` are members of the schema, such as ``words``, ``version``, ``online``, ``since``, ``reason`` and ``by``.
    """
    said = {"event": event, "peer": node, "name": name, **{name: value for name, value in known.items() if value}}
    return Draft("peer", (Subject.key(node),), said)


# -- transfers ---------------------------------------------------------------------------------------------------------


def offer(transfer: Transfer, *, to: str, grant: str, by: str) -> Draft:
    """That a package is offered."""
    return _of_transfer(
        "offer",
        transfer,
        package=str(PackageId(transfer.package)),
        payload_id=transfer.payload_id,
        to=to,
        recipient=transfer.peer,
        grant=grant,
        bytes=transfer.bytes,
        files=transfer.files,
        routes=list(transfer.routes),
        expires=time_text(transfer.expires),
        comment=transfer.comment,
        by=by,
    )


def acceptance(
    transfer: Transfer, *, ceiling: int, route: str, rule: str, by: str, relay: str = "", seal: str = ""
) -> Draft:
    """That the offer is accepted; `relay` and `seal` where it may go by carriers: see `diadem.network.relay`."""
    return _of_transfer(
        "acceptance",
        transfer,
        offer=transfer.offer,
        package=str(PackageId(transfer.package)),
        sender=transfer.peer,
        ceiling=ceiling,
        route=route,
        relay=relay,
        seal=seal,
        rule=rule,
        by=by,
    )


def decline(transfer: Transfer, *, reason: str, by: str) -> Draft:
    """That the offer is declined, or that the acceptance holds no longer."""
    return _of_transfer("decline", transfer, offer=transfer.offer, reason=reason, by=by)


def offer_revocation(transfer: Transfer, *, reason: str, by: str) -> Draft:
    """That the offer holds no longer."""
    about = (Subject.package(transfer.package), transfer_subject(transfer.id))
    return revocation(transfer.offer, about, by=by, reason=reason)


def receipt(
    transfer: Transfer,
    counts: Counts,
    *,
    stores: Sequence[str],
    started: datetime,
    ended: datetime,
    software: str,
    relayed: Relayed = (),
) -> Draft:
    """That the package is here, every byte of it proven; `relayed`: what was taken at hubs."""
    return _of_transfer(
        "receipt",
        transfer,
        offer=transfer.offer,
        acceptance=transfer.acceptance,
        package=str(PackageId(transfer.package)),
        payload_id=transfer.payload_id,
        bytes=transfer.bytes,
        **counts.to_dict(),
        route=transfer.route,
        relayed=list(relayed) or None,
        stores=list(stores),
        sender=transfer.peer,
        started=time_text(started),
        ended=time_text(ended),
        by=transfer.recipient,
        software=software,
        custody=True,
    )


def closure(transfer: Transfer, *, receipt: str, recipient: str, checkpoint: str, relayed: Relayed = ()) -> Draft:
    """That the receipt was seen; `relayed`: what was put at hubs."""
    return _of_transfer(
        "closure",
        transfer,
        receipt=receipt,
        recipient=recipient,
        checkpoint=checkpoint,
        bytes=transfer.moved,
        relayed=list(relayed) or None,
    )


def _of_transfer(kind: str, transfer: Transfer, **members: Any) -> Draft:
    """A statement about the package and the transfer."""
    about = (Subject.package(transfer.package), transfer_subject(transfer.id))
    given = {name: value for name, value in members.items() if value not in ("", None)}
    return Draft(kind, about, {"transfer": transfer.id, **given})


def permit(relay: str, *, hub: str, sender: str, recipient: str, ceiling: int, expires: datetime) -> Draft:
    """That a hub may keep sealed windows for this node, the recipient's, until `expires`.

    `relay` has 32 random hex digits; `ceiling` counts the sealed bytes that may be put there, all taken together.
    """
    said = {"relay": relay, "hub": hub, "sender": sender, "recipient": recipient, "ceiling": ceiling}
    return Draft("permit", (relay_subject(relay),), {**said, "expires": time_text(expires)})


def relay(
    relay: str,
    *,
    permit: str,
    sender: str,
    recipient: str,
    event: str,
    objects: int,
    size: int,
    sha256: str,
    first: str,
    last: str,
) -> Draft:
    """What became of sealed windows that a hub kept, from when to when; `sha256` is their `relay_digest`."""
    said: dict[str, Any] = {"relay": relay, "permit": permit, "sender": sender, "recipient": recipient, "event": event}
    said |= {"objects": objects, "bytes": size, "sha256": sha256, "first": first, "last": last}
    return Draft("relay", (relay_subject(relay),), said)


def relay_digest(rows: Iterable[tuple[str, str, int]]) -> str:
    """SHA-256 of what a hub carried: name, SHA-256 and bytes of each sealed object."""
    lines = sorted(f"{name} {sha256} {size}\n" for name, sha256, size in rows)
    return hashlib.sha256("".join(lines).encode("ascii")).hexdigest()
