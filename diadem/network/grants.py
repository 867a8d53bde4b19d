"""Who may read, by the one engine that decides on it everywhere (`diadem.node.access`)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from diadem.errors import NotFound
from diadem.model.access import DIRECT_ONLY, PEER, USER, Asker, Right
from diadem.model.manifest import PackageId
from diadem.model.statements import Draft
from diadem.node.access.askers import require, require_still
from diadem.node.access.grant import grant_draft, state_grant
from diadem.node.context import Context


@dataclass(frozen=True, slots=True)
class GrantAccess:
    """Implements `diadem.network.network.Access`.

    Parameters
    ----------
    context : Context
        The node.
    """

    context: Context

    def ensure_read(self, package: str, *, to: str, recipient: str, expires: datetime) -> str:
        """See `Access.ensure_read`."""
        if known := self.known_read(package, to=to, recipient=recipient, expires=expires):
            return known
        return state_grant(self.context, self.draft(package, to, recipient, expires)).id

    def known_read(self, package: str, *, to: str, recipient: str, expires: datetime) -> str:
        """The grant that lets somebody read a package long enough; "" where there is none."""
        try:
            found = require(self.context, self._asker(to, recipient), Right.READ, PackageId(package).hex).grant
        except NotFound:
            return ""
        return found.id if found is not None and (found.expires is None or found.expires >= expires) else ""

    def direct_only(self, package: str, *, to: str, recipient: str) -> bool:
        """See `Access.direct_only`."""
        found = require(self.context, self._asker(to, recipient), Right.READ, PackageId(package).hex)
        return DIRECT_ONLY in found.requirements

    def require_read(self, package: str, *, to: str, recipient: str) -> None:
        """See `Access.require_read`."""
        require_still(self.context, self._asker(to, recipient), Right.READ, PackageId(package).hex)

    def draft(self, package: str, to: str, recipient: str, expires: datetime) -> Draft:
        """The grant that goes with an offer; it lifts nothing that the one demands which holds now."""
        try:
            only = (DIRECT_ONLY,) if self.direct_only(package, to=to, recipient=recipient) else ()
        except NotFound:
            only = ()
        return grant_draft(
            self.context, (package,), to, (Right.READ,), expires=expires, require=only, recipient=recipient
        )

    def _asker(self, address: str, node: str) -> Asker:
        return Asker(node, address, kind=USER if node == self.context.settings.id else PEER)
