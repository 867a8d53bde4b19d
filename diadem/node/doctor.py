"""Looking a node over: clock, disks, permissions, keys, stores, log, catalogue, versions; each with what to do."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from diadem.errors import DiademError, cause_of
from diadem.model.plain_text import count_text, quoted
from diadem.model.times import read_time
from diadem.node.context import POLICY_FILE, Context
from diadem.node.custody.database import ADVICE
from diadem.node.following import behind
from diadem.node.jobs import jobs
from diadem.node.mirroring import policy_back, policy_lost
from diadem.node.rules.commands import recover
from diadem.node.rules.keeping_rules import POLICY_AGAIN
from diadem.node.sending import judged, tcp_settings
from diadem.node.tls_files import KEY_FILE

#: How far a clock may lie behind the newest statement.
_SKEW = timedelta(minutes=5)
#: Faults of the log that are told.
_NAMED = 3
#: Bytes that the node's own disk should have free.
_ROOM = 1 << 30


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes
    ----------
    name : str
        What.
    verdict : str
        ``ok``, ``note`` (worth knowing), ``wrong``.
    message : str
        What was found.
    next : str
        What to do; "" where nothing.
    """

    name: str
    verdict: str
    message: str
    next: str = ""

    def to_dict(self) -> dict[str, str]:
        """A JSON object."""
        return {"name": self.name, "verdict": self.verdict, "message": self.message, "next": self.next}


def examine(context: Context) -> Iterator[Check]:
    """Every check, one after the other; one that fails itself is told as wrong."""
    context.require_writable()
    looks: tuple[tuple[str, Callable[[Context], Iterator[Check]]], ...] = (
        ("versions", _versions),
        ("clock", _clock),
        ("disk", _disk),
        ("keys", _keys),
        ("policy", _policy),
        ("log", _log),
        ("catalogue", _catalogue),
        ("stores", _stores),
        ("jobs", _jobs),
        ("network", _network),
        ("access", _access),
    )
    for name, look in looks:
        try:
            yield from look(context)
        except DiademError as error:
            yield Check(name, "wrong", error.message, error.next or "")
        except OSError as error:
            message, advice = cause_of(error) or (str(error), "Check the disk and the rights.")
            yield Check(name, "wrong", f"{message} ({error.filename or context.folder})", advice)


def _versions(_: Context) -> Iterator[Check]:
    found = []
    for package in ("diadem-em", "rosettasciio", "hyperspy", "fsspec", "sqlalchemy", "cryptography"):
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            yield Check("versions", "wrong", f"{package} is not installed", "Install DIADEM again.")
    yield Check("versions", "ok", f"Python {platform.python_version()} on {platform.system()}; {', '.join(found)}")
    if sys.version_info < (3, 11):  # noqa: UP036  installed by hand, perhaps
        yield Check("versions", "wrong", "Python is older than 3.11", "Use a newer Python.")


def _clock(context: Context) -> Iterator[Check]:
    now, total = context.clock(), context.ledger.size
    if total:
        last = read_time(str(context.ledger.entry(total - 1).statement.predicate["time"]))
        if last - now > _SKEW:
            yield Check(
                "clock",
                "wrong",
                f"this machine's clock is {last - now} behind the newest statement of the log",
                "Set the clock (time server); statements keep their order whatever it says.",
            )
            return
    yield Check("clock", "ok", f"{now:%Y-%m-%d %H:%M:%S} UTC, not behind the log")


def _disk(context: Context) -> Iterator[Check]:
    free = shutil.disk_usage(context.folder).free
    if free < _ROOM:
        yield Check("disk", "wrong", f"the node's own disk has {free:,} bytes free", "Free space: the log needs it.")
    else:
        yield Check("disk", "ok", f"the node's own disk has {free / 1e9:.1f} GB free")
    from diadem.store.places import is_network_folder

    if kind := is_network_folder(context.folder):
        yield Check("disk", "wrong", f"the node lies on a network file system ({kind})", "Move it to a local disk.")


def _keys(context: Context) -> Iterator[Check]:
    exposed = context.keys.exposed()
    if exposed:
        names = ", ".join(path.name for path in exposed[:5])
        yield Check(
            "keys", "wrong", f"other accounts may read {names}", f"chmod -R go-rwx {quoted(context.keys.folder)}"
        )
    for name in ("online", "log"):
        context.keys.open(name)
    held = [user.name for user in context.settings.users if user.protection == "file" and not user.successor]
    yield Check("keys", "ok", f"the node's keys open; kept by the node for {', '.join(held) or 'nobody'}")
    if not context.settings.recovery_confirmed:
        yield Check(
            "keys", "note", "the recovery file is not confirmed as moved away", "diadem init --confirm-recovery"
        )


def _policy(context: Context) -> Iterator[Check]:
    if policy_lost(context):
        message = "policy.toml is gone, and the defaults hold"
        yield Check("policy", "wrong", message, policy_back(context) or POLICY_AGAIN)
    else:
        copies = count_text(context.policy.copies.minimum, "copy", "copies")
        yield Check("policy", "ok", f"{POLICY_FILE} is read: {copies} of everything")


def _log(context: Context) -> Iterator[Check]:
    problems = context.ledger.check()
    for problem in problems[:_NAMED]:
        yield Check("log", "wrong", f"the log is damaged: {problem}", ADVICE)
    if not problems:
        total, epoch = context.ledger.total, context.ledger.epoch
        yield Check("log", "ok", f"{total} statements, epoch {epoch}; hashes and checkpoint agree")
    if other := context.ledger.superseded():
        yield Check(
            "log",
            "wrong",
            f"{other.message}; nothing can be written here",
            f"Work with the node that was made anew, if there is one; else make it anew: {recover(other.mirror)}",
        )
    if pending := context.ledger.pending():
        yield Check(
            "log",
            "wrong",
            f"{count_text(pending, 'batch', 'batches')} of the log in no store",
            "Connect a store: diadem repair",
        )


def _catalogue(context: Context) -> Iterator[Check]:
    missing = behind(context)
    if missing:
        yield Check("catalogue", "wrong", f"{missing} statements are not in the catalogue", "diadem reindex")
    else:
        yield Check("catalogue", "ok", f"{count_text(context.catalogue.count(), 'package')}; up to date with the log")


def _stores(context: Context) -> Iterator[Check]:
    places: dict[str, list[str]] = {}
    for state in context.stores.states():
        if not state.reachable:
            why = context.stores.why_away(state.name)
            advice = f"Connect it; or, where it is elsewhere now: diadem store move {state.name} PLACE"
            if "store.json" in why:
                advice = f"If it is this store: diadem store move {state.name} {quoted(state.url)}"
            yield Check("stores", "wrong", f"{state.name} does not answer: {why}", advice)
            continue
        store = context.stores.open(state.name)
        able = store.capabilities()
        traits = "proves what is written" if able.proves or store.is_folder else "what is written is read back once"
        if not able.writes:
            yield Check("stores", "wrong", f"{state.name} cannot be written", "Check its permissions.")
        else:
            yield Check("stores", "ok", f"{state.name} ({state.kind}) can be written; {traits}")
        places.setdefault(state.place or "unknown", []).append(state.name)
    for place, names in places.items():
        if len(names) > 1:
            what = "lie on one disk or share" if place != "unknown" else "lie nobody knows where"
            yield Check(
                "stores",
                "note",
                f"{', '.join(names)} {what}: together they count as one copy",
                "diadem store add PLACE",
            )


def _jobs(context: Context) -> Iterator[Check]:
    found = jobs(context)
    killed = [job for job in found if job.state == "killed"]
    running = [job for job in found if job.state == "running"]
    yield Check("jobs", "ok", f"{len(running)} running")
    for job in killed[:5]:
        yield Check(
            "jobs", "note", f"{job.kind} ({job.words.strip()}) of {job.started} was killed", f"diadem {job.kind}"
        )


def _network(context: Context) -> Iterator[Check]:
    """Of a node that serves: how its machine sends."""
    if not context.settings.server.listen:
        return
    if not (context.keys.folder / KEY_FILE).exists():
        yield Check("network", "note", "the node was never served: it has no TLS key yet", "diadem serve")
    for verdict, message, advice in judged(tcp_settings()):
        yield Check("network", verdict, message, advice)


def _access(_: Context) -> Iterator[Check]:
    yield Check(
        "access",
        "note",
        "whoever can read the node's folder or a store through the operating system can read the data",
        "Grants bind whoever asks through the server or a transfer. Groups that need privacy between colleagues give"
        " both to a service account.",
    )
    if os.name != "nt" and hasattr(os, "geteuid") and os.geteuid() == 0:
        yield Check("access", "note", "this is the account root", "An account of its own is safer.")


def healthy(checks: list[Check]) -> bool:
    """Whether nothing is wrong."""
    return all(check.verdict != "wrong" for check in checks)


def as_document(checks: list[Check]) -> dict[str, Any]:
    """A JSON object."""
    return {"ok": healthy(checks), "checks": [check.to_dict() for check in checks]}
