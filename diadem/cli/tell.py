"""The commands that say who is told what changes: add, ls, rm, test, now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from diadem.cli.options import Argument, Node, Option
from diadem.cli.output import minute
from diadem.cli.verb import Answer, Commands
from diadem.model.plain_text import count_text, printable

root = Commands()
told = root.add(Commands("tell", "Tell people what changes, by mail and otherwise."))

Name = Annotated[str, Argument("What it is called here.")]


@told.verb()
def add(
    node: Node,
    name: Name,
    url: Annotated[str, Argument("smtp://HOST, smtps://HOST, https://…, or a file: /…/diadem.prom")],
    to: Annotated[list[str] | None, Option("Address of a mail. May be repeated.", metavar="ADDRESS")] = None,
    from_: Annotated[str, Option("From whom a mail is. Default: --login, else the first --to.")] = "",
    login: Annotated[str, Option("Who logs in at the mail server.", metavar="NAME")] = "",
    signed: Annotated[bool, Option("Sign what goes to a web address (HMAC-SHA256).")] = False,
    plain: Annotated[bool, Option("Without TLS: on this machine, or in a net that you trust.")] = False,
    about: Annotated[list[str] | None, Option("status, archived, offer, receipt. Default: all.")] = None,
) -> Answer:
    """Tell somebody from now on. Add it again to change it. The password is never kept in the settings."""
    made = node.tell.add(
        name, url, to=to or (), from_=from_, login=login, signed=signed, plain=plain, about=about or ()
    ).to_dict()
    return Answer({"tell": made}, [*_lines([made]), f"next             diadem tell test {made['name']}"])


@told.verb()
def ls(node: Node) -> Answer:
    """List who is told, and how that goes."""
    listed = [one.to_dict() for one in node.tell.ls()]
    lines = list(_lines(listed)) or ["nobody is told: diadem tell add NAME URL"]
    return Answer({"tell": listed}, lines, not all(one["ok"] for one in listed))


@told.verb()
def rm(node: Node, name: Name) -> Answer:
    """Tell somebody nothing more."""
    removed = node.tell.rm(name).to_dict()
    return Answer({"removed": removed}, [f"not told         {removed['name']}"])


@told.verb(sick=True)
def test(node: Node, name: Name) -> Answer:
    """Send a letter that says that it is a test, or write the file."""
    done = node.tell.test(name).to_dict()
    return Answer({"tell": done}, _lines([done]), not done["ok"])


@told.verb(sick=True)
def now(node: Node) -> Answer:
    """Look how the node stands, and tell what is new. For a timer; watch, serve and scrub do it by themselves."""
    done = [one.to_dict() for one in node.tell.now()]
    lines = list(_lines(done)) or ["nobody is told: diadem tell add NAME URL"]
    return Answer({"tell": done}, lines, not all(one["ok"] for one in done))


def _lines(listed: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for one in listed:
        whom = f" ({', '.join(one['to'])})" if one["to"] else ""
        topics = f", about {', '.join(one['about'])}" if one["about"] else ""
        last = f"; last told {minute(one['last'])} UTC" if one["last"] else ""
        news = f", {count_text(one['news'], 'piece')} of news" if one["news"] else ""
        how = f"{one['kind']} {printable(one['url'])}".strip()
        yield f"{one['state']:16} {one['name']}: {how}{whom}{topics}{news}{last}"
        if one["words"]:
            yield f"{'':16} {one['words']}"
