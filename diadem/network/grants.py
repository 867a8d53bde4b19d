"""Who may read what is offered, by the one engine that decides on it everywhere (`diadem.node.access`).

Somebody is `to`, by the name that this node gives to their node (``marie@nmi``), and `recipient`, the id of that node.
"""

from __future__ import annotations

from datetime import datetime

from diadem.errors import NotFound
from diadem.model.access import DIRECT_ONLY, PEER, USER, Asker, Right
from diadem.model.manifest import PackageId
from diadem.model.statements import Draft
from diadem.model.transfers import LOCAL, MOVING, OUT, State, Transfer
from diadem.node.access.askers import require, require_still
from diadem.node.access.grant import grant_draft, state_grant
from diadem.node.context import Context


def require_read(context: Context, package: str, *, to: str, recipient: str) -> None:
    """Return if somebody of a node may read a package now; asked again and again while its bytes go.

    Raises
    ------
    NotFound
        They may not; the same whether there is no such package, no grant, or one that was revoked or has ended.
    """
    require_still(context, _asker(context, to, recipient), Right.READ, PackageId(package).hex)


def is_stopped(context: Context, transfer: Transfer) -> bool:
    """Whether nothing can go of what is sent from here and is not over, as its recipient may not read it any more."""
    going = transfer.state in {State.OFFERED, *MOVING} or (transfer.state is State.FAILED and transfer.acceptance)
    if transfer.direction not in (OUT, LOCAL) or not going:
        return False
    try:
        require_read(context, transfer.package, to=transfer.recipient, recipient=transfer.peer)
    except NotFound:
        return True
    return False


def is_direct_only(context: Context, package: str, *, to: str, recipient: str) -> bool:
    """Whether what lets somebody read demands that the bytes go through no hub. Raises as `require_read`."""
    found = require(context, _asker(context, to, recipient), Right.READ, PackageId(package).hex)
    return DIRECT_ONLY in found.requirements


def ensure_read(context: Context, package: str, *, to: str, recipient: str, expires: datetime) -> str:
    """Id of a grant by which somebody may read a package until then at least; stated where there is none.

    Raises
    ------
    Refused
        The user at work is not the owner.
    """
    if known := known_grant(context, package, to=to, recipient=recipient, expires=expires):
        return known
    return state_grant(context, offer_grant(context, package, to=to, recipient=recipient, expires=expires)).id


def known_grant(context: Context, package: str, *, to: str, recipient: str, expires: datetime) -> str:
    """The grant that lets somebody read a package long enough; "" where there is none."""
    try:
        found = require(context, _asker(context, to, recipient), Right.READ, PackageId(package).hex).grant
    except NotFound:
        return ""
    return found.id if found is not None and (found.expires is None or found.expires >= expires) else ""


def offer_grant(context: Context, package: str, *, to: str, recipient: str, expires: datetime) -> Draft:
    """The grant that goes with an offer; it lifts nothing that the one demands which holds now."""
    try:
        only = (DIRECT_ONLY,) if is_direct_only(context, package, to=to, recipient=recipient) else ()
    except NotFound:
        only = ()
    return grant_draft(context, (package,), to, (Right.READ,), expires=expires, require=only, recipient=recipient)


def _asker(context: Context, address: str, node: str) -> Asker:
    return Asker(node, address, kind=USER if node == context.settings.id else PEER)
