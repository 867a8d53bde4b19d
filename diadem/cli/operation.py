"""Commands of operation: serve, page, jobs, doctor, instruments, plugins."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from diadem.cli.options import Argument, As, Json, Node, NodeAt, Option, Quiet
from diadem.cli.output import print_json, tell, tell_all
from diadem.cli.verb import Answer, Commands, opened, unattended
from diadem.model.plain_text import count_text, printable

if TYPE_CHECKING:
    from diadem.network.http.serve import Announcement

root = Commands()

# -- serve -----------------------------------------------------------------------------------------------------------


@root.verb()
def serve(
    listen: Annotated[
        str, Option("Address and port; none: call others only. Default: the last, else 0.0.0.0:8642.")
    ] = "",
    url: Annotated[
        list[str] | None, Option("Its address for others: https://archive.example.org:8642. Kept; may be repeated.")
    ] = None,
    hub: Annotated[
        bool | None, Option("Relay sealed packages between peers. Kept. See docs/hub.md", "--hub/--no-hub")
    ] = None,
    workers: Annotated[int, Option("Server processes; with more than one, pushes are refused.", min=1, max=64)] = 1,
    metrics: Annotated[str, Option("Show metrics for Prometheus there: 127.0.0.1:9464.")] = "",
    node: NodeAt = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Listen for other nodes and call them, until Ctrl-C. Every request must be signed by a peer or a user."""
    from diadem.api.nodes import open_node
    from diadem.network.http.address import Address, choose_address
    from diadem.network.http.serve import Plan, serve

    with unattended(quiet=quiet), opened(node) as at:
        at.context.require_writable()
        plan = Plan(
            choose_address(at.context, listen=listen, urls=url or (), hub=hub),
            open_node,
            workers=workers,
            metrics=Address.parse(metrics, port=9464) if metrics else None,
            quiet=quiet,
        )
        serve(at.context, plan, told=lambda started: show_serving(started, as_json=json))
    return 0


def show_serving(started: Announcement, *, as_json: bool) -> None:
    """Print what is said when a server begins."""
    if as_json:
        print_json({"serving": started.to_dict()})
        sys.stdout.flush()  # who waits for it must not wait for the end
        return
    tell_all([f"node             {started.name}", f"id               {started.node}"])
    tell_all(_serving_lines(started) if started.listen else _calling_lines(started))
    tell("stop             Ctrl-C")


def _serving_lines(started: Announcement) -> Iterator[str]:
    pending = f", and {started.pending} to be confirmed (diadem peer ls)" if started.pending else ""
    yield f"listening at     {started.listen}"
    for url in started.urls or ["nobody can yet: give the address once, diadem serve --url https://HOST:PORT"]:
        yield f"others call      {url}"
    yield f"TLS key          {started.tls}"
    yield f"serves           {count_text(started.packages, 'package')}, each to whom it was granted"
    yield f"may ask          {count_text(started.peers, 'peer')}{pending}; {count_text(started.users, 'user')}"
    if started.hub:
        yield "hub              relays sealed packages between peers: diadem status"
    for hub in started.left_hubs:
        yield f"WARNING          hubs do not collect from hubs: nothing comes from '{hub}'"
    if started.metrics:
        yield f"metrics          http://{started.metrics}/metrics"


def _calling_lines(started: Announcement) -> Iterator[str]:
    yield "listening at     nowhere: this node calls its peers and hubs"
    yield f"hubs             {', '.join(started.hubs) or 'none: diadem peer join TICKET   (of a hub)'}"


# -- page ------------------------------------------------------------------------------------------------------------


@root.verb()
def page(
    where: Annotated[
        str | None, Argument("A node's folder, or https://… (login). Default: as --node.", metavar="NODE")
    ] = None,
    port: Annotated[int, Option("Port on this machine; 0 for any free one.", min=0, max=65535)] = 0,
    read_only: Annotated[bool, Option("Nothing can be changed from the page.")] = False,
    browser: Annotated[bool, Option("Open it in the browser.", "--browser/--no-browser")] = True,
    node: NodeAt = None,
    user: As = None,
    json: Json = False,
) -> int:
    """Show the archive in your browser, to you alone, until Ctrl-C."""
    from diadem.page.serve import serve

    def told(address: str) -> None:
        if json:
            print_json({"page": {"address": address, "read_only": read_only}})
            sys.stdout.flush()  # who waits for it must not wait for the end
        else:
            print(f"The page of this archive, for one browser: {address}", flush=True)
            print("Ctrl-C ends it.", file=sys.stderr, flush=True)
        if browser:
            from diadem.page.guard import opened_entrance

            ending.enter_context(opened_entrance(address))

    def leaving(jobs: int) -> None:
        print(f"Stopping {count_text(jobs, 'job')}: what was done is kept.", file=sys.stderr, flush=True)

    with ExitStack() as ending, opened(where or node, user) as found:
        serve(found, port=port, read_only=read_only, told=told, leaving=leaving)
    for thread in threading.enumerate():
        if not thread.daemon and thread is not threading.main_thread():
            thread.join(1)
            if thread.is_alive():  # it asks a share that never answers, and Python would wait for it
                os._exit(0)
    return 0


# -- jobs, doctor, instruments ---------------------------------------------------------------------------------------


@root.verb(sick=True)
def jobs(
    node: Node, stop: Annotated[str | None, Option("Stop a running job; it can be resumed later.")] = None
) -> Answer:
    """List long jobs: what runs, what was killed, how each ended."""
    if stop is not None:
        asked = node.stop_job(stop)
        return Answer({"stopping": asked.to_dict()}, [f"stopping         {asked.id}"])
    listed = [job.to_dict() for job in node.jobs]
    lines = []
    for job in listed:
        again = "   (run the same command again to resume)" if job["resumable"] else ""
        why = f": {job['message']}" if job["message"] else ""
        state = "done, in part" if job["state"] == "done" and job["message"] else job["state"]
        lines.append(f"{state:13} {job['kind']:8} {job['started']}  {job['words']}{why}{again}")
    return Answer({"jobs": listed}, lines or ["no job has run"])


@root.verb(sick=True)
def doctor(node: Node) -> Answer:
    """Check the node, and say what to do. Clock, disks, permissions, keys, stores, log, versions."""
    document = node.doctor()
    lines = []
    for check in document["checks"]:
        mark = {"ok": "ok", "note": "note", "wrong": "WRONG"}[check["verdict"]]
        lines.append(f"{mark:6} {check['name']:10} {check['message']}")
        if check["next"] and check["verdict"] != "ok":
            lines.append(f"{'':17} {check['next']}")
    return Answer(document, lines, not document["ok"])


@root.verb()
def instruments(node: Node) -> Answer:
    """List the instruments that instruments.toml describes. Makers, identifiers, time zones, and what tells each."""
    from diadem.node.instruments import EXAMPLE, INSTRUMENTS_FILE

    listed, file = node.instruments(), node.path / INSTRUMENTS_FILE
    lines = []
    for one in listed:
        told_by = ", ".join(f"{key} {value}" for key, value in one["when"].items())
        lines.append(f"{one['is'].get('name') or one['is'].get('model') or 'instrument':16} when {told_by}")
        lines += [f"  {key:14} {value}" for key, value in one["is"].items()]
    if not listed:
        lines = [f"no instruments are described yet. Add them to {file}, for example:", "", *EXAMPLE.split("\n")]
    return Answer({"file": str(file), "instruments": listed}, lines)


# -- plugins ---------------------------------------------------------------------------------------------------------

#: Columns of a terminal that does not say how many it has.
_WIDTH = 100
#: Bundled plugins by what they offer, and the words for it.
_KINDS: Mapping[str, str] = {
    "formats": "reads",
    "fields": "fields",
    "schemas": "extensions",
    "previews": "previews",
    "checks": "checks",
    "carriers": "carriers",
    "exporters": "exporters",
}


@root.verb()
def plugins(
    explain: Annotated[Path | None, Option("A file: what each rule of the tables finds in it, or why not.")] = None,
) -> Answer:
    """List plugins, what they offer, and what failed."""
    if explain is not None:
        from diadem.api.extraction import explain as explained

        said = explained(explain).to_dict()
        return Answer(said, _explained_lines(said), any(rule["verdict"] == "raised" for rule in said["rules"]))
    from diadem.api import plugins as listed
    from diadem.api.tools import unnamed_plugins

    found = [plugin.to_dict() for plugin in listed()]
    left_out = list(unnamed_plugins())
    failed = any(plugin["failures"] for plugin in found)
    document = {"plugins": found, "ok": not failed, "not_in_services": left_out}
    return Answer(document, _plugin_lines(found, left_out), failed)


def _explained_lines(said: Mapping[str, Any]) -> Iterator[str]:
    """A heading for each block, and a line for each rule; rules that found nothing are named in one paragraph."""
    yield f"read as {printable(said['format'])}"
    for issue in said["issues"]:
        yield from _wrapped("issue", printable(f"{issue['code']}: {issue['message']}"))
    blocks: dict[tuple[str, str, str], list[Mapping[str, str]]] = {}
    for rule in said["rules"]:
        blocks.setdefault((rule["table"], rule["block"], rule["place"]), []).append(rule)
    if not blocks:
        yield "No table matches this file."
    for (name, kind, place), rules in blocks.items():
        yield printable(f"table '{kind}' of '{name}'" + (f", {place}" if place else ""))
        nothing = []
        for rule in rules:
            at = f" at {rule['keys']}" if rule["keys"] else ""
            if rule["verdict"] == "nothing there":
                nothing.append(f"{rule['rule']}{at}")
            else:
                told = f"{rule['why']}{at}" if rule["verdict"] == "found" else f"{rule['rule']}{at}: {rule['why']}"
                yield from _wrapped(f"  {rule['verdict']}", printable(told))
        if nothing:
            yield from _wrapped("  nothing there", printable("; ".join(nothing)))


def _plugin_lines(found: Sequence[Mapping[str, Any]], left_out: Sequence[str]) -> Iterator[str]:
    """A heading for each distribution, its offers, and what failed."""
    distributions: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for plugin in found:
        distributions.setdefault((plugin["distribution"], plugin["version"]), []).append(plugin)
    for (name, version), members in distributions.items():
        bundled = f"(bundled, {len(members)} plugins)" if members[0]["bundled"] else ""
        yield " ".join(filter(None, (name or "not installed", version, bundled)))
        if bundled:
            yield from _offers(members)
            continue
        for plugin in members:
            yield f"  {plugin['name']} ({plugin['module']})" if plugin["module"] else f"  {plugin['name']}"
            yield from _offers([plugin])
    for plugin in found:
        for failure in plugin["failures"]:
            yield from _wrapped("failed", failure)
    if left_out:
        words = f"serve and watch load these only where DIADEM_PLUGINS names them: {', '.join(left_out)}"
        yield from _wrapped("in services", words)
    if not any(not plugin["bundled"] for plugin in found):
        yield "No other plugin is installed, or DIADEM_PLUGINS leaves it out. docs/plugins.md says how to write one."


def _offers(members: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What plugins offer, a line for each kind, long lists wrapped."""
    for kind, word in _KINDS.items():
        names = sorted({name for plugin in members for name in plugin[kind]})
        if names:
            yield from _wrapped(f"    {word}", ", ".join(names))


def _wrapped(label: str, text: str) -> Iterator[str]:
    width = max(60, shutil.get_terminal_size((_WIDTH, 24)).columns)
    start = f"{label:16} "
    yield from textwrap.wrap(
        text,
        width,
        initial_indent=start,
        subsequent_indent=" " * len(start),
        break_long_words=False,
        break_on_hyphens=False,
    )
