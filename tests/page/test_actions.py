"""What can be done with a node can be done from its page, or stands here with the reason why not."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from html import unescape

import pytest

import diadem
from tests.page.conftest import Served, ask

pytest.importorskip("starlette", reason="the extra 'page' is not installed")

#: Verbs and the address of the screen or form that does them. Those of a group have its name before them.
DONE = {
    "accept": "POST /exchange/transfers/{transfer}/accept",
    "amend": "POST /session/{package}/correct",
    "amendments": "GET /session/{package}",
    "archive": "POST /take-in/{proposal}/archive",
    "archive_all": "POST /take-in/{proposal}/archive",
    "assess": "POST /session/{package}/judge",
    "assess_by_machine": "POST /session/{package}/judge/machine",
    "assessments": "GET /session/{package}/judge",
    "confirm_recovery": "POST /health/confirm-recovery",
    "custody": "GET /session/{package}",
    "decline": "POST /exchange/transfers/{transfer}/decline",
    "delete": "POST /session/{package}/delete",
    "derivations": "GET /session/{package}",
    "doctor": "GET /health/doctor",
    "drop": "POST /session/{package}/drop",
    "export": "POST /session/{package}/give",
    "export_custody": "POST /session/{package}/proof",
    "export_disk": "POST /session/{package}/disk",
    "facets": "GET /search",
    "forms": "POST /session/{package}/forms/{form}",
    "get": "GET /session/{package}",
    "grant": "POST /people/grants",
    "grants": "GET /people",
    "hub": "GET /exchange",
    "import_": "POST /exchange/disk",
    "inbox": "GET /exchange",
    "jobs": "GET /jobs",
    "plan": "POST /take-in/look",
    "policy": "GET /health",
    "previews": "GET /picture/{package}",
    "reindex": "POST /health/reindex",
    "repair": "POST /session/{package}/repair",
    "rescan": "POST /health/rescan",
    "restore": "POST /session/{package}/restore",
    "revoke": "POST /people/grants/{grant}/revoke",
    "scrub": "POST /health/scrub",
    "search": "GET /search",
    "send": "POST /session/{package}/send",
    "sessions_of": "POST /take-in/look",
    "show": "GET /session/{package}",
    "status": "GET /health",
    "stop_job": "POST /health/jobs/{job}/stop",
    "warnings": "GET /session/{package}",
    "watch": "POST /take-in/watch-once",
    "why": "GET /people/why",
    "peers.compromised": "POST /exchange/peers/{peer}/compromised",
    "peers.confirm": "POST /exchange/peers/{peer}/confirm",
    "peers.drop": "POST /exchange/peers/{peer}/drop",
    "peers.get": "GET /exchange/peers/{peer}",
    "peers.invite": "POST /exchange/peers/invite",
    "peers.join": "POST /exchange/peers/join",
    "peers.ls": "GET /exchange/peers",
    "peers.refresh": "POST /exchange/peers/{peer}/refresh",
    "peers.rename": "POST /exchange/peers/{peer}/rename",
    "peers.routes": "GET /exchange/peers",
    "peers.tickets": "GET /exchange/peers",
    "peers.carriers.add": "POST /exchange/peers/carriers",
    "peers.carriers.ls": "GET /exchange/peers",
    "peers.carriers.rm": "POST /exchange/peers/carriers/{carrier}/remove",
    "queries.delete": "POST /search/forget",
    "queries.get": "GET /search",
    "queries.expanded": "GET /search",
    "queries.ls": "GET /",
    "queries.save": "POST /search/save",
    "rules.add": "POST /exchange/rules",
    "rules.ls": "GET /exchange/rules",
    "rules.rm": "POST /exchange/rules/{rule}/remove",
    "samples.add": "POST /samples",
    "samples.change": "POST /samples/{sample}/change",
    "samples.consume": "POST /samples/{sample}/happened",
    "samples.export": "GET /sheets/samples",
    "samples.find": "GET /samples",
    "samples.get": "GET /samples/{sample}",
    "samples.link": "POST /samples/{sample}/link",
    "samples.lose": "POST /samples/{sample}/happened",
    "samples.ls": "GET /samples",
    "samples.receive": "POST /samples/{sample}/happened",
    "samples.retract": "POST /samples/{sample}/retract",
    "samples.send": "POST /samples/{sample}/happened",
    "samples.show": "GET /samples/{sample}",
    "samples.split": "POST /samples/{sample}/split",
    "samples.unlink": "POST /samples/{sample}/unlink",
    "samples.whereabouts": "GET /samples",
    "stores.add": "POST /health/stores",
    "stores.ls": "GET /health",
    "stores.move": "POST /health/stores/{store}/move",
    "stores.rm": "POST /health/stores/{store}/forget",
    "transfers.ask": "POST /exchange/now",
    "transfers.cancel": "POST /exchange/transfers/{transfer}/cancel",
    "transfers.inbox": "GET /exchange",
    "transfers.ls": "GET /exchange",
    "transfers.pause": "POST /exchange/transfers/{transfer}/pause",
    "transfers.resume": "POST /exchange/transfers/{transfer}/resume",
    "transfers.show": "GET /exchange/transfers/{transfer}",
    "transfers.sync": "POST /exchange/now",
    "users.add": "POST /people/users",
    "users.invite": "POST /people/invite",
    "users.ls": "GET /people",
    "users.retire": "POST /people/users/{user}/retire",
    "users.show": "GET /people/users/{user}",
    "watched.add": "POST /take-in/watch",
    "watched.ls": "GET /take-in",
    "watched.report": "GET /take-in",
    "watched.rm": "POST /take-in/unwatch",
}

#: Verbs that the page has not, and why.
NOT_HERE = {
    "at": "opens a node: the page is of one that is open",
    "close": "the page ends with Ctrl-C, which closes the node",
    "create": "there is no node yet: diadem init, or Archive data after diadem demo",
    "derive": "results come from an analysis in Python, with its software and parameters",
    "export_relays": "belongs beside a chain that is checked with the command",
    "instruments": "profiles of instruments are a file that is edited: instruments.toml",
    "recover": "there is no node yet: it needs the recovery file, and nobody to see it",
    "recovered": "what recovering found, told by the command that does it",
    "remember": "says which node commands go to when none is named: no matter of a page",
    "remirror": "done by whatever changes the log; by hand only where a store was away, which status says",
    "tell": "a mail server, its user and where its password is: set up once, in the terminal",
    "to_dict": "for programs",
    "judgements.export": "a sheet for Excel, edited and taken in again by the command",
    "judgements.import_": "the same",
    "keys.rotate": "needs the recovery file, which lies away from this machine",
    "samples.import_": "an edited sheet, whose changes are agreed to line by line in the terminal",
    "services.install": "writes what this account's system starts, as the one that types it: a command",
    "services.remove": "the same",
    "services.status": "the same; what matters of it, that somebody watches and scrubs, is among the rules",
    "site": "of many sessions: a command; of one, the button for every form",
    "stores.lose": "gives up every copy in a store at once: said in the terminal, where it is asked for twice",
    "transfers.look": "for status",
    "transfers.stopped": "the list and each transfer say it",
    "watched.plan": "what a round would do, file by file: the command's dry run",
    "watched.run": "watches until it is ended: a command that runs as a service",
    "watched.state": "the file behind the report",
}
#: Values that are no verbs.
VALUES = {"again", "id", "name", "path", "user", "context", "desk", "connect", "patience"}
#: Groups of verbs.
GROUPS = (
    "judgements",
    "keys",
    "peers",
    "queries",
    "rules",
    "samples",
    "services",
    "stores",
    "transfers",
    "users",
    "watched",
)
#: Forms that are the page's own.
OWN = {
    "POST /jobs/{job}/stop": "long work of the page",
    "POST /dry-run/{word}": "the second step of what was shown dry",
    "POST /take-in/upload": "files from the browser",
    "POST /take-in/{proposal}/discard": "what was uploaded and is not wanted",
    "POST /take-in/{proposal}/look": "an upload whose look ended early is looked at again",
}
#: Addresses to which something on a screen leads only after something else was done, or by a script or a form.
AFTER = {
    "/exchange/seen": "asked for by a script",
    "/exchange/peers/carriers": "where another node is known",
    "/people/why": "a form that asks",
    "/take-in/upload": "files from the browser",
    "/take-in/look": "where a folder is chosen",
    "/take-in/watch": "where a folder is chosen",
    "/take-in/unwatch": "where a folder is watched",
    "/take-in/watch-once": "where a folder is watched",
    "/sheets/samples": "where a sample is defined",
    "/search/save": "under what was searched for",
    "/search/forget": "under a saved search",
}


def names(of: type, before: str = "") -> set[str]:
    """The public verbs of a class."""
    return {f"{before}{name}" for name, _ in inspect.getmembers(of) if not name.startswith("_") and name not in VALUES}


def verbs(archive: object) -> set[str]:
    """Every verb of a node and of its groups."""
    found = names(diadem.Node) - set(GROUPS)
    with diadem.open_node(archive) as node:  # type: ignore[arg-type]
        for group in GROUPS:
            found |= names(type(getattr(node, group)), f"{group}.")
        return (found - {"peers.carriers"}) | names(type(node.peers.carriers), "peers.carriers.")


def test_every_verb_is_on_a_screen_or_says_why_not(archive: object) -> None:
    from diadem.page.app import VIEWS

    addresses = {f"{method} {path}" for method, path, _ in VIEWS}
    assert DONE.keys() | NOT_HERE.keys() == verbs(archive)
    assert not DONE.keys() & NOT_HERE.keys()
    assert {verb: place for verb, place in DONE.items() if place not in addresses} == {}
    forms = {address for address in addresses if address.startswith("POST")}
    also = {"POST /health/repair", "POST /session/{package}/verify", "POST /session/{package}/grant"}
    also |= {"POST /take-in/{proposal}/take-in"}
    assert forms - set(DONE.values()) - OWN.keys() == also, "a form that no verb is known to stand behind"


@pytest.mark.program("every screen of a whole node is read")
def test_every_screen_is_reached_from_home(entered: tuple[Served, str]) -> None:
    """Follow links of ours, two of each kind: none is broken, and each screen that needs nothing first is found."""
    from diadem.page.app import VIEWS

    served, cookie = entered
    kinds = {path: re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)) + r"\Z") for _, path, _ in VIEWS}
    waiting, forms = ["/"], set()
    counted = Counter({"/": 1})
    while waiting:
        place = waiting.pop(0)
        status, headers, content = ask(served, place, Cookie=cookie)
        assert status == 200, place
        if not headers["content-type"].startswith("text/html"):
            continue
        text = content.decode()
        forms |= {unescape(action).partition("?")[0] for action in re.findall(r'<form[^>]*action="([^"]+)"', text)}
        for link in map(unescape, re.findall(r'<a [^>]*href="(/[^"#]*)', text)):
            path = link.partition("?")[0]
            kind = next((kind for kind, pattern in kinds.items() if pattern.match(path)), path)
            if counted[kind] < 2 and not path.startswith("/static/"):
                counted[kind] += 1
                waiting.append(link)
    plain = {(method, path) for method, path, _ in VIEWS if "{" not in path and path not in AFTER}
    assert {path for method, path in plain if method == "GET" and not counted[path]} == set(), "no link leads there"
    assert {path for method, path in plain if method == "POST" and path not in forms} == set(), "no form leads there"
