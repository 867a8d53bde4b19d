"""Who may what: the verbs of a node that grant, revoke and explain. `diadem.Node` has them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING

from diadem.model.display import Rows

if TYPE_CHECKING:
    from diadem.model.access import Decision, Revocation
    from diadem.node.access.grant import Granted, GrantState
    from diadem.node.context import Context


class AccessVerbs:
    """Grant, revoke, grants, why."""

    context: Context

    def grant(
        self,
        what: str | Sequence[str],
        to: str,
        rights: Sequence[str] = ("read",),
        *,
        expires: date | datetime | str | None = None,
        not_before: date | datetime | str | None = None,
        purpose: str = "",
        require: Sequence[str] = (),
        recipient: str = "",
        dry_run: bool = False,
    ) -> Granted:
        """Allow somebody to use packages of yours: a statement that you sign.

        Colleagues and people of other nodes see nothing that was not granted to them, unless the policy opens packages
        to the node. Of a project or a sample, those packages are meant that are yours and belong to it, now or later.
        Whoever can read the node's folder or a store through the operating system is not bound by grants.

        Parameters
        ----------
        what : str or sequence of str
            Packages, by their ids; or one ``project:NAME`` or ``sample:NAME``.
        to : str
            ``bob``, ``marie@nmi``, or ``*@nmi`` for everybody of a node.
        rights : sequence of {"list", "read", "assess"}
            What they may; who may read or assess a package may also find it.
        expires, not_before : date, datetime or str, optional
            When it ends and begins: ``2027-01-01`` (from the beginning of that day, UTC) or a moment. Default: when it
            is revoked; now.
        purpose : str
            What for.
        require : sequence of {"direct-only"}
            That no hub carries the bytes.
        recipient : str
            Id of the person's node, if it has no name here.
        dry_run : bool
            Show what it would open; grant nothing.

        Raises
        ------
        Refused
            Not all of the packages are yours.
        NotFound
            There is no such package, sample, user or node.
        UsageError
            What is meant cannot be granted together, or the grant would never be in force.
        """
        from diadem.node.access.grant import grant

        return grant(
            self.context,
            (what,) if isinstance(what, str) else tuple(what),
            to,
            rights,
            expires=expires,
            not_before=not_before,
            purpose=purpose,
            require=require,
            recipient=recipient,
            dry_run=dry_run,
        )

    def revoke(self, grant: str, *, reason: str = "") -> Revocation:
        """Revoke a grant. What was delivered before stays delivered.

        Parameters
        ----------
        grant : str
            Its id or the beginning of it, 8 digits or more.
        reason : str
            Why.

        Raises
        ------
        NotFound
            There is no such grant.
        Refused
            It is somebody else's: only who gave it, or who has followed them, can revoke it.
        """
        from diadem.node.access.grant import revoke

        return revoke(self.context, grant, reason=reason)

    def grants(self, what: str | None = None, to: str | None = None) -> list[GrantState]:
        """Every grant, the newest last, each with whether it is in force.

        Parameters
        ----------
        what : str, optional
            Only those that are of a package, ``project:NAME`` or ``sample:NAME``.
        to : str, optional
            Only those to somebody, by address.
        """
        from diadem.node.access.grant import grants

        return Rows(grants(self.context, what, to))

    def why(self, who: str, package: str, right: str = "read") -> Decision:
        """Whether somebody may do something with a package, and why, or why not; also which grant came closest.

        Parameters
        ----------
        who : str
            ``bob``, ``marie@nmi``.
        package : str
            Its id or the beginning of it.
        right : {"list", "read", "assess"}
            What they want to do.

        Raises
        ------
        NotFound
            There is no such package, user or node.
        """
        from diadem.node.access.grant import why

        return why(self.context, who, package, right)
