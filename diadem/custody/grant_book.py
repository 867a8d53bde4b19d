"""What the log says of who may what: every grant and revocation, each by whom it says, kept while a program runs."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from diadem.custody.keyring import KeyRing
from diadem.custody.log import Ledger
from diadem.custody.log_entry import Entry
from diadem.custody.statements import USER
from diadem.errors import DocumentError
from diadem.model.access import Grant, Revocation
from diadem.model.ownership import Ownership, Succession
from diadem.model.statement_kinds import KEY_KINDS
from diadem.serialization.validation import validate_statement


@dataclass(frozen=True, slots=True)
class KnownGrants:
    """What the log says up to a place: who retired, by address; grants by their ids, in the order of the log; and
    revocations by the id of the grant that is meant, whoever says so.
    """

    ring: KeyRing
    successions: Mapping[str, Succession] = field(default_factory=dict)
    grants: Mapping[str, Grant] = field(default_factory=dict)
    revocations: Mapping[str, tuple[Revocation, ...]] = field(default_factory=dict)

    def revocation_of(self, grant: Grant) -> Revocation | None:
        """The first that counts: by who gave the grant, or by who has followed them."""
        heirs = Ownership.of(grant.by, self.successions)
        said = self.revocations.get(grant.id, ())
        return next((one for one in said if one.place > grant.place and heirs.speaks(one.by, one.place)), None)


class GrantBook:
    """Grants as the log has them now; what came since the last look is read each time.

    Safe for many threads. Other processes may write to the log.
    """

    def __init__(self, log: Ledger) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._next = 0
        self._keys: list[Entry] = []
        self._known = KnownGrants(KeyRing(log.node))

    @property
    def end(self) -> int:
        """The place in the log after the last entry that is known here: what is not stated yet would stand later."""
        return self._next

    def now(self) -> KnownGrants:
        """All that holds now; one question to the log."""
        with self._lock:
            if new := self._log.of_access(self._next):
                self._known = self._grown(new)
                self._next = new[-1].place + 1
            return self._known

    def _grown(self, new: Sequence[Entry]) -> KnownGrants:
        keys = [entry for entry in new if entry.statement.kind in KEY_KINDS]
        ring, successions = self._known.ring, dict(self._known.successions)
        if keys:  # what was judged before stays as it is: a later card says nothing of what stands before it
            self._keys += keys
            ring = KeyRing(self._log.node)
            refused = ring.learn(self._keys)
            for entry in keys:
                said = entry.statement.predicate
                if entry.statement_id not in refused and said.get("role") == USER and said.get("successor"):
                    successor = Succession(str(said["successor"]), entry.place, entry.statement_id)
                    successions[str(said["name"])] = successor
        grants, revocations = dict(self._known.grants), dict(self._known.revocations)
        for entry in new:
            if entry.statement.kind == "grant" and speaks(ring, entry):
                subjects = (subject.name for subject in entry.statement.subjects)
                grant = Grant.of(entry.statement_id, entry.place, subjects, entry.statement.predicate)
                grants[grant.id] = grant
            elif entry.statement.kind == "revocation" and speaks(ring, entry):
                taken = Revocation.of(entry.statement_id, entry.place, entry.statement.predicate)
                revocations[taken.revokes] = (*revocations.get(taken.revokes, ()), taken)
        return KnownGrants(ring, successions, grants, revocations)


def speaks(ring: KeyRing, entry: Entry) -> bool:
    """Whether a user's statement is understood, and signed by whom it says, with a key that was in force."""
    try:
        validate_statement(entry.statement)
    except DocumentError:  # of a later version: what cannot be understood allows nothing
        return False
    judged = ring.judge(entry)
    named = any(card.name == entry.statement.predicate.get("by") for card in judged.signers)
    return named and judged.problem is None and judged.doubt is None
