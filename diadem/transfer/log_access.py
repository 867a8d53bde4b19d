"""Who may read, by the grants in this node's own log: what a transfer needs of it and no more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from diadem.errors import NotFound, Refused
from diadem.model.ids import PackageId
from diadem.model.statements import Draft, Subject
from diadem.model.times import read_time, time_text
from diadem.node.context import Context
from diadem.node.custody.entries import Entry


@dataclass(frozen=True, slots=True)
class LogAccess:
    """Implements `diadem.transfer.network.Access`.

    Parameters
    ----------
    context : Context
        The node.
    """

    context: Context

    def ensure_read(self, package: str, *, to: str, recipient: str, expires: datetime) -> str:
        """See `Access.ensure_read`."""
        for entry in self._in_force(package, recipient):
            said = entry.statement.predicate
            if said["to"] == to and (said["expires"] is None or read_time(said["expires"]) >= expires):
                return entry.statement_id
        owner = self.context.catalogue.get(package).owner
        if owner != self.context.address:
            raise Refused(
                f"only its owner, {owner or 'whom the log does not name'}, can let others read this package",
                where=package,
                next="Ask the owner to send it, or to grant it.",
            )
        said = {
            "to": to,
            "recipient": recipient,
            "rights": ["read"],
            "expires": time_text(expires),
            "by": self.context.address,
        }
        return self.context.say([Draft("grant", (Subject.package(package),), said)], as_user=True)[0].statement_id

    def require_read(self, package: str, grant: str, *, recipient: str) -> None:
        """See `Access.require_read`."""
        if grant not in {entry.statement_id for entry in self._in_force(package, recipient)}:
            raise NotFound("there is nothing here for you")

    def _in_force(self, package: str, recipient: str) -> Iterator[Entry]:
        """Grants of a package to users of a node that hold now."""
        said = self.context.ledger.of_subject(PackageId(package).hex)
        revoked = {str(entry.statement.predicate["revokes"]) for entry in said if entry.statement.kind == "revocation"}
        now = self.context.clock()
        for entry in said:
            predicate = entry.statement.predicate
            if entry.statement.kind != "grant" or entry.statement_id in revoked:
                continue
            ends = predicate["expires"]
            fits = predicate.get("recipient") == recipient and "read" in predicate["rights"]
            if fits and (ends is None or now < read_time(ends)):
                yield entry
