"""Commands that set a node up: init, store, recovery."""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from diadem.cli.grouped_help import Commands
from diadem.cli.node_options import Json, NodeAt, new_passphrase, opened
from diadem.cli.output import print_error, print_json, size_text
from diadem.errors import DiademError, UsageError
from diadem.model.plain_text import count_text, slug

RECOVERY_VARIABLE = "DIADEM_RECOVERY_PASSPHRASE"

stores = Commands("The stores of a node, where its packages are kept.")


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command()(init)
    app.add_typer(stores, name="store")


def init(
    folder: Annotated[Path | None, typer.Argument(help="The node's own folder: small, new, on a local disk.")] = None,
    store: Annotated[
        str | None, typer.Option("--store", metavar="URL", help="Where packages go first: a folder or URL.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Its name, part of addresses: hu-berlin.")] = None,
    user: Annotated[str | None, typer.Option("--user", help="Short name of the first user: alice.")] = None,
    full_name: Annotated[str, typer.Option("--full-name", help="The first user's full name.")] = "",
    kind: Annotated[
        str | None, typer.Option("--kind", help="Kind of the store: disk, nas, object, offsite or cold.")
    ] = None,
    recovery_file: Annotated[
        Path | None, typer.Option("--recovery-file", help="Where the recovery file is written, or read from.")
    ] = None,
    protect: Annotated[
        str, typer.Option("--protect", help="The user's key: file (permissions), passphrase, or keyring.")
    ] = "file",
    recover: Annotated[
        str | None, typer.Option("--recover", help="Restore a lost node from this store, with its recovery file.")
    ] = None,
    confirm_recovery: Annotated[
        bool, typer.Option("--confirm-recovery", help="Confirm that the recovery file was moved away.")
    ] = False,
    catalogue: Annotated[
        str | None,
        typer.Option("--catalogue", help="Where the catalogue is kept: file, or postgresql://user@host/database"),
    ] = None,
    node: NodeAt = None,
    json: Json = False,
) -> int:
    """Make a node: the archive of your group. Asks for what is not given."""
    if confirm_recovery:
        return _confirm(str(folder) if folder else node, as_json=json)
    if recover:
        return _recover(folder, recover, recovery_file, as_json=json)
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
        made.remember()
        document = made.to_dict()
    if json:
        print_json(document)
    else:
        if begun:
            print("note             the node was there already, from a run with the same options; nothing was lost")
        protected = "protected by its passphrase" if passphrase else "NOT protected by a passphrase"
        _tell_made(document, "protected as it was when it was made" if begun else protected)
    return 0


def _answers(given: dict[str, str], recovery_file: Path | None) -> dict[str, str]:
    """What was given, and what a person answers to the rest; without a person everything must be given.

    Each answer is judged when it is given, as far as it can be without the rest; what was given as options, before more
    is asked: no answer would mend it.
    """
    from diadem.api.nodes import check_new_node

    def judge(known: dict[str, str]) -> None:
        check_new_node(
            **{name: text for name, text in known.items() if name != "full_name"}, recovery_file=recovery_file
        )

    asked = {name: text for name, text in given.items() if text}
    whole = given.keys() - asked.keys() <= {"full_name"}
    for name, option, question, default in (
        ("path", "FOLDER", "Folder for the node itself (small, on a disk of this machine)", _DEFAULT_FOLDER),
        ("store", "--store", "Where should the packages go? A folder on a large disk, or a URL", ""),
        ("name", "--name", "What is this archive called? The name is part of addresses: alice@NAME", ""),
        ("user", "--user", "Your short name", getpass.getuser().lower()),
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
            judge({"user": slug(getpass.getuser()), **asked})
    return asked


_DEFAULT_FOLDER = str(Path.home() / "diadem-node")


def _ask(question: str, default: str, option: str, *, needed: bool) -> str:
    if not sys.stdin.isatty():
        if not needed:
            return ""
        raise UsageError(
            f"{option} is missing",
            next="Example: diadem init ~/diadem-node --store /data/archive --name hu-berlin --user alice",
        )
    return str(
        typer.prompt(question, default=default or (None if needed else ""), show_default=bool(default), err=True)
    )


def _tell_made(document: dict[str, Any], protected: str) -> None:
    store = document["stores"][0]
    free = f", {size_text(store['free'])} free" if store["free"] is not None else ""
    print(f"node             {document['name']}, in {document['path']}")
    print(f"you              {document['user']}")
    print(f"first store      {store['name']}: {store['url']} ({store['kind']}{free})")
    print(f"policy           {document['policy']}   (two copies of everything, checked every 90 days; edit it)")
    print(f"recovery file    {document['recovery']['file']}")
    print(f"                 {protected}; if this machine is lost, you need this file to restore the node")
    print()
    print("next")
    print("  1. Move the recovery file away from this machine, then say so:  diadem init --confirm-recovery")
    print("  2. Archive a session:                                           diadem archive FOLDER")
    print("  3. Add a second place, on another disk:                         diadem store add PLACE")
    print("  At any time:                                                    diadem status")


def _confirm(node: str | None, *, as_json: bool) -> int:
    with opened(node) as found:
        found.confirm_recovery()
        document = found.to_dict()
    if as_json:
        print_json(document)
    else:
        print(f"recovery file    confirmed as moved away, {document['recovery']['confirmed']}")
    return 0


def _recover(folder: Path | None, store: str, recovery_file: Path | None, *, as_json: bool) -> int:
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
    if as_json:
        print_json(document)
        return 0
    recovered, brought = document["recovered"], document["recovered"]["brought"]
    if not made.recovered or not (brought or made.recovered.rebuild):
        print(f"node             {document['name']}, in {document['path']}: nothing is missing, nothing was changed")
        print("next             diadem status")
        return 0
    print(f"node             {document['name']}, in {document['path']}: recovered from {store}")
    for name in brought:
        print(f"restored         {name}")
    print(f"packages         {recovered['packages']} in {recovered['stores']} stores")
    if recovered["entries"]:
        print(
            f"log              {recovered['entries']} statements of epoch {recovered['epoch'] - 1}, "
            f"up to the checkpoint in the store; epoch {recovered['epoch']} is open"
        )
    for line in recovered["notes"]:
        print(f"note             {line}")
    print("next             diadem status")
    return 0


def recovery_passphrase(recovery_file: Path) -> str:
    """What opens a recovery file: from the environment, or from a person, where it needs one."""
    if RECOVERY_VARIABLE in os.environ:
        return os.environ[RECOVERY_VARIABLE]
    if not sys.stdin.isatty() or not recovery_file.exists():
        return ""
    if "BEGIN AGE" not in recovery_file.read_text("utf-8", "replace"):
        return ""
    return str(typer.prompt("Passphrase of the recovery file", hide_input=True, err=True))


# -- stores --------------------------------------------------------------------------------------------------------


@stores.command()
def add(
    url: Annotated[
        str, typer.Argument(help="A folder (made if it is not there), s3://bucket/prefix, sftp://host/path.")
    ],
    name: Annotated[str | None, typer.Option("--name", help="Its name.")] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="disk, nas, object, offsite or cold.")] = None,
    place: Annotated[
        str, typer.Option("--place", help="Which disk or share it is on, if that cannot be seen: usb-disk-2.")
    ] = "",
    node: NodeAt = None,
    json: Json = False,
) -> int:
    """Add a store for copies. Nothing is copied yet: `diadem repair` does that."""
    with opened(node) as found:
        before = [store.name for store in found.stores]
        state = found.stores.add(url, name=name, kind=kind, place=place).to_dict()
        same = [
            other.name
            for other in found.stores
            if other.name != state["name"] and other.place is not None and other.place == state["place"]
        ]
    if json:
        print_json({"store": state, "same_place_as": same})
        return 0
    print("store            " + _store_line(state))
    if state["name"] in before:
        print("note             it was there already")
    if same:
        print(f"note             it is on the same disk as {', '.join(same)}: the two count as one copy")
    print("next             diadem repair   (writes the copies that the policy wants)")
    return 0


@stores.command()
def ls(node: NodeAt = None, json: Json = False) -> int:
    """List the stores: kind, free space, whether each answers."""
    with opened(node) as found:
        states = [state.to_dict() for state in found.stores.ls()]
    if json:
        print_json({"stores": states})
    else:
        for state in states:
            print(_store_line(state))
    return 0 if all(state["reachable"] for state in states) else 1


@stores.command()
def rm(
    name: Annotated[str, typer.Argument(help="The store's name.")],
    lost: Annotated[bool, typer.Option("--lost", help="It is gone for good, with its copies.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="With --lost: what happened; kept in the log.")] = "",
    node: NodeAt = None,
    json: Json = False,
) -> int:
    """Remove a store that is empty or lost. Nothing is deleted."""
    with opened(node) as found:
        if not lost:
            found.stores.rm(name)
            document: dict[str, Any] = {"store": name, "copies": 0, "last": []}
        else:
            document = found.stores.lose(name, reason=reason).to_dict()
    if json:
        print_json({"removed": name, **document})
    elif lost:
        _tell_lost(document)
    else:
        print(f"removed          {name}: the node no longer looks there; nothing was deleted")
    return 1 if document["last"] else 0


def _tell_lost(document: dict[str, Any]) -> None:
    print(f"lost             {document['store']}, with {count_text(document['copies'], 'copy', 'copies')}")
    for package in document["last"][:20]:
        print(f"NO OTHER COPY    {package['package'][:19]}… {package['title']}")
    if len(document["last"]) > 20:
        print(f"                 and {len(document['last']) - 20:,} more; all with --json")
    print("next             diadem repair   (writes the copies that the policy wants, from those that are left)")


@stores.command()
def move(
    name: Annotated[str, typer.Argument(help="The store's name.")],
    url: Annotated[str, typer.Argument(metavar="PATH", help="Where it is now: a folder or URL.")],
    place: Annotated[
        str | None, typer.Option("--place", help="Which disk or share that is, if that cannot be seen: usb-disk-2.")
    ] = None,
    node: NodeAt = None,
    json: Json = False,
) -> int:
    """Say where a store is now. Nothing is copied."""
    with opened(node) as found:
        state = found.stores.move(name, url, place=place).to_dict()
    if json:
        print_json({"store": state})
    else:
        print("store            " + _store_line(state))
        print(f"next             diadem scrub {name}   (reads what is there now)")
    return 0


def _store_line(state: dict[str, Any]) -> str:
    free = f", {size_text(state['free'])} free" if state["free"] is not None else ""
    away = "" if state["reachable"] else "  DOES NOT ANSWER"
    return f"{state['name']:12} {state['kind']:8} {state['url']}{free}{away}"
