"""Commands on who gave what to whom, and who may what: custody, grant (add, ls, why), revoke."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from diadem.cli.options import Argument, Node, NodeAt, Option, Reason
from diadem.cli.output import warning_lines
from diadem.cli.verb import Answer, Commands, opened
from diadem.errors import DiademError, UsageError
from diadem.model.plain_text import count_text

if TYPE_CHECKING:
    from diadem.custody.report import CustodyReport
    from diadem.model.transfers import Transfer

root = Commands()
granting = root.add(Commands("grant", "Allow others to use your packages; list and explain grants.", default="add"))
_WIDTH = 100
_NODE_ID = re.compile(r"[0-9a-f]{64}\Z")
_MARKS = {"proved": "proved", "claimed by one side": "claimed", "missing": "MISSING", "contradicted": "CONTRADICTED"}
#: Said where a grant is made.
_OPERATOR = (
    "Grants control access through the server and transfers. Anyone who can read the node's folder or a store through"
    " the operating system needs no grant."
)

#: Names of chains that are of hubs, and not of the package.
_ROUTE = re.compile(r"-(hub|permit)-\d+(\.[^.]*)?\Z")

# -- custody ---------------------------------------------------------------------------------------------------------


@root.verb()
def custody(
    what: Annotated[list[str], Argument("Of a package; or: verify FILE… for chains from anyone.", metavar="ID")],
    export: Annotated[Path | None, Option("Write the chain for others to check: chain.json")] = None,
    pin: Annotated[list[str] | None, Option("With verify: id of a node that you trust.")] = None,
    checkpoint: Annotated[list[Path] | None, Option("With verify: a checkpoint that you kept from earlier.")] = None,
    since: Annotated[list[Path] | None, Option("With --export: a checkpoint of the receiver.", metavar="FILE")] = None,
    node: NodeAt = None,
) -> Answer:
    """Show who gave what to whom, and what is proven. `custody verify FILE…` needs no node and no network."""
    if what[0] == "verify":
        if len(what) < 2:
            raise UsageError("no file was named", next="Example: diadem custody verify chain.json")
        from diadem.api.nodes import verify_custody

        for id_ in pin or ():
            if not _NODE_ID.match(id_):
                raise UsageError(f"'{id_}' is not the id of a node", next="It has 64 hex digits: diadem custody ID")
        report = verify_custody(*what[1:], pins=pin or None, checkpoints=checkpoint or ())
        strange = any(node.pinned is False for node in report.nodes)
        document = report.to_dict()
        return Answer(document, _custody_lines(report, document), strange or not document["ok"])
    if len(what) > 1:
        raise UsageError("name one package", next="Example: diadem custody 406f3245b359 --export chain.json")
    with opened(node) as at:
        if export is not None:
            path = at.export_custody(what[0], export, since=[path.read_text("utf-8") for path in since or ()])
            relays = [str(one) for one in at.export_relays(what[0], export)]
            written = {"written": str(path), "relays": relays, "node": at.id}
            lines = [f"written          {path}"]
            for one in relays:
                whose = "of its route through a hub" if _ROUTE.search(one) else "of another node that had it"
                lines.append(f"written          {one}   ({whose})")
            files = " ".join([str(path), *relays])
            lines.append(f"next             diadem custody verify {files}   (anywhere, offline)")
            advice = "(give it to the reader by another channel, such as the phone)"
            return Answer(written, [*lines, f"this node's id   {at.id}   {advice}"])
        report, own = at.custody(what[0]), at.id
    document = report.to_dict()
    return Answer(document, _custody_lines(report, document, own), not document["ok"])


def _custody_lines(report: CustodyReport, document: Mapping[str, Any], own: str = "") -> Iterator[str]:
    yield from (f"custody of       {subject}" for subject in document["subjects"])
    for node in document["nodes"]:
        trust = {
            True: "a confirmed peer" if own else "trusted",
            False: "NOT among the nodes that you trust",
            None: "check this id with the people there",
        }
        said = "this one" if node["id"] == own else trust[node["pinned"]]
        yield f"node             {node['name'] or '(no name)'}  {node['id']}  ({said})"
    for one in report.story:
        step = one.to_dict()
        said = step["sentence"] + (f" [{', '.join(step['signers'])}]" if step["signers"] else "")
        for number, line in enumerate(_folded(said, _WIDTH - 17) or [""]):
            yield f"{_MARKS[step['verdict']] if number == 0 else '':16} {line}"
        if step["reason"] and step["verdict"] != "proved":
            where = f" ({step['file']})" if step["file"] else ""
            yield from (f"{'':16}   {line}" for line in _folded(step["reason"] + where, _WIDTH - 19))
    yield from warning_lines(document["warnings"])
    yield "in all           " + ", ".join(
        f"{count} {verdict}" for verdict, count in document["counts"].items() if count
    )


def _folded(text: str, width: int) -> Sequence[str]:
    """Lines in which names and paths stay whole."""
    return textwrap.wrap(text, width, break_on_hyphens=False, break_long_words=False)


# -- grant, revoke ---------------------------------------------------------------------------------------------------


@granting.verb(user=True)
def add(
    node: Node,
    what: Annotated[list[str], Argument("Packages; or one project:NAME or sample:NAME.", metavar="ID")],
    to: Annotated[str, Option("bob, marie@nmi, or '*@nmi' for everybody there.")],
    right: Annotated[list[str] | None, Option("list, read or assess. Default: read.")] = None,
    expires: Annotated[str, Option("When it ends: 2027-01-01. Default: when revoked.")] = "",
    not_before: Annotated[str, Option("When it begins. Default: now.")] = "",
    purpose: Annotated[str, Option("What for.")] = "",
    require: Annotated[list[str] | None, Option("direct-only: through no hub.")] = None,
    recipient: Annotated[str, Option("Id of the person's node, if it has no name here.")] = "",
    dry_run: Annotated[bool, Option("Show what it would open; grant nothing.")] = False,
) -> Answer:
    """Allow somebody to find, read or assess your packages. The word `add` may be left out."""
    made = node.grant(
        what,
        to,
        right or ("read",),
        expires=expires,
        not_before=not_before,
        purpose=purpose,
        require=require or (),
        recipient=recipient,
        dry_run=dry_run,
    )
    document = made.to_dict() | {"dry_run": dry_run}
    grant, word = document["grant"], "would grant" if dry_run else "granted"
    lines = [
        f"{word:16} {_what(grant)} to {grant['to']}: {', '.join(grant['rights'])}",
        f"until            {grant['expires'] or 'it is revoked'}",
        f"opens now        {count_text(document['packages'], 'package')}",
    ]
    if not dry_run:
        lines.append(f"grant            {grant['id']}")
        then = "(at any time; what was delivered stays delivered)"
        lines.append(f"next             diadem revoke {grant['id'][:12]}   {then}")
    lines += warning_lines([] if document["packages"] else ["None of your packages belongs to it now."])
    return Answer(document, [*lines, f"note             {_OPERATOR}"])


def _what(grant: Mapping[str, Any]) -> str:
    if grant["scope"] == "package":
        many = len(grant["subjects"])
        return f"{grant['subjects'][0][:19]}…" if many == 1 else count_text(many, "package")
    return f"the {grant['scope']} {grant['label'] or grant['subjects'][0]}"


@granting.verb()
def ls(
    node: Node,
    what: Annotated[
        str | None, Argument("A package, project:NAME or sample:NAME. Default: every grant.", metavar="ID")
    ] = None,
    to: Annotated[str | None, Option("Only grants to this person: marie@nmi.")] = None,
) -> Answer:
    """List grants, and whether each is in force."""
    listed = [one.to_dict() for one in node.grants(what, to)]

    def lines() -> Iterator[str]:
        for one in listed:
            until = f" until {one['expires']}" if one["expires"] and one["state"] != "revoked" else ""
            rights = ", ".join(one["rights"])
            yield f"{one['id'][:12]}  {one['state']:9}  {one['by']} to {one['to']}: {rights} of {_what(one)}{until}"
        if not listed:
            yield "nothing was granted"

    return Answer({"grants": listed}, lines())


@granting.verb()
def why(
    node: Node,
    who: Annotated[str, Argument("bob, or marie@nmi.", metavar="PERSON")],
    package: Annotated[str, Argument("ID of a package.")],
    right: Annotated[str, Option("list, read or assess.")] = "read",
) -> Answer:
    """Say whether somebody may use a package, and why. Exit code 1 means no."""
    decision = node.why(who, package, right).to_dict()
    lines = [
        f"{'allowed' if decision['allowed'] else 'NOT allowed':16} {right}",
        *(f"{'because':16} {reason}" for reason in decision["reasons"]),
        *(f"{'only':16} {demand}" for demand in decision["requirements"]),
        f"note             {_OPERATOR}",
    ]
    return Answer({"who": who, "package": package, "right": right, **decision}, lines, not decision["allowed"])


def _stopped(node: Node) -> list[Transfer]:
    """The transfers that nobody can fetch any more; none where their book cannot be read: that keeps no grant alive."""
    try:
        return node.transfers.stopped()
    except DiademError:
        return []


@root.verb(user=True)
def revoke(
    node: Node,
    grant: Annotated[str, Argument("Id of the grant, or the beginning of it: diadem grant ls")],
    reason: Reason = "",
) -> Answer:
    """Revoke a grant. What was delivered before stays delivered."""
    before = {one.id for one in _stopped(node)}
    document = node.revoke(grant, reason=reason).to_dict()
    stopped = [one for one in _stopped(node) if one.id not in before]
    revoked = f"revoked          {document['revokes'][:12]}, at {document['time']}"
    lines = [revoked, "note             what was delivered before stays delivered"]
    for one in stopped:
        lines += [
            f"stops            the transfer {one.id[:8]} to {one.recipient}: {one.title[:40]}",
            f"next             {one.next}",
        ]
    return Answer({"revocation": document, "stopped": [one.id for one in stopped]}, lines)
