"""Who asks, and what they may: the one way in to the engine of access for command line, server and transfers.

First whether somebody may (`require`, `visible`), then what the engine must know for it, from log and catalogue; then
from what people call somebody to whose key counts: the users of this node, and peers.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from diadem.catalogue.belonging import BELONGING
from diadem.catalogue.words import words
from diadem.custody.grant_book import KnownGrants, speaks
from diadem.custody.log_entry import Entry, place_of, position_of
from diadem.errors import DocumentError, NotFound, UsageError
from diadem.model.access import (
    EVERYBODY,
    PACKAGE,
    PEER,
    PROJECT,
    PROJECT_PREFIX,
    RETIRED,
    SAMPLE,
    USER,
    Asker,
    Decision,
    Grant,
    Reach,
    Right,
    Visible,
)
from diadem.model.amendments import Amendment
from diadem.model.manifest import PREFIX
from diadem.model.ownership import Ownership
from diadem.model.policy import Policy
from diadem.model.sample_statements import Stated, sample_of
from diadem.model.statement_kinds import OWNER_KINDS
from diadem.model.statements import Subject
from diadem.policy.access import GrantFacts, Name, PackageFacts, decide, holds

if TYPE_CHECKING:
    from diadem.node.context import Context

_WHOLE: Final = re.compile(r"(?:diadem:)?([0-9a-f]{64})\Z")
#: Seconds for which what was allowed stays so where nothing was said meanwhile, and how much is remembered.
_GOOD: Final = 1.0
_REMEMBERED: Final = 64


def require(context: Context, asker: Asker, right: Right, package: str) -> Decision:
    """What allows somebody to do something with a package, and what the way must fulfil on which its bytes go.

    An unknown package, a forbidden one and one whose grant was revoked get one answer, after the same number of
    questions to log and catalogue, before any store is touched: `NotFound`. `package` is a whole id: beginnings of ids
    are for the node's own people.
    """
    decision = decide(asker, right, facts_of(context, package, _to(asker)), context.clock())
    if not decision.allowed:
        raise not_found()
    return decision


@dataclass(frozen=True, slots=True)
class _Allowed:
    """What was allowed, when, and on what it depended besides the clock: entries in the log, and the policy."""

    decision: Decision
    at: float
    said: int
    policy: Policy


@dataclass
class _Memory:
    """What was allowed lately; one for all threads of a process."""

    allowed: dict[tuple[Asker, Right, str], _Allowed] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def keep(self, asked: tuple[Asker, Right, str], found: _Allowed) -> None:
        """Remember it; the oldest makes room where it is new."""
        with self._lock:
            self.allowed.pop(asked, None)
            while len(self.allowed) >= _REMEMBERED:
                del self.allowed[next(iter(self.allowed))]
            self.allowed[asked] = found

    def close(self) -> None:
        """Forget it."""
        with self._lock:
            self.allowed.clear()


def require_still(context: Context, asker: Asker, right: Right, package: str) -> Decision:
    """The same for who asks again and again while the bytes of a package go: what was allowed counts for a second.

    Anything that is said in the log, by whatever process, ends that at once, a revocation as any other statement; so do
    another policy and the end of the grant. What was refused is never remembered. All else that a decision depends on
    follows the log: where the catalogue has not followed it yet, nothing is remembered either.
    """
    memory = context.once("allowed", _Memory)
    asked, said, policy, now = (asker, right, package), context.ledger.size, context.policy, time.monotonic()
    known = memory.allowed.get(asked)
    if known is not None and known.said == said and known.policy is policy and now - known.at < _GOOD:
        grant = known.decision.grant
        if grant is None or grant.expires is None or context.clock() < grant.expires:
            return known.decision
    followed = bool(context.catalogue.known_indices(context.ledger.epoch, said - 1, said))
    decision = require(context, asker, right, package)
    if followed:
        memory.keep(asked, _Allowed(decision, now, said, policy))
    return decision


def not_found() -> NotFound:
    """The one answer to what is not there and to what nobody may know of."""
    return NotFound("there is no such package here", next="Ask its owner for it, by another channel.")


def _to(asker: Asker) -> Callable[[Grant], bool]:
    """Grants that are meant for somebody: the others need not be looked at, and cost no question."""
    return lambda grant: grant.recipient == asker.node and grant.user in (EVERYBODY, asker.user)


def everyone(_: Grant) -> bool:
    """Grants to anybody: to explain a refusal."""
    return True


def facts_of(context: Context, package: str, meant: Callable[[Grant], bool] = everyone) -> PackageFacts:
    """All that access to a package depends on: of anything but an id of 64 hex digits nothing is known.

    `meant` says which grants are looked at.
    """
    match = _WHOLE.match(package)
    digits = match[1] if match else hashlib.sha256(package.encode("utf-8", "surrogatepass")).hexdigest()
    known = context.grants.now()
    first, owned_by = _owner(known, context.ledger.of_subject(digits, OWNER_KINDS))
    ownership = Ownership.of(first, known.successions)
    stood = context.catalogue.access_facts(digits)
    amendments = list(_amendments(known, stood.amendments))
    belongs = {scope: stood.belongs(scope, amendments, ownership) for scope in BELONGING}
    name = PREFIX + digits
    concerned = (
        grant for grant in known.grants.values() if meant(grant) and (grant.scope != PACKAGE or name in grant.subjects)
    )
    return PackageFacts(
        package=name,
        node=context.settings.id,
        known=stood.known and match is not None,
        deleted=stood.deleted,
        ownership=ownership,
        owned_by=owned_by,
        whole={scope: whole for scope, (whole, _) in belongs.items()},
        partly={scope: partly for scope, (_, partly) in belongs.items()},
        default=context.policy.access.default,
        grants=tuple(_facts(context, known, grant) for grant in concerned),
    )


def _owner(known: KnownGrants, entries: Sequence[Entry]) -> tuple[str, str]:
    """Who owned a package first, and the statement that says so."""
    sound = [entry for entry in entries if known.ring.judge(entry).problem is None]
    for entry in sound:
        if entry.statement.kind == "ingest":
            return str(entry.statement.predicate["owner"]), entry.statement_id
    cited = {entry.statement.predicate["acceptance"] for entry in sound if entry.statement.kind == "receipt"}
    for entry in sound:
        if entry.statement.kind == "acceptance" and entry.statement_id in cited:
            return str(entry.statement.predicate["by"]), entry.statement_id
    return "", ""


def _amendments(known: KnownGrants, lines: Iterable[tuple[int, bytes]]) -> Iterable[Amendment]:
    for place, line in lines:
        if (entry := _read(known, place, line)) is not None:
            yield Amendment.of(entry.statement_id, entry.place, entry.statement.predicate)


def _read(known: KnownGrants, place: int, line: bytes) -> Entry | None:
    """A user's statement from the catalogue, where it is by whom it says."""
    try:
        entry = Entry.from_line(*position_of(place), line)
    except DocumentError:
        return None
    return entry if speaks(known.ring, entry) else None


def _facts(context: Context, known: KnownGrants, grant: Grant) -> GrantFacts:
    return GrantFacts(grant, known.revocation_of(grant), names_of(context, known, grant))


def names_of(context: Context, known: KnownGrants, grant: Grant) -> frozenset[Name]:
    """What the one who gave a grant calls the project or the sample of it; nothing of a grant of packages.

    Names that others use for the sample do not count: with them they could bring packages into the grant.
    """
    if grant.scope == PROJECT:
        return _names([grant.label, *(one.removeprefix(PROJECT_PREFIX) for one in grant.subjects)])
    if grant.scope != SAMPLE:
        return frozenset()
    heirs = Ownership.of(grant.by, known.successions)
    said: list[Stated] = []
    sample = grant.subjects[0]
    for epoch, index, line in context.catalogue.sample_statements(Subject.named(sample).sha256):
        entry = _read(known, place_of(epoch, index), line)
        if entry is not None and heirs.speaks(str(entry.statement.predicate["by"]), entry.place):
            said.append(Stated(entry.place, entry.statement_id, entry.statement))
    found = sample_of(sample, said)
    return _names([grant.label, *(found.all_names() if found else ())])


def _names(texts: Iterable[str]) -> frozenset[Name]:
    return frozenset(name for text in texts if (name := tuple(words(text))))


def visible(context: Context, asker: Asker) -> Visible:
    """All packages that somebody may find, as a search can be restricted to them (`Catalogue.search`).

    Grants are few; what they open may be many packages, so that the answer names owners, projects and samples.
    """
    known, now = context.grants.now(), context.clock()
    at_home = asker.kind == USER and asker.node == context.settings.id
    if at_home and not asker.guest and context.policy.access.default == "node":
        return Visible(everything=True)
    reaches: list[Reach] = []
    if at_home:
        reaches.append(Reach(_owned_by(known, asker.address, None)))
    for grant in filter(_to(asker), known.grants.values()):
        given = _facts(context, known, grant)
        if holds(given, asker, Right.LIST, context.settings.id, now):
            reaches += _reaches(context, reach_of(known, given))
    return Visible(reaches=tuple(one for one in reaches if one.owners))


def reach_of(known: KnownGrants, given: GrantFacts) -> Reach:
    """The packages that a grant opens, whether or not it is in force."""
    grant = given.grant
    owners = _owned_by(known, grant.by, grant.place)
    if grant.scope == PACKAGE:
        return Reach(owners, frozenset(one.removeprefix(PREFIX) for one in grant.subjects))
    return Reach(owners, None, grant.scope, given.names)


def _owned_by(known: KnownGrants, name: str, place: int | None) -> frozenset[str]:
    """First owners of packages that were somebody's at a place of the log, or are now."""
    chains = {first: Ownership.of(first, known.successions) for first in {*known.successions, name}}
    return frozenset(
        first for first, chain in chains.items() if (chain.now == name if place is None else chain.speaks(name, place))
    )


def _reaches(context: Context, reach: Reach) -> list[Reach]:
    """What a grant opens; where records were amended, package by package, for then only its owner's word counts."""
    if not reach.scope:
        return [reach]
    named: dict[str, list[str]] = {}
    for digits, owner in context.catalogue.amended_within(reach):
        if reach.names.intersection(facts_of(context, digits, lambda _: False).whole[reach.scope]):
            named.setdefault(owner, []).append(digits)
    return [reach, *(Reach(frozenset({owner}), frozenset(ids)) for owner, ids in named.items())]


# -- who is meant ----------------------------------------------------------------------------------------------------

_DIGEST: Final = re.compile(r"[0-9a-f]{64}\Z")


def node_of(context: Context, address: str) -> str | None:
    """Id of the node in ``marie@nmi``, by what it is called here; None where no such node is known.

    The own name goes before those of peers, which `Context.peer_id` knows.
    """
    name = address.rpartition("@")[2]
    return context.settings.id if name == context.settings.name else context.peer_id(name)


def whole_address(context: Context, who: str) -> str:
    """``alice@hu-berlin`` for ``alice``: without a node, this one is meant; raises `UsageError`."""
    address = who.strip() if "@" in who else f"{who.strip()}@{context.settings.name}"
    user, _, node = address.partition("@")
    if not user or not node or "@" in node or len(address.split()) != 1:
        raise UsageError(f"'{who}' is not an address", next="Write user@node: marie@nmi; or *@nmi for everybody there.")
    return address


def recipient_of(context: Context, address: str, given: str = "") -> str:
    """Id of the node whose user may be granted something; `given` is the id of it, where a person names it.

    Raises
    ------
    NotFound
        No node is called so, or this node has no such user.
    UsageError
        The node that is called so is another one than is given.
    """
    if given and not _DIGEST.match(given):
        raise UsageError(f"'{given}' is not the id of a node", next="It has 64 hex digits; its people know it.")
    node, name = node_of(context, address), address.rpartition("@")[2]
    if node is None and not given:
        raise NotFound(f"no node is called '{name}' here", next="Name it by its id: --recipient NODEID")
    if given and node not in (None, given):
        raise UsageError(f"'{name}' is the node {str(node)[:12]}… here, and not {given[:12]}…")
    if node == context.settings.id and address.partition("@")[0] != EVERYBODY:
        _require_at_work(context, address)
    return given or str(node)


def _require_at_work(context: Context, address: str) -> None:
    try:
        found = context.settings.user(address)
    except NotFound:  # who has just logged in, at the server's process
        context.reread_settings()
        found = context.settings.user(address)
    if (end := context.grants.now().successions.get(address)) is not None:
        raise NotFound(f"{found.name} has retired", next=f"{end.successor} follows.")


def asker_of(context: Context, who: str) -> Asker:
    """Somebody as one who asks, by what people call them: to explain what they may; raises `NotFound`."""
    address = whole_address(context, who)
    node = node_of(context, address)
    if node is None:
        name = address.rpartition("@")[2]
        raise NotFound(f"no node is called '{name}' here", next="See what was granted: diadem grant ls")
    if node != context.settings.id:
        return Asker(node, address, kind=PEER)
    if address.partition("@")[0] != EVERYBODY:
        context.settings.user(address)
    kind = RETIRED if address in context.grants.now().successions else USER
    return Asker(node, address, kind=kind, guest=_is_guest(context, address))


def user_of_key(context: Context, key_id: str) -> Asker | None:
    """The user of this node whose key signs what is asked; None for every other key, and one in force no more."""
    now = context.clock()
    for card in context.grants.now().ring.users():
        ended = bool(card.successor) or (card.expires is not None and card.expires <= now)
        if card.public.key_id == key_id and not ended:
            return Asker(context.settings.id, card.name, key_id, USER, _is_guest(context, card.name))
    return None


def _is_guest(context: Context, address: str) -> bool:
    """Whether a user is from outside the group; also of one whom the settings do not name."""
    name = context.settings.name
    return next((one.guest for one in context.settings.users if f"{one.name}@{name}" == address), True)
