"""Commands on who may what: grant (add, which may be left out; ls, why) and revoke."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from diadem.cli.grouped_help import Commands
from diadem.cli.node_options import As, Json, NodeAt, opened
from diadem.cli.output import print_json, show_warnings, tell
from diadem.model.plain_text import count_text

#: Told where a grant is made.
_OPERATOR = (
    "Grants control access through the server and transfers. Anyone who can read the node's folder or a store through"
    " the operating system needs no grant."
)


class GrantGroup(TyperGroup):
    """A group whose first word may be left out: `diadem grant ID --to bob` is `diadem grant add ID --to bob`."""

    #: What is meant where no command is named.
    default = "add"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the word that was left out in its place."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = [self.default, *args]
        return list(super().parse_args(ctx, args))


granting = Commands("Allow others to use your packages; list and explain grants.", cls=GrantGroup)


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.add_typer(granting, name="grant")
    app.command()(revoke)


@granting.command()
def add(
    what: Annotated[list[str], typer.Argument(metavar="ID", help="Packages; or one project:NAME or sample:NAME.")],
    to: Annotated[str, typer.Option("--to", help="bob, marie@nmi, or '*@nmi' for everybody there.")],
    right: Annotated[list[str] | None, typer.Option("--right", help="list, read or assess. Default: read.")] = None,
    expires: Annotated[str, typer.Option("--expires", help="When it ends: 2027-01-01. Default: when revoked.")] = "",
    not_before: Annotated[str, typer.Option("--not-before", help="When it begins. Default: now.")] = "",
    purpose: Annotated[str, typer.Option("--purpose", help="What for.")] = "",
    require: Annotated[list[str] | None, typer.Option("--require", help="direct-only: through no hub.")] = None,
    recipient: Annotated[
        str, typer.Option("--recipient", help="Id of the person's node, if it has no name here.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what it would open; grant nothing.")] = False,
    node: NodeAt = None,
    user: As = None,
    json: Json = False,
) -> int:
    """Allow somebody to find, read or assess your packages. The word `add` may be left out."""
    with opened(node, user) as found:
        made = found.grant(
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
    if json:
        print_json(document)
        return 0
    grant = document["grant"]
    tell(f"{'would grant' if dry_run else 'granted':16} {_what(grant)} to {grant['to']}: {', '.join(grant['rights'])}")
    tell(f"until            {grant['expires'] or 'it is revoked'}")
    print(f"opens now        {count_text(document['packages'], 'package')}")
    if not dry_run:
        print(f"grant            {grant['id']}")
        print(f"next             diadem revoke {grant['id'][:12]}   (at any time; what was delivered stays delivered)")
    show_warnings([] if document["packages"] else ["None of your packages belongs to it now."])
    print(f"note             {_OPERATOR}")
    return 0


@granting.command()
def ls(
    what: Annotated[
        str | None, typer.Argument(metavar="ID", help="A package, project:NAME or sample:NAME. Default: every grant.")
    ] = None,
    to: Annotated[str | None, typer.Option("--to", help="Only grants to this person: marie@nmi.")] = None,
    node: NodeAt = None,
    json: Json = False,
) -> int:
    """List grants, and whether each is in force."""
    with opened(node) as found:
        listed = [one.to_dict() for one in found.grants(what, to)]
    if json:
        print_json({"grants": listed})
        return 0
    for one in listed:
        until = f" until {one['expires']}" if one["expires"] and one["state"] != "revoked" else ""
        rights = ", ".join(one["rights"])
        tell(f"{one['id'][:12]}  {one['state']:9}  {one['by']} to {one['to']}: {rights} of {_what(one)}{until}")
    if not listed:
        print("nothing was granted")
    return 0


@granting.command()
def why(
    who: Annotated[str, typer.Argument(metavar="PERSON", help="bob, or marie@nmi.")],
    package: Annotated[str, typer.Argument(help="ID of a package.")],
    right: Annotated[str, typer.Option("--right", help="list, read or assess.")] = "read",
    node: NodeAt = None,
    json: Json = False,
) -> int:
    """Say whether somebody may use a package, and why. Exit code 1 means no."""
    with opened(node) as found:
        decision = found.why(who, package, right).to_dict()
    if json:
        print_json({"who": who, "package": package, "right": right, **decision})
    else:
        print(f"{'allowed' if decision['allowed'] else 'NOT allowed':16} {right}")
        for reason in decision["reasons"]:
            tell(f"{'because':16} {reason}")
        for demand in decision["requirements"]:
            print(f"{'only':16} {demand}")
        print(f"note             {_OPERATOR}")
    return 0 if decision["allowed"] else 1


def revoke(
    grant: Annotated[str, typer.Argument(help="Id of the grant, or the beginning of it: diadem grant ls")],
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the log.")] = "",
    node: NodeAt = None,
    user: As = None,
    json: Json = False,
) -> int:
    """Revoke a grant. What was delivered before stays delivered."""
    with opened(node, user) as found:
        document = found.revoke(grant, reason=reason).to_dict()
    if json:
        print_json({"revocation": document})
    else:
        print(f"revoked          {document['revokes'][:12]}, at {document['time']}")
        print("note             what was delivered before stays delivered")
    return 0


def _what(grant: dict[str, Any]) -> str:
    if grant["scope"] == "package":
        many = len(grant["subjects"])
        return f"{grant['subjects'][0][:19]}…" if many == 1 else count_text(many, "package")
    return f"the {grant['scope']} {grant['label'] or grant['subjects'][0]}"
