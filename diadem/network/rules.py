"""Rules: what a user accepts without being asked, stated and signed by the user, cited by each acceptance."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from diadem.custody import statements
from diadem.custody.log_entry import Entry
from diadem.errors import NotFound, Refused, UsageError
from diadem.model.display import DisplayList, FixedRows
from diadem.model.statements import Subject
from diadem.model.times import read_time
from diadem.model.transfers import Rule, Transfer
from diadem.node.context import Context


@dataclass(frozen=True, slots=True)
class RuleVerbs(DisplayList):
    """The rules of a node: `node.rules`.

    Parameters
    ----------
    context : Context
        The node.
    """

    _display_name = "rules"

    context: Context

    def __iter__(self) -> Iterator[Rule]:
        """List the rules in force, oldest first."""
        return iter(self.ls())

    def add(self, sender: str, *, max_bytes: int, project: str = "", expires: datetime | None = None) -> Rule:
        """Accept offers from a sender automatically, up to a size.

        Parameters
        ----------
        sender : str
            ``alice@hu-berlin`` with this node's name for the peer, ``*@hu-berlin``, or a node id.
        max_bytes : int
            Maximum size of one package.
        project : str
            Only packages that the sender assigns to this project.
        expires : datetime, optional
            When the rule ends; None: not before it is removed.
        """
        context = self.context
        if not sender or max_bytes <= 0:
            raise UsageError(
                "a rule names a sender and a size", next="As in: diadem rule add alice@hu-berlin --max 50GB"
            )
        subjects = (Subject.named(f"rule:{secrets.token_hex(16)}"), rules_of(context.settings.id))
        draft = statements.rule(
            subjects, source=sender, max_bytes=max_bytes, expires=expires, project=project, by=context.address
        )
        (entry,) = context.say([draft], as_user=True)
        return _rule(entry)

    def ls(self) -> Sequence[Rule]:
        """List the rules in force, oldest first."""
        return FixedRows(rules(self.context))

    def rm(self, rule: str) -> Rule:
        """Remove one of your rules; what it accepted stays accepted.

        Raises
        ------
        NotFound, Refused
            None begins like this, or it is another user's.
        """
        context = self.context
        found = [one for one in self.ls() if one.id.startswith(rule)]
        if len(found) != 1:
            raise NotFound(f"there is not exactly one rule {rule}", next="See: diadem rule ls")
        if found[0].by != context.address:
            raise Refused(f"this is a rule of {found[0].by}", next="Only its user can remove it.")
        draft = statements.revocation(found[0].id, [rules_of(context.settings.id)], by=context.address)
        context.say([draft], as_user=True)
        return found[0]


def rules_of(node: str) -> Subject:
    """All rules of a node as one subject, by which they are found in its log."""
    return Subject.named(f"rules:{node}")


def rules(context: Context) -> list[Rule]:
    """Rules that hold now, oldest first."""
    said = context.ledger.of_subject(rules_of(context.settings.id).sha256)
    revoked = {str(entry.statement.predicate["revokes"]) for entry in said if entry.statement.kind == "revocation"}
    found = [_rule(entry) for entry in said if entry.statement.kind == "rule" and entry.statement_id not in revoked]
    now = context.clock()
    return [rule for rule in found if rule.expires is None or now < rule.expires]


def rule_for(context: Context, transfer: Transfer, record: Mapping[str, Any]) -> Rule | None:
    """The first rule of its recipient by which an offer is accepted, or None."""
    project = str(record.get("project", ""))
    for rule in rules(context):
        if rule.by == transfer.recipient and rule.fits(
            sender=transfer.sender, node=transfer.peer, size=transfer.bytes, project=project, at=context.clock()
        ):
            return rule
    return None


def _rule(entry: Entry) -> Rule:
    said = entry.statement.predicate
    ends = said["expires"]
    return Rule(
        entry.statement_id,
        str(said["from"]),
        int(said["max_bytes"]),
        str(said.get("project", "")),
        None if ends is None else read_time(ends),
        str(said.get("by", "")),
    )
