"""Commands that set a node up: init; its stores; its users."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import click

from diadem.cli.options import Argument, Json, Node, NodeAt, Option, Reason
from diadem.cli.output import named_node, print_error
from diadem.cli.verb import RECOVERY_VARIABLE, Answer, Commands, new_passphrase, opened, recovery_passphrase
from diadem.errors import DiademError, UsageError
from diadem.model.plain_text import count_text, quoted, size_text, slug

root = Commands()
stores = root.add(Commands("store", "The stores of a node, where its packages are kept."))
users = root.add(Commands("user", "The users of a node: add, invite and retire them."))

# -- init ------------------------------------------------------------------------------------------------------------


@root.verb()
def init(
    folder: Annotated[Path | None, Argument("The node's own folder: small, new, on a local disk.")] = None,
    store: Annotated[str | None, Option("Where packages go first: a folder or URL.", metavar="URL")] = None,
    name: Annotated[str | None, Option("Its name, part of addresses: hu-berlin.")] = None,
    user: Annotated[str | None, Option("Short name of the first user: alice.")] = None,
    full_name: Annotated[str, Option("The first user's full name.")] = "",
    kind: Annotated[str | None, Option("Kind of the store: disk, nas, object, offsite or cold.")] = None,
    recovery_file: Annotated[Path | None, Option("Where the recovery file is written, or read from.")] = None,
    protect: Annotated[str, Option("The user's key: file (permissions), passphrase, or keyring.")] = "file",
    recover: Annotated[str | None, Option("Restore a lost node from this store, with its recovery file.")] = None,
    confirm_recovery: Annotated[bool, Option("Confirm that the recovery file was moved away.")] = False,
    catalogue: Annotated[
        str | None, Option("Where the catalogue is kept: file, or postgresql://user@host/database")
    ] = None,
    node: NodeAt = None,
    json: Json = False,
) -> Answer:
    """Make a node: the archive of your group. Asks for what is not given."""
    if confirm_recovery:
        with opened(str(folder) if folder else node) as at:
            at.confirm_recovery()
            document = at.to_dict()
        return Answer(document, [f"recovery file    confirmed as moved away, {document['recovery']['confirmed']}"])
    if recover:
        return _recover(folder, recover, recovery_file)
    from diadem.api.nodes import Node, check_new_node

    given = {"path": str(folder or ""), "store": store or "", "name": name or "", "user": user or ""}
    chosen = _answers({**given, "full_name": full_name}, recovery_file)
    full_name = chosen.pop("full_name", "")
    begun = check_new_node(**chosen, recovery_file=recovery_file)
    if sys.stdin.isatty() and not begun and RECOVERY_VARIABLE not in os.environ:
        file = recovery_file or f"{chosen['path']}-recovery.txt"
        print(
            f"{file} will be the recovery file: if this machine is lost, you need this file to restore the node. "
            "A passphrase protects it from whoever finds it.",
            file=sys.stderr,
        )
    passphrase = "" if begun else new_passphrase("the recovery file", RECOVERY_VARIABLE)
    key = None if begun or protect != "passphrase" else new_passphrase("your key", "DIADEM_PASSPHRASE")
    if not json and sys.stderr.isatty():
        print("making keys, recovery file and store: a few seconds …", file=sys.stderr)
    with Node.create(
        chosen["path"],
        name=chosen["name"],
        user=chosen["user"],
        store=chosen["store"],
        full_name=full_name,
        kind=kind,
        recovery_file=recovery_file,
        passphrase=passphrase,
        protection=protect,
        key_passphrase=key,
        catalogue=catalogue,
    ) as made:
        before = made.remember()
        document = made.to_dict()
    named_node.set(document["path"])
    protected = "protected by its passphrase" if passphrase else "NOT protected by a passphrase"
    lines = list(_made_lines(document, "protected as it was when it was made" if begun else protected))
    if before not in ("", document["path"]):
        lines.insert(0, f"default          this node, where no --node is given; it was {before}")
    note = "note             the node was there already, from a run with the same options; nothing was lost"
    return Answer(document, [note, *lines] if begun else lines)


def _answers(given: dict[str, str], recovery_file: Path | None) -> dict[str, str]:
    """What was given, and what a person answers to the rest; without a person everything must be given.

    Each answer is judged when it is given, as far as it can be without the rest; what was given as options, before more
    is asked: no answer would mend it.
    """
    from diadem.api.nodes import check_new_node, usual_node

    def judge(known: dict[str, str]) -> None:
        check_new_node(
            **{name: text for name, text in known.items() if name != "full_name"}, recovery_file=recovery_file
        )

    asked = {name: text for name, text in given.items() if text}
    folder, account = usual_node()
    whole = given.keys() - asked.keys() <= {"full_name"}
    for name, option, question, default in (
        ("path", "FOLDER", "Folder for the node itself (small, on a disk of this machine)", folder),
        ("store", "--store", "Where should the packages go? A folder on a large disk, or a URL", ""),
        ("name", "--name", "What is this archive called? The name is part of addresses: alice@NAME", ""),
        ("user", "--user", "Your short name", account),
        ("full_name", "--full-name", "Your full name, as on a paper (empty: none)", ""),
    ):
        if name == "full_name" and whole:  # who gives all the rest is not asked for this
            continue
        offered = default
        while name not in asked:
            answer = _ask(question, offered, option, needed=name != "full_name")
            try:
                judge({name: answer} if name == "path" else {**asked, name: answer})
            except DiademError as error:
                print_error(error, as_json=False)
                offered = slug(answer) if name in ("name", "user") else offered
            else:
                asked[name] = answer
        if name == "path":
            judge({"user": slug(account), **asked})
    return asked


def _ask(question: str, default: str, option: str, *, needed: bool) -> str:
    if not sys.stdin.isatty():
        if not needed:
            return ""
        raise UsageError(
            f"{option} is missing",
            next="Example: diadem init ~/diadem-node --store /data/archive --name hu-berlin --user alice",
        )
    return str(
        click.prompt(question, default=default or (None if needed else ""), show_default=bool(default), err=True)
    )


def _made_lines(document: Mapping[str, Any], protected: str) -> Iterator[str]:
    store = document["stores"][0]
    free = f", {size_text(store['free'])} free" if store["free"] is not None else ""
    yield f"node             {document['name']}, in {document['path']}"
    yield f"you              {document['user']}"
    yield f"first store      {store['name']}: {store['url']} ({store['kind']}{free})"
    yield f"policy           {document['policy']}   (two copies of everything, checked every 90 days; edit it)"
    yield f"recovery file    {document['recovery']['file']}"
    yield f"                 {protected}; if this machine is lost, you need this file to restore the node"
    yield ""
    yield "next"
    yield "  1. Move the recovery file away from this machine, then say so:  diadem init --confirm-recovery"
    yield "  2. Archive a session:                                           diadem archive FOLDER"
    yield "  3. Add a second place, on another disk:                         diadem store add PLACE"
    yield "  At any time:                                                    diadem status"


def _recover(folder: Path | None, store: str, recovery_file: Path | None) -> Answer:
    from diadem.api.nodes import Node

    if recovery_file is None or folder is None:
        raise UsageError(
            "FOLDER and --recovery-file are needed to recover a node",
            next="Example: diadem init ~/diadem-node --recover /data/archive --recovery-file /media/usb/recovery.txt",
        )
    passphrase = recovery_passphrase(recovery_file)
    with Node.recover(folder, store, recovery_file=recovery_file, passphrase=passphrase) as made:
        document = made.to_dict() | {"recovered": made.recovered.to_dict() if made.recovered else {}}
        made.remember()
    named_node.set(document["path"])
    recovered, place = document["recovered"], f"node             {document['name']}, in {document['path']}"
    if not made.recovered or not (made.recovered.brought or made.recovered.rebuild):
        return Answer(document, [f"{place}: nothing is missing, nothing was changed", "next             diadem status"])
    lines = [
        f"{place}: recovered from {store}",
        *(f"restored         {name}" for name in recovered["brought"]),
        f"packages         {recovered['packages']} in {recovered['stores']} stores",
    ]
    if recovered["entries"]:
        lines.append(
            f"log              {recovered['entries']} statements, up to the checkpoint of epoch "
            f"{recovered['epoch'] - 1} in the store; epoch {recovered['epoch']} is open"
        )
    lines += [f"note             {line}" for line in recovered["notes"]]
    return Answer(document, [*lines, "next             diadem status"])


# -- stores ----------------------------------------------------------------------------------------------------------


@stores.verb("add")
def add_store(
    node: Node,
    url: Annotated[str, Argument("A folder (made if it is not there), s3://bucket/prefix, sftp://host/path.")],
    name: Annotated[str | None, Option("Its name.")] = None,
    kind: Annotated[str | None, Option("disk, nas, object, offsite or cold.")] = None,
    place: Annotated[str, Option("Which disk or share it is on, if that cannot be seen: usb-disk-2.")] = "",
) -> Answer:
    """Add a store for copies. Nothing is copied yet: `diadem repair` does that."""
    before = [store.name for store in node.stores]
    state = node.stores.add(url, name=name, kind=kind, place=place).to_dict()
    same = [
        other.name
        for other in node.stores
        if other.name != state["name"] and other.place is not None and other.place == state["place"]
    ]
    lines = ["store            " + _store_line(state)]
    if state["name"] in before:
        lines.append("note             it was there already")
    steps = ["next             diadem repair   (writes the copies that the policy wants)"]
    if same:
        note = f"it is on the same disk as {', '.join(same)}: the two count as one copy"
        wanted, places = node.policy.copies.minimum, {one.place for one in node.stores if not one.read_only}
        if len(places) < wanted:  # a repair would copy, and end with what is still wanted
            note += f", and the policy wants {wanted} on different disks"
            move = f"diadem store move {state['name']} {quoted(url)} --place another-disk"
            steps = [
                "next             diadem store add PLACE   (on another disk; then: diadem repair)",
                f"or               {move}   (if it is on another one after all; then: diadem repair)",
            ]
        lines.append(f"note             {note}")
    return Answer({"store": state, "same_place_as": same}, [*lines, *steps])


def _store_line(state: Mapping[str, Any]) -> str:
    free = f", {size_text(state['free'])} free" if state["free"] is not None else ""
    away = "" if state["reachable"] else "  DOES NOT ANSWER"
    return f"{state['name']:12} {state['kind']:8} {state['url']}{free}{away}"


@stores.verb("ls")
def list_stores(node: Node) -> Answer:
    """List the stores: kind, free space, whether each answers."""
    states = [state.to_dict() for state in node.stores.ls()]
    return Answer({"stores": states}, map(_store_line, states), not all(state["reachable"] for state in states))


@stores.verb("rm")
def remove_store(
    node: Node,
    name: Annotated[str, Argument("The store's name.")],
    lost: Annotated[bool, Option("It is gone for good, with its copies.")] = False,
    reason: Annotated[str, Option("With --lost: what happened; kept in the log.")] = "",
) -> Answer:
    """Remove a store that is empty or lost. Nothing is deleted."""
    if not lost:
        node.stores.rm(name)
        lines = [f"removed          {name}: the node no longer looks there; nothing was deleted"]
        return Answer({"removed": name, "store": name, "copies": 0, "last": []}, lines)
    document = node.stores.lose(name, reason=reason).to_dict()
    last = document["last"]
    lines = [
        f"lost             {document['store']}, with {count_text(document['copies'], 'copy', 'copies')}",
        *(f"NO OTHER COPY    {package['package'][:19]}… {package['title']}" for package in last[:20]),
        *([f"                 and {len(last) - 20:,} more; all with --json"] if len(last) > 20 else []),
        "next             diadem repair   (writes the copies that the policy wants, from those that are left)",
    ]
    return Answer({"removed": name, **document}, lines, bool(last))


@stores.verb("move")
def move_store(
    node: Node,
    name: Annotated[str, Argument("The store's name.")],
    url: Annotated[str, Argument("Where it is now: a folder or URL.", metavar="PATH")],
    place: Annotated[str | None, Option("Which disk or share that is, if that cannot be seen: usb-disk-2.")] = None,
) -> Answer:
    """Say where a store is now. Nothing is copied."""
    state = node.stores.move(name, url, place=place).to_dict()
    scrub = f"next             diadem scrub {name}   (reads what is there now)"
    return Answer({"store": state}, ["store            " + _store_line(state), scrub])


# -- users -----------------------------------------------------------------------------------------------------------

UserName = Annotated[str, Argument("Short name, unique on this node: bob.")]


@users.verb("add")
def add_user(
    name: UserName,
    full_name: Annotated[str, Option("Their full name.")] = "",
    protect: Annotated[str, Option("The key: file (permissions), passphrase, or keyring.")] = "file",
    node: NodeAt = None,
) -> Answer:
    """Add a user with a key of their own. The log records the key."""
    secret = new_passphrase(f"the key of {name}", "DIADEM_PASSPHRASE") if protect == "passphrase" else None
    with opened(node) as at:
        made = at.users.add(name, full_name=full_name, protection=protect, passphrase=secret)
        address = f"{made.name}@{at.name}"
    held = "only its user can open it" if made.custody == "user-held" else "the node keeps it"
    lines = [f"user             {address}  {made.full_name}".rstrip(), f"key              {made.key}  ({held})"]
    return Answer({"user": {**made.to_dict(), "address": address}}, lines)


@users.verb("invite", user=True)
def invite_user(
    node: Node,
    name: UserName,
    guest: Annotated[bool, Option("Somebody from outside the group.")] = False,
    days: Annotated[float, Option("Days until the ticket expires.")] = 7,
) -> Answer:
    """Invite a person who works from a laptop. Their key is made there and stays there."""
    from diadem.cli.peers import ticket_answer

    return ticket_answer(node.users.invite(name, guest=guest, days=days), "diadem login")


@users.verb("ls")
def list_users(node: Node) -> Answer:
    """List the users."""
    listed = [user.to_dict() for user in node.users]
    widest = max((len(f"{user['name']}@{node.name}") for user in listed), default=0)
    lines = []
    for user in listed:
        address, person = f"{user['name']}@{node.name}", user["full_name"] or "-"
        held = f"{user['custody']}{', guest' if user['guest'] else ''}"
        left = f"  retired; {user['successor']} follows" if user["successor"] else ""
        lines.append(f"{address:{widest}}  {person:24}  {held}  {user['key']}{left}")
    return Answer({"users": listed}, lines or ["a store does not list the users: ask on the node's own machine"])


@users.verb("show")
def show_user(node: Node, name: Annotated[str, Argument("Short name: alice.")]) -> Answer:
    """Show a user's card: their key, who holds it, until when."""
    return _card(node.users.show(name).to_dict())


@users.verb("retire")
def retire_user(
    node: Node,
    name: Annotated[str, Argument("Who leaves: alice.")],
    to: Annotated[str, Option("Who takes over what they own: bob.")],
    reason: Reason = "",
) -> Answer:
    """Retire a user; their packages pass to --to."""
    return _card(node.users.retire(name, to, reason=reason).to_dict())


def _card(card: Mapping[str, Any]) -> Answer:
    held = "only its user can open it" if card["custody"] == "user-held" else "the node can use it too"
    ended = f"ended {card['expires']}" if card["expires"] else "holds"
    lines = [
        f"user             {card['address']}  {card['full_name']}".rstrip(),
        f"key              {card['key']}  ({held})",
        f"key id           {card['key_id']}   (give it to others by another channel)",
        f"card             version {card['version']}, {ended}",
    ]
    if card["successor"]:
        lines.append(f"retired          {card['successor']} follows: packages, corrections and grants are theirs now")
    return Answer({"user": card}, lines)
