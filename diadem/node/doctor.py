"""Looking a node over: clock, disks, permissions, keys, stores, log, catalogue, versions; each with what to do."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from diadem.custody.remedies import aside_command, read_only_uri, recover_command, recover_here
from diadem.errors import DiademError, IntegrityError, cause_of
from diadem.model.display import Display
from diadem.model.plain_text import count_text, quoted
from diadem.model.report import Severity
from diadem.node.archive_state import clock_behind, status_of
from diadem.node.config import FILE
from diadem.node.context import POLICY_FILE, Context
from diadem.node.jobs import jobs
from diadem.node.keys import TLS_KEY
from diadem.node.mirrors import policy_back
from diadem.node.tell.verbs import tellings
from diadem.node.watch.verbs import WatchVerbs
from diadem.policy.commands import CONFIRM_RECOVERY, DOCTOR
from diadem.policy.node_rules import POLICY_AGAIN
from diadem.policy.status import RuleFinding
from diadem.store.addresses import local_path
from diadem.store.sqlite_file import SQLITE_FAULTS

#: Faults of the log that are told.
_NAMED = 3
#: Bytes that the node's own disk should have free.
_ROOM = 1 << 30


@dataclass(frozen=True, slots=True)
class Check(Display):
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


def examine(context: Context) -> dict[str, Any]:
    """Every check, one after the other, as a JSON object; and whether nothing is wrong."""
    context.require_writable()
    checks = list(_checks(context))
    return {"ok": all(check.verdict != "wrong" for check in checks), "checks": [check.to_dict() for check in checks]}


def _checks(context: Context) -> Iterator[Check]:
    """What each look finds; one that fails itself is told as wrong."""
    looks: tuple[tuple[str, Callable[[Context], Iterator[Check]]], ...] = (
        ("versions", _versions),
        ("clock", _clock),
        ("disk", _disk),
        ("keys", _keys),
        ("policy", _policy),
        ("log", _log),
        ("catalogue", _catalogue),
        ("stores", _stores),
        ("watch", _watch),
        ("jobs", _jobs),
        ("network", _network),
        ("tell", _tell),
        ("access", _access),
    )
    for name, look in looks:
        try:
            yield from look(context)
        except DiademError as error:
            yield Check(name, "wrong", error.message, error.next or "")
        except OSError as error:
            message, advice = cause_of(error) or (str(error), "Check the disk and the permissions.")
            yield Check(name, "wrong", f"{message} ({error.filename or context.folder})", advice)


def _versions(_: Context) -> Iterator[Check]:
    found = []
    for package in ("diadem-em", "rosettasciio", "hyperspy", "fsspec", "sqlalchemy", "cryptography"):
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            yield Check("versions", "wrong", f"{package} is not installed", "Install DIADEM again.")
    yield Check("versions", "ok", f"Python {platform.python_version()} on {platform.system()}; {', '.join(found)}")


def _clock(context: Context) -> Iterator[Check]:
    if behind := clock_behind(context):
        message = f"this machine's clock is {behind} behind the newest statement of the log"
        advice = "Set the clock (time server); statements keep their order whatever it says."
        yield Check("clock", "wrong", message, advice)
    else:
        yield Check("clock", "ok", f"{context.clock():%Y-%m-%d %H:%M:%S} UTC, not behind the log")


def _disk(context: Context) -> Iterator[Check]:
    free = shutil.disk_usage(context.folder).free
    if free < _ROOM:
        yield Check("disk", "wrong", f"the node's own disk has {free:,} bytes free", "Free space: the log needs it.")
    else:
        yield Check("disk", "ok", f"the node's own disk has {free / 1e9:.1f} GB free")
    from diadem.store.disks import is_network_folder

    if kind := is_network_folder(context.folder):
        yield Check("disk", "wrong", f"the node is on a network file system ({kind})", "Move it to a local disk.")


def _keys(context: Context) -> Iterator[Check]:
    exposed = context.keys.exposed()
    if exposed:
        names = ", ".join(path.name for path in exposed[:5])
        yield Check(
            "keys", "wrong", f"other accounts may read {names}", f"chmod -R go-rwx {quoted(context.keys.folder)}"
        )
    faults = list(context.key_faults())
    for fault in faults:
        yield Check("keys", "wrong", f"{fault.message} ({fault.where})", fault.next or "")
    held = [user.name for user in context.settings.users if user.protection == "file" and not user.successor]
    strangers = list(_strangers(context))
    yield from strangers
    if not faults and not strangers:
        yield Check("keys", "ok", f"the node's keys open; kept by the node for {', '.join(held) or 'nobody'}")
    place = context.settings.recovery_in_place
    if place or not context.settings.recovery_confirmed:
        message = f"the recovery file is at {place}" if place else "the recovery file is not confirmed as moved away"
        yield Check("keys", "note", message, f"Move it away, then: {CONFIRM_RECOVERY}")


def _strangers(context: Context) -> Iterator[Check]:
    """Users whom the log and the settings know differently: what they sign does not count."""
    try:
        cards = {card.name: card for card in context.grants.now().ring.users()}
    except IntegrityError:  # told as the log's
        return
    users = {f"{user.name}@{context.settings.name}": user for user in context.settings.users}
    for name in sorted(cards.keys() | users.keys()):
        user, card = users.get(name), cards.get(name)
        if user is None and card is not None and (card.successor or not name.endswith(f"@{context.settings.name}")):
            continue
        if user is None or card is None or user.key != card.public.to_text():
            problem = (
                f"{name} is in the log and not in {FILE}"
                if user is None
                else f"{name} is in {FILE} and not in the log"
                if card is None
                else f"{name} has one key in {FILE} and another in the log, and only the log's counts"
            )
            yield Check("keys", "wrong", problem, f"diadem user add {name.partition('@')[0]}")


def _policy(context: Context) -> Iterator[Check]:
    if lost := context.policy_lost():
        message = f"policy.toml {lost}, and the defaults hold"
        yield Check("policy", "wrong", message, policy_back(context) or POLICY_AGAIN)
    else:
        copies = count_text(context.policy.copies.minimum, "copy", "copies")
        yield Check("policy", "ok", f"{POLICY_FILE} is read: {copies} of everything")


def _log(context: Context) -> Iterator[Check]:
    problems = context.ledger.check()
    for problem in problems[:_NAMED]:
        yield Check("log", "wrong", f"the log is damaged: {problem}", recover_here(context.folder))
    if not problems:
        total, epoch = context.ledger.total, context.ledger.epoch
        yield Check("log", "ok", f"{total} statements, epoch {epoch}; hashes and checkpoint agree")
    if other := context.ledger.mirrors.superseded():
        yield Check(
            "log",
            "wrong",
            f"{other.message}; nothing can be written here",
            "Work with the restored node, if there is one; else restore it: " + recover_command(store=other.mirror),
        )
    if pending := context.ledger.mirrors.pending():
        yield Check(
            "log",
            "wrong",
            f"{count_text(pending, 'batch', 'batches')} of the log in no store",
            "Connect a store: diadem repair",
        )


def _catalogue(context: Context) -> Iterator[Check]:
    missing = context.follower.behind()
    owed, unread = context.catalogue.owed(), context.catalogue.unread()
    packages = count_text(context.catalogue.count(), "package")
    if missing:
        yield Check("catalogue", "wrong", f"{missing} statements are not in the catalogue", "diadem reindex")
    elif not owed:
        yield Check("catalogue", "ok", f"{packages}; up to date with the log")
    if owed:
        owing = count_text(len(owed), "package")
        yield Check("catalogue", "note", f"{packages}; the datasets of {owing} are still being entered")
    if unread:
        what = f"{count_text(len(unread), 'package')} could not be read: no search finds the datasets"
        yield Check("catalogue", "note", what, "Connect the stores, then: diadem repair")


#: Rules of the policy that are about stores.
_STORE_RULES = ("store.none", "store.unreachable", "store.read-only", "copies.same-disk", "copies.out-of-reach")


def _stores(context: Context) -> Iterator[Check]:
    """What the policy says of the stores, and why one does not answer."""
    try:
        status = status_of(context)
    except DiademError:  # without a catalogue, which is told of elsewhere, of all but packages
        status = status_of(context, packages=())
    for state in status.stores:
        if state.reachable and not state.read_only:
            store = context.stores.open(state.name)
            proves = store.capabilities().proves or store.is_folder
            traits = "proves what is written" if proves else "what is written is read back once"
            yield Check("stores", "ok", f"{state.name} ({state.kind}) can be written to; {traits}")
            yield from _open_to_others(state.name, local_path(state.url))
    for finding in status.findings:
        if finding.rule in _STORE_RULES:
            why = context.stores.why_away(finding.store) if finding.store in context.stores.names else ""
            message, advice = finding.message, finding.command
            if why:
                message, advice = f"{message}: {why}", f"Reconnect it; or, if it has moved: {advice}"
            if "store.json" in why:
                url = context.settings.store(finding.store).url
                advice = f"If it is this store: diadem store move {finding.store} {quoted(url)}"
            advice = "Check its permissions." if advice == DOCTOR else advice
            yield Check("stores", _verdict(finding), message, advice)


def _verdict(finding: RuleFinding) -> str:
    """What breaks a rule of the policy is wrong, here as in `status`."""
    return "wrong" if finding.severity is Severity.ERROR else "note"


def _watch(context: Context) -> Iterator[Check]:
    """What the policy says of the watched folders."""
    findings = [
        one for one in status_of(context, WatchVerbs(context).state, ()).findings if one.rule.startswith("watch.")
    ]
    for finding in findings:
        yield Check("watch", _verdict(finding), finding.message, finding.command)
    if context.settings.watched and not findings:
        yield Check("watch", "ok", f"{count_text(len(context.settings.watched), 'folder')} watched")


def _open_to_others(name: str, folder: Path | None) -> Iterator[Check]:
    """What other accounts of this machine may do in a store's folder, where the system tells (POSIX)."""
    if folder is None or os.name == "nt":
        return
    with suppress(OSError):
        mode = folder.stat().st_mode
        able = " and ".join(
            word
            for bit, word in ((stat.S_IROTH, "read"), (stat.S_IWOTH, "write"))
            if mode & bit and mode & stat.S_IXOTH
        )
        if able:
            advice = f"chmod o-rwx {quoted(str(folder))}"
            yield Check("stores", "note", f"every account of this machine can {able} {name}", advice)


def _jobs(context: Context) -> Iterator[Check]:
    found = jobs(context.folder)
    killed = [job for job in found if job.state == "killed"]
    running = [job for job in found if job.state == "running"]
    yield Check("jobs", "ok", f"{len(running)} running")
    for job in killed[:5]:
        yield Check(
            "jobs", "note", f"{job.kind} ({job.words.strip()}) of {job.started} was killed", f"diadem {job.kind}"
        )


def _network(context: Context) -> Iterator[Check]:
    """Books of transfers and peers; of a node that serves, how its machine sends."""
    for path in sorted(context.folder.glob("network/*.sqlite")):
        try:
            with closing(sqlite3.connect(read_only_uri(path), uri=True)) as book:
                found = book.execute("PRAGMA quick_check(1)").fetchone()[0]
        except sqlite3.OperationalError as error:
            yield Check("network", "wrong", f"network/{path.name} cannot be read: {error}", "Look at the disk.")
            continue
        except SQLITE_FAULTS as error:
            found = str(error)
        if found != "ok":
            yield Check("network", "wrong", f"network/{path.name} is damaged: {found}", aside_command(path))
    if not context.settings.server.listen:
        return
    if not (context.keys.folder / TLS_KEY).exists():
        yield Check("network", "note", "the node was never served: it has no TLS key yet", "diadem serve")
    yield from judge_sending(tcp_settings())


def _tell(context: Context) -> Iterator[Check]:
    """Whether those who are to be told of changes can be."""
    for one in tellings(context):
        if one.state == "wrong":
            yield Check("tell", "wrong", one.words, "diadem tell ls")
        elif one.words:
            yield Check("tell", "wrong", f"{one.name} was not told: {one.words}", f"diadem tell test {one.name}")
        else:
            yield Check("tell", "ok", f"{one.name} ({one.kind}) is told what changes")


#: Where Linux shows how it sends.
_TCP_FOLDER: Final = Path("/proc/sys/net/ipv4")
#: Bytes under way at 1 Gbit/s and 100 ms.
_WINDOW: Final = 12_500_000
_BBR: Final = (
    "sudo sysctl -w net.core.default_qdisc=fq net.ipv4.tcp_congestion_control=bbr, and put both into /etc/sysctl.d"
)
_BUFFERS: Final = "sudo sysctl -w net.ipv4.tcp_wmem='4096 65536 33554432' net.ipv4.tcp_rmem='4096 131072 33554432'"


def tcp_settings(folder: Path = _TCP_FOLDER) -> dict[str, str]:
    """Congestion control and buffers as the system has them; empty where it does not say."""
    found = {}
    for name in ("tcp_congestion_control", "tcp_wmem", "tcp_rmem"):
        with suppress(OSError, UnicodeDecodeError):
            found[name] = (folder / name).read_text("ascii").strip()
    return found


def judge_sending(settings: Mapping[str, str]) -> Iterator[Check]:
    """What decides the speed over a long way, by what `tcp_settings` found, and what an administrator can do."""
    control = settings.get("tcp_congestion_control")
    if control is None:
        return
    if control == "bbr":
        yield Check("network", "ok", "sends with BBR, which lost packets do not slow down")
    else:
        message = f"sends with {control}: over a long line that loses packets, BBR is 18 to 60 times as fast"
        yield Check("network", "note", message, _BBR)
    most = {}
    for name in ("tcp_wmem", "tcp_rmem"):
        words = settings.get(name, "").split()
        most[name] = int(words[-1]) if words and words[-1].isdecimal() else 0
    sizes = ", ".join(f"{name} {size:,} bytes" for name, size in most.items())
    if min(most.values()) < _WINDOW:
        message = f"one connection has at most {sizes} under way; 1 Gbit/s over 100 ms needs {_WINDOW:,}"
        yield Check("network", "note", message, _BUFFERS)
    else:
        yield Check("network", "ok", f"one connection may have {sizes} under way")


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
