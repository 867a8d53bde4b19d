"""Commands of operation: rescan, jobs, doctor; and users."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from diadem.cli.grouped_help import Commands
from diadem.cli.node_options import As, Json, NodeAt, Quiet, new_passphrase, opened
from diadem.cli.output import print_json, progress, tell
from diadem.cli.peer_commands import show_ticket

users = Commands("The users of a node: add, invite and retire them.")


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    for command in (rescan, jobs, doctor):
        app.command()(command)
    app.add_typer(users, name="user")


def rescan(
    full: Annotated[bool, typer.Option("--full", help="Read and compare every file.")] = False,
    look_in: Annotated[
        list[Path] | None, typer.Option("--look-in", help="Where to look for a folder that was moved.")
    ] = None,
    node: NodeAt = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Check adopted folders for renamed, edited or deleted files. Renames are followed; nothing is written there."""
    with opened(node) as found, progress(quiet=quiet or json) as listener:
        results = list(found.rescan(full=full, look_in=look_in or (), listener=listener))
    if json:
        print_json({"folders": [result.to_dict() for result in results]})
    else:
        for result in results:
            print(f"{str(result.package)[7:19]}     {result}")
            for change in result.changes[:10]:
                moved = f" → {change.now}" if change.now and change.now != change.before else ""
                print(f"  {change.state:14} {change.before}{moved}")
            if result.folder == "gone":
                package = str(result.package)[7:19]
                print(f'  if it is gone for good: diadem drop {package} --store in-place --reason "..."')
        if not results:
            print("no folder is adopted: diadem archive FOLDER --in-place")
    return 0 if all(result.complete for result in results) else 1


def jobs(
    stop: Annotated[str | None, typer.Option("--stop", help="Stop a running job; it can be resumed later.")] = None,
    node: NodeAt = None,
    json: Json = False,
) -> int:
    """List long jobs: what runs, what was killed, how each ended."""
    with opened(node, sick=True) as found:
        if stop is not None:
            asked = found.stop_job(stop)
            print_json({"stopping": asked.to_dict()}) if json else print(f"stopping         {asked.id}")
            return 0
        listed = [job.to_dict() for job in found.jobs]
    if json:
        print_json({"jobs": listed})
        return 0
    for job in listed:
        again = "   (run the same command again to resume)" if job["resumable"] else ""
        why = f": {job['message']}" if job["message"] else ""
        state = "done, in part" if job["state"] == "done" and job["message"] else job["state"]
        print(f"{state:13} {job['kind']:8} {job['started']}  {job['words']}{why}{again}")
    if not listed:
        print("no job has run")
    return 0


def doctor(node: NodeAt = None, json: Json = False) -> int:
    """Check the node, and say what to do. Clock, disks, permissions, keys, stores, log, versions."""
    with opened(node, sick=True) as found:
        document = found.doctor()
    if json:
        print_json(document)
    else:
        for check in document["checks"]:
            mark = {"ok": "ok", "note": "note", "wrong": "WRONG"}[check["verdict"]]
            print(f"{mark:6} {check['name']:10} {check['message']}")
            if check["next"] and check["verdict"] != "ok":
                print(f"{'':17} {check['next']}")
    return 0 if document["ok"] else 1


# -- users ---------------------------------------------------------------------------------------------------------


@users.command()
def add(
    name: Annotated[str, typer.Argument(help="Short name, unique on this node: bob.")],
    full_name: Annotated[str, typer.Option("--full-name", help="Their full name.")] = "",
    protect: Annotated[
        str, typer.Option("--protect", help="The key: file (permissions), passphrase, or keyring.")
    ] = "file",
    node: NodeAt = None,
    json: Json = False,
) -> int:
    """Add a user with a key of their own. The log records the key."""
    secret = new_passphrase(f"the key of {name}", "DIADEM_PASSPHRASE") if protect == "passphrase" else None
    with opened(node) as found:
        made = found.users.add(name, full_name=full_name, protection=protect, passphrase=secret)
        document = {"user": {**made.to_dict(), "address": f"{made.name}@{found.name}"}}
    if json:
        print_json(document)
    else:
        held = "only its user can open it" if made.custody == "user-held" else "the node keeps it"
        print(f"user             {document['user']['address']}  {made.full_name}")
        print(f"key              {made.key}  ({held})")
    return 0


@users.command()
def invite(
    name: Annotated[str, typer.Argument(help="Short name, unique on this node: bob.")],
    guest: Annotated[bool, typer.Option("--guest", help="Somebody from outside the group.")] = False,
    days: Annotated[float, typer.Option("--days", help="Days until the ticket expires.")] = 7,
    node: NodeAt = None,
    user: As = None,
    json: Json = False,
) -> int:
    """Invite a person who works from a laptop. Their key is made there and stays there."""
    with opened(node, user) as found:
        ticket = found.users.invite(name, guest=guest, days=days)
    show_ticket(ticket, "diadem login", as_json=json)
    return 0


@users.command()
def ls(node: NodeAt = None, json: Json = False) -> int:
    """List the users."""
    with opened(node) as found:
        listed = [user.to_dict() for user in found.users]
        name = found.name
    if json:
        print_json({"users": listed})
    else:
        widest = max((len(f"{user['name']}@{name}") for user in listed), default=0)
        for user in listed:
            address, person = f"{user['name']}@{name}", user["full_name"] or "-"
            held = f"{user['custody']}{', guest' if user['guest'] else ''}"
            left = f"  retired; {user['successor']} follows" if user["successor"] else ""
            tell(f"{address:{widest}}  {person:24}  {held}  {user['key']}{left}")
        if not listed:
            print("a store does not list the users: ask on the node's own machine")
    return 0


@users.command()
def show(
    name: Annotated[str, typer.Argument(help="Short name: alice.")],
    node: NodeAt = None,
    json: Json = False,
) -> int:
    """Show a user's card: their key, who holds it, until when."""
    with opened(node) as found:
        card = found.users.show(name).to_dict()
    return _tell_card(card, json)


@users.command()
def retire(
    name: Annotated[str, typer.Argument(help="Who leaves: alice.")],
    to: Annotated[str, typer.Option("--to", help="Who takes over what they own: bob.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the log.")] = "",
    node: NodeAt = None,
    json: Json = False,
) -> int:
    """Retire a user; their packages pass to --to."""
    with opened(node) as found:
        card = found.users.retire(name, to, reason=reason).to_dict()
    return _tell_card(card, json)


def _tell_card(card: dict[str, Any], as_json: bool) -> int:
    if as_json:
        print_json({"user": card})
        return 0
    held = "only its user can open it" if card["custody"] == "user-held" else "the node can use it too"
    print(f"user             {card['address']}  {card['full_name']}".rstrip())
    print(f"key              {card['key']}  ({held})")
    print(f"key id           {card['key_id']}   (give it to others by another channel)")
    print(
        f"card             version {card['version']}, " + (f"ended {card['expires']}" if card["expires"] else "holds")
    )
    if card["successor"]:
        print(f"retired          {card['successor']} follows: packages, corrections and grants are theirs now")
    return 0
