"""Granting and revoking in the name of who is at work, and telling what was granted."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from diadem.catalogue.words import words
from diadem.custody import statements
from diadem.errors import NotFound, Refused, UsageError
from diadem.model.access import (
    DIRECT_ONLY,
    PACKAGE,
    PROJECT,
    PROJECT_PREFIX,
    SAMPLE,
    Decision,
    Grant,
    Revocation,
    Right,
    Visible,
)
from diadem.model.display import Display
from diadem.model.manifest import PREFIX
from diadem.model.ownership import Ownership
from diadem.model.samples import PREFIX as SAMPLE_PREFIX
from diadem.model.statements import MAX_SUBJECTS, Draft, Subject
from diadem.model.times import read_time, time_text
from diadem.node.access.askers import asker_of, facts_of, names_of, reach_of, recipient_of, whole_address
from diadem.node.context import Context
from diadem.node.samples.naming import the_sample
from diadem.policy.access import GrantFacts, decide, opens

#: What a grant is worth now.
IN_FORCE, NOT_YET, ENDED, REVOKED = "in force", "not yet", "ended", "revoked"
_ID: Final = re.compile(r"(?:statement:)?([0-9a-f]{8,64})(?:…|\.\.\.)?\Z")
#: Packages of one grant: its revocation is about each of them, and about the grant.
_MOST: Final = MAX_SUBJECTS - 1

Moment = datetime.date | datetime.datetime | str | None


@dataclass(frozen=True, slots=True)
class Granted(Display):
    """A grant that was stated, or would be.

    Attributes
    ----------
    grant : Grant
        Its id is "" where nothing was stated.
    ids : frozenset of str
        Digits of the packages that it opens now.
    """

    grant: Grant
    ids: frozenset[str] = field(repr=False)

    @property
    def packages(self) -> int:
        """How many packages it opens now."""
        return len(self.ids)

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {"grant": self.grant.to_dict(), "packages": self.packages}


@dataclass(frozen=True, slots=True)
class GrantState(Display):
    """A grant, and whether it is in force.

    Attributes
    ----------
    grant : Grant
        What was allowed.
    state : str
        ``in force``, ``not yet``, ``ended`` or ``revoked``.
    revocation : Revocation or None
        What took it back.
    """

    grant: Grant
    state: str
    revocation: Revocation | None = None

    def to_dict(self) -> dict[str, Any]:
        """A JSON object: the grant's members, state and revocation."""
        taken = self.revocation.to_dict() if self.revocation else None
        return {**self.grant.to_dict(), "state": self.state, "revocation": taken}


# -- granting -------------------------------------------------------------------------------------------------------


def grant(
    context: Context,
    what: Sequence[str],
    to: str,
    rights: Sequence[str],
    *,
    expires: Moment = None,
    not_before: Moment = None,
    purpose: str = "",
    require: Sequence[str] = (),
    recipient: str = "",
    dry_run: bool = False,
) -> Granted:
    """State a grant in the name of who is at work."""
    context.require_writable()
    context.grants.now()
    draft = grant_draft(
        context,
        what,
        to,
        rights,
        expires=expires,
        not_before=not_before,
        purpose=purpose,
        require=require,
        recipient=recipient,
    )
    names = [one.name for one in draft.subjects]
    meant = Grant.of("", context.grants.end, names, draft.predicate) if dry_run else state_grant(context, draft)
    known = context.grants.now()
    reach = reach_of(known, GrantFacts(meant, None, names_of(context, known, meant)))
    return Granted(meant, context.catalogue.ids_reached(Visible(reaches=(reach,))))


def state_grant(context: Context, draft: Draft) -> Grant:
    """The grant of a draft, signed by who is at work and in the log."""
    entry = context.say([draft], as_user=True)[0]
    names = [one.name for one in draft.subjects]
    return Grant.of(entry.statement_id, entry.place, names, entry.statement.predicate)


def grant_draft(
    context: Context,
    what: Sequence[str],
    to: str,
    rights: Sequence[str],
    *,
    expires: Moment = None,
    not_before: Moment = None,
    purpose: str = "",
    require: Sequence[str] = (),
    recipient: str = "",
) -> Draft:
    """The grant as it will be stated, everything in it checked; raises what granting raises."""
    address = whole_address(context, to)
    if address == context.address:
        raise UsageError(f"{address} is you", next="Name somebody else: --to marie@nmi")
    scope, subjects, label = _subjects(context, what)
    ends, begins = _moment(expires), _moment(not_before)
    if ends is not None and (ends <= context.clock() or (begins is not None and ends <= begins)):
        raise UsageError(f"a grant that ends on {time_text(ends)} would never be in force", next="Name a later day.")
    if unknown := [one for one in require if one != DIRECT_ONLY]:
        raise UsageError(f"a grant cannot require '{unknown[0]}'", next=f"Known: {DIRECT_ONLY}.")
    recipient = recipient_of(context, address, recipient.strip().lower())
    said = list(dict.fromkeys(right_of(one).value for one in rights))
    if not said:
        raise UsageError("no right is named", next=f"One or more of {', '.join(Right)}.")
    return statements.grant(
        subjects,
        to=address,
        recipient=recipient,
        rights=said,
        scope=scope,
        expires=ends,
        not_before=begins,
        label=label,
        purpose=purpose.strip(),
        require=list(dict.fromkeys(require)),
        by=context.address,
    )


def right_of(text: str) -> Right:
    """A right by its name. Raises `UsageError`."""
    try:
        return Right(text.strip().lower())
    except ValueError:
        raise UsageError(f"'{text}' is not a right", next=f"One of {', '.join(Right)}.") from None


def _moment(given: Moment) -> datetime.datetime | None:
    """A moment in UTC; of a day, its beginning."""
    if given is None or given == "":
        return None
    if isinstance(given, str):
        text = given.strip()
        try:
            given = datetime.date.fromisoformat(text) if len(text) <= 10 else read_time(text)
        except ValueError:
            raise UsageError(f"'{text}' is not a date", next="Write 2027-01-01, or 2027-01-01T12:00:00Z.") from None
    if isinstance(given, datetime.datetime):
        return given.astimezone(datetime.UTC)
    return datetime.datetime(given.year, given.month, given.day, tzinfo=datetime.UTC)


def _subjects(context: Context, what: Sequence[str]) -> tuple[str, tuple[Subject, ...], str]:
    """Scope, subjects and label of what is granted."""
    if not what:
        raise UsageError("nothing was named to grant", next="Example: diadem grant ID --to marie@nmi")
    groups = [one for one in what if one.startswith((PROJECT_PREFIX, SAMPLE_PREFIX))]
    if groups and len(what) > 1:
        raise UsageError("one project or sample is granted at a time", next="Make a grant for each.")
    if groups:
        return _group(context, groups[0])
    packages = list(dict.fromkeys(require_own(context, one) for one in what))
    if len(packages) > _MOST:
        raise UsageError(f"one grant covers {_MOST:,} packages at most", next="Grant their project instead.")
    return PACKAGE, tuple(map(Subject.package, packages)), ""


def _group(context: Context, text: str) -> tuple[str, tuple[Subject, ...], str]:
    if text.startswith(SAMPLE_PREFIX):
        name = text.removeprefix(SAMPLE_PREFIX)
        found = the_sample(context.catalogue, name)
        label = found.identifier if name == found.id.removeprefix(SAMPLE_PREFIX) else name
        return SAMPLE, (Subject.named(found.id),), label
    name = text.removeprefix(PROJECT_PREFIX).strip()
    if not words(name):
        raise UsageError(f"'{text}' names no project", next="Write project:NAME, as the records name it.")
    return PROJECT, (Subject.named(PROJECT_PREFIX + name),), name


def require_own(context: Context, text: str) -> str:
    """The whole id of a package of who is at work; raises `NotFound`, also of a deleted one, and `Refused`."""
    row = context.catalogue.get(text)
    facts = facts_of(context, row.id, lambda _: False)
    if row.tombstone is not None:
        raise NotFound("the package was deleted", where=row.id)
    if facts.ownership.now != context.address:
        owner = facts.ownership.now or "nobody"
        raise Refused(
            f"the package belongs to {owner}, and {context.address} cannot grant it",
            where=row.id,
            next=f"Ask {owner}; or work as that user: --user." if facts.ownership.now else "Nobody can grant it.",
        )
    return row.id


# -- revoking and telling -------------------------------------------------------------------------------------------


def revoke(context: Context, text: str, *, reason: str = "") -> Revocation:
    """Take a grant back in the name of who is at work; one that was revoked already stays as it is."""
    context.require_writable()
    known = context.grants.now()
    found = _the_grant(known.grants, text)
    if Ownership.of(found.by, known.successions).now != context.address:
        raise Refused(f"the grant is by {found.by}, and only they or their successor can revoke it", where=found.id)
    if (before := known.revocation_of(found)) is not None:
        return before
    about = tuple(Subject.package(one) if one.startswith(PREFIX) else Subject.named(one) for one in found.subjects)
    draft = statements.revocation(found.id, about, by=context.address, reason=reason.strip())
    entry = context.say([draft], as_user=True)[0]
    return Revocation.of(entry.statement_id, entry.place, entry.statement.predicate)


def _the_grant(known: Mapping[str, Grant], text: str) -> Grant:
    match = _ID.match(text.strip().lower())
    if match is None:
        raise UsageError(f"'{text}' is not the id of a grant", next="Write 8 or more digits of it: diadem grant ls")
    found = [one for one in known.values() if one.id.startswith(match[1])]
    if not found:
        raise NotFound(f"there is no grant {text}", next="See: diadem grant ls")
    if len(found) > 1:
        raise UsageError(f"{text} begins the ids of {len(found)} grants", next="Write more digits.")
    return found[0]


def grants(context: Context, what: str | None = None, to: str | None = None) -> list[GrantState]:
    """Every grant, or those of something or to somebody, in the order of the log."""
    known, now = context.grants.now(), context.clock()
    address = whole_address(context, to) if to else None
    found = []
    for one in known.grants.values() if what is None else _grants_of(context, known.grants, what):
        revocation, state = known.revocation_of(one), IN_FORCE
        if revocation is not None:
            state = REVOKED
        elif one.expires is not None and one.expires <= now:
            state = ENDED
        elif one.not_before is not None and one.not_before > now:
            state = NOT_YET
        if address in (None, one.to):
            found.append(GrantState(one, state, revocation))
    return found


def _grants_of(context: Context, known: Mapping[str, Grant], what: str) -> list[Grant]:
    """Grants that name a project or a sample; of a package all that open it, in force or not."""
    if what.startswith(PROJECT_PREFIX):
        name = words(what.removeprefix(PROJECT_PREFIX))
        return [one for one in known.values() if one.scope == PROJECT and words(one.label) == name]
    if what.startswith(SAMPLE_PREFIX):
        sample = the_sample(context.catalogue, what.removeprefix(SAMPLE_PREFIX)).id
        return [one for one in known.values() if sample in one.subjects]
    facts = facts_of(context, context.catalogue.get(what).id)
    return [one.grant for one in facts.grants if opens(one, facts)]


def why(context: Context, who: str, package: str, right: str = "read") -> Decision:
    """Whether somebody may do something with a package, explained."""
    asker, meant = asker_of(context, who), right_of(right)
    found = context.catalogue.get(package).id
    return decide(asker, meant, facts_of(context, found), context.clock())
