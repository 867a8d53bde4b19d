"""Rules about the node: its stores, metadata, keys, watched folders, policy, log, recovery file and clock."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from diadem.custody.remedies import recover_command
from diadem.model.plain_text import count_text, duration_words, size_text
from diadem.model.report import Severity
from diadem.policy import commands
from diadem.policy.case import Answer, Case, Holds, PolicyRule, finding, joined, of_packages, packages_have, rule
from diadem.policy.status import Action, RuleFinding
from diadem.policy.tally import BESIDE

#: In the order in which a person should hear of them.
NODE: Final[list[PolicyRule]] = []
#: Share of a store that should stay free: below it file systems slow down, and the next session finds no room.
_FREE_SHARE = 0.05
#: Watched folders and sessions that a finding names.
_NAMED = 3
#: What to do where the policy is gone.
POLICY_AGAIN: Final = "put your own back from a store, or write another (one with a comment alone takes the defaults)"
_LOOK: Final = Action("look-at-watched", "shows what waits in the watched folders, and why", commands.LIST_WATCHED)


@rule(NODE, "store.none", "a store", "Without a store that takes copies nothing can be archived.", quiet=True)
def none(case: Case) -> Answer:
    """There is a store that answers and takes copies."""
    if case.takes_copies:
        return Holds("there is one that takes copies")
    stores = [store.state for store in case.own_stores]
    used = [state for state in stores if not state.retired]
    message, command = "the node has no store", commands.add_store("")
    if there := [state for state in used if state.reachable]:
        names = ", ".join(state.name for state in there)
        message, command = f"no store that answers can be written to ({names})", commands.DOCTOR
    elif used:
        names = ", ".join(state.name for state in used)
        message, command = f"no store of the node answers ({names})", commands.move_store(used[0].name)
    elif stores:
        message = "every store of the node is retired"
    return [finding(Severity.ERROR, f"{message}: nothing can be archived", command=command)]


@rule(NODE, "store.unreachable", "stores", "Copies in a store that does not answer cannot be read, proven or mended.")
def unreachable(case: Case) -> Answer:
    """Every store answers; a cold one need not, and any other may be away for a while."""
    found = []
    for store in case.stores.values():
        name, state = store.state.name, store.state
        held = count_text(store.packages, "copy", "copies")
        counts = "counts as it was last proven" if store.packages == 1 else "count as they were last proven"
        if store.known and not state.reachable:
            message, severity = "does not answer", Severity.WARNING
            if state.kind == "cold":
                severity = Severity.WARNING if store.due.count else Severity.INFO
            elif state.answered is not None and case.now - state.answered > case.policy.stores.unseen:
                longest = duration_words(case.policy.stores.unseen)
                message = f"has not answered since {state.answered:%Y-%m-%d %H:%M} UTC; the policy allows {longest}"
                severity, counts = Severity.ERROR, "cannot be seen"
            message = f"{name} {message} ({state.url})" + (f"; its {held} {counts}" if store.packages else "")
            found.append(finding(severity, message, command=commands.move_store(name), store=name))
        elif not store.known and not state.reachable and store.packages:  # what went with a lost store is not recorded
            are, do = ("is", "does") if store.packages == 1 else ("are", "do")
            message = f"{held} {are} recorded in '{name}', which is not a store of this node and {do} not count"
            found.append(finding(Severity.WARNING, message, command=commands.REINDEX, store=name))
    number = len(list(case.own_stores))
    several = "both answer" if number == 2 else f"all {number} answer" if number else "the node has no store yet"
    return found or Holds("the store answers" if number == 1 else several)


@rule(
    NODE,
    "store.read-only",
    "writable",
    "Damage in a store that cannot be written to stays, and new sessions get no copy there.",
    quiet=True,
)
def writable(case: Case) -> Answer:
    """Every store that is not retired can be written to."""
    found = []
    for store in case.own_stores:
        if store.state.reachable and store.state.read_only and not store.state.retired:
            name = store.state.name
            message = (
                f"{name} cannot be written to: it gets no copies, and what is damaged in it stays so; look at its "
                f"permissions, its write protection, and how it is mounted ({store.state.url})"
            )
            found.append(finding(Severity.WARNING, message, command=commands.DOCTOR, store=name))
    return found or Holds("each store can be written to")


@rule(
    NODE, "store.space", "space", "A full store takes no new session, and the next one is not safe until there is room."
)
def space(case: Case) -> Answer:
    """There is room for the missing copies, and some to spare."""
    found, states = [], [store.state for store in case.own_stores]
    for state in states:
        if state.free is None or not state.reachable or state.read_only:
            continue
        free = size_text(state.free)
        if cramped := case.missing.cramped.get(state.name):
            copies = f"{count_text(cramped.count, 'missing copy', 'missing copies')} ({size_text(cramped.bytes)})"
            reserve = f" and the {size_text(BESIDE)} that stay free" if state.free >= cramped.bytes else ""
            message = f"{state.name} has {free} free, too little for {copies}{reserve}; a larger store is needed"
        elif state.total and state.free < _FREE_SHARE * state.total:
            message = f"{state.name} is nearly full: {free} free of {size_text(state.total)}"
        else:
            continue
        found.append(finding(Severity.WARNING, message, command=commands.add_store(""), store=state.name))
    if found:
        return found
    if known := [(state.free, state.name) for state in states if state.free is not None]:
        least, name = min(known)
        more = f", more on the other{'s' * (len(known) > 2)}" if len(known) > 1 else ""
        return Holds(f"{size_text(least)} free on {name}{more}")
    away = not all(state.reachable for state in states)
    return Holds("unknown: no store in reach says how much is free", "info" if away else "holds")


@rule(
    NODE,
    "metadata.required",
    "metadata",
    "What nobody wrote down cannot be found later, and in a year nobody remembers it.",
)
def metadata(case: Case) -> Answer:
    """What the policy requires was stated, also of what was archived before it did."""
    group, required = case.untold, case.policy.metadata.required
    if not group.count:
        text = f"every package states {joined(required)}" if required else "the policy requires none"
        return of_packages(case, text, asked=bool(required))
    counts = sorted(case.missing_fields.items(), key=lambda item: (-item[1], item[0]))
    named = ", ".join(f"{key}: {number:,}" for key, number in counts[:4])
    message = f"{packages_have(group)} not all the metadata that the policy requires ({named})"
    return [finding(Severity.INFO, message, group, command=commands.amend(group.first[0][0], counts[0][0]))]


@rule(NODE, "keys.damaged", "keys", "Without its key nothing can be signed, so nothing can be archived.", quiet=True)
def keys(case: Case) -> Answer:
    """What the node says can be signed."""
    if not case.node.key_fault:
        return Holds("they open")
    message = f"{case.node.key_fault}; nothing can be signed with it"
    back = Action("restore-key", f"{case.node.key_fault}: this brings it back", case.node.key_back)
    return [finding(Severity.ERROR, message, command=case.node.key_back), back]


@rule(
    NODE, "watch.not-running", "watching", "While nobody watches, sessions stay on the instrument's disk in one copy."
)
def not_running(case: Case) -> Answer:
    """Somebody looks into every watched folder: a watcher that lives, or one that a timer starts often enough."""
    watch, longest = case.node.watch, case.policy.watch.waiting
    last = f"nobody has looked there since {_minute(watch.seen)} UTC" if watch.seen else "nobody has ever looked there"
    recent = watch.seen is not None and case.now - watch.seen <= longest
    blind = list(watch.folders)
    if watch.running or (watch.once and recent):
        blind = [folder for folder in watch.folders if not folder.served]
        last = "the running watcher looks into another folder only"
    if blind:
        folders = f"{count_text(len(blind), 'watched folder')} ({_some([folder.folder for folder in blind])})"
        message = f"nobody watches {folders}: what comes in is not archived; {last}"
        reason = "watches the folders of the instruments, until it is stopped"
        return [finding(Severity.ERROR, message, command=commands.WATCH), Action("watch", reason, commands.WATCH)]
    by = "by a watcher that runs" if watch.running else "by one that a timer starts"
    return _of_folders(case, f"{count_text(len(watch.folders), 'folder')} watched {by}", "no folder is watched")


@rule(
    NODE,
    "watch.waiting",
    "waiting",
    "A session that waits for long is in one place only until somebody looks why.",
    quiet=True,
)
def waiting(case: Case) -> Answer:
    """No session waits for longer than the policy says."""
    longest, found = case.policy.watch.waiting, list[RuleFinding | Action]()
    for folder in case.node.watch.folders:
        late = [f"{name} ({why})" if why else name for name, since, why in folder.waiting if case.now - since > longest]
        if late:
            have = "session has" if len(late) == 1 else "sessions have"
            message = (
                f"{len(late):,} {have} waited in {folder.folder} for longer than {duration_words(longest)} "
                f"and {'is' if len(late) == 1 else 'are'} not archived: {_some(late)}"
            )
            found += [finding(Severity.ERROR, message, command=commands.LIST_WATCHED), _LOOK]
    return found or _of_folders(case, "no session waits for too long")


@rule(NODE, "watch.away", "watched folders", "A folder that is not there cannot be archived.", quiet=True)
def away(case: Case) -> Answer:
    """Every watched folder is there, and may be archived from."""
    found = list[RuleFinding | Action]()
    for folder in case.node.watch.folders:
        if folder.problem:
            message = f"nothing from {folder.folder} is archived: {folder.problem}"
            found += [finding(Severity.ERROR, message, command=commands.LIST_WATCHED), _LOOK]
        elif folder.away is not None:
            late = case.now - folder.away > case.policy.watch.waiting
            message = f"{folder.folder} has not been there since {_minute(folder.away)} UTC: connect its disk or share"
            severity = Severity.ERROR if late else Severity.WARNING
            found += [finding(severity, message, command=commands.LIST_WATCHED), _LOOK]
    return found or _of_folders(case, "each is there")


def _of_folders(case: Case, text: str, none: str = "") -> Holds:
    return Holds(text) if case.node.watch.folders else Holds(none or text, "idle")


def _some(names: list[str]) -> str:
    more = [f"{len(names) - _NAMED:,} more"] if len(names) > _NAMED else []
    return joined([*names[:_NAMED], *more])


def _minute(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else ""


@rule(
    NODE,
    "policy.missing",
    "policy",
    "Without policy.toml the defaults hold, which may ask for less than the group decided.",
    quiet=True,
)
def policy(case: Case) -> Answer:
    """What the group agreed on is written down."""
    if not case.node.policy_lost:
        return Holds("policy.toml is there")
    copies = count_text(case.policy.copies.minimum, "copy", "copies")
    defaults = f"{copies} on any kind of store, read every {duration_words(case.policy.scrub.interval)}"
    message = f"policy.toml {case.node.policy_lost}, so the defaults hold: {defaults}; {POLICY_AGAIN}"
    if not (back := case.node.policy_back):
        return [finding(Severity.ERROR, message, command=commands.DOCTOR)]
    reason = f"policy.toml {case.node.policy_lost} and the defaults hold: this puts back what a store has of it"
    return [finding(Severity.ERROR, message, command=back), Action("restore-policy", reason, back)]


@rule(
    NODE,
    "package.unsigned",
    "custody",
    "Without its ingest statement nobody can show when and by whom a package was archived.",
)
def unsigned(case: Case) -> Answer:
    """The log says of every package how it came here."""
    group = case.unsigned
    if not group.count:
        return of_packages(case, "every package has its ingest statement")
    came = "it came" if group.count == 1 else "they came"
    message = f"{packages_have(group)} no ingest statement; the log does not say how {came} here"
    reason = f"{count_text(group.count, 'package')} without ingest statement"
    return [
        finding(Severity.WARNING, message, group, command=commands.REINDEX),
        Action("ingest", reason, commands.REINDEX),
    ]


@rule(
    NODE,
    "package.unlisted",
    "unfinished archiving",
    "A package that no log names is neither found nor looked after.",
    quiet=True,
)
def unlisted(case: Case) -> Answer:
    """No package lies in a store without being in the log."""
    found: list[RuleFinding | Action] = []
    for path, store, source in case.node.unlisted:
        message = f"{path} in {store} is whole and in no log, so it does not count: archiving {source} did not finish"
        found.append(finding(Severity.WARNING, message, command=commands.REPAIR, store=store))
    if found:
        reason = f"enters {count_text(len(found), 'package')} that unfinished archiving left in a store"
        found.append(Action("finish-archive", reason, commands.REPAIR))
    return found or Holds("none")


@rule(NODE, "log.unmirrored", "log", "The log proves who did what and when; on this machine alone it is lost with it.")
def log(case: Case) -> Answer:
    """What the log holds lies in a store too, and no store holds more of it."""
    found = list[RuleFinding | Action]()
    if case.node.superseded:
        message, command = (
            f"{case.node.superseded}; nothing can be written here",
            recover_command(store=case.node.recover),
        )
        reason = (
            "the log of this node continued elsewhere: work with the restored node, if there is one, and leave "
            "this folder alone; else this restores it"
        )
        found += [finding(Severity.ERROR, message, command=command), Action("recover", reason, command)]
    if pending := case.node.log_pending:
        are, them = ("is", "it") if pending == 1 else ("are", "them")
        message = (
            f"{count_text(pending, 'batch', 'batches')} of the log {are} on this machine only: no store took {them}"
        )
        found.append(finding(Severity.WARNING, message, command=commands.REPAIR))
        found.append(Action("push-log", "the log is on this machine only", commands.REPAIR))
    return found or Holds("is in a store too")


@rule(
    NODE,
    "catalogue.owed",
    "catalogue",
    "No search finds a dataset that is not in the catalogue yet.",
    quiet=True,
)
def catalogue(case: Case) -> Answer:
    """Every package is in it with its datasets."""
    if not case.node.owed:
        return Holds("has every dataset")
    what = count_text(case.node.owed, "package")
    return [finding(Severity.INFO, f"the datasets of {what} are still being entered; until then no search finds them")]


@rule(
    NODE,
    "catalogue.unread",
    "unread packages",
    "No search finds a dataset of a package that could not be read.",
    quiet=True,
)
def unread(case: Case) -> Answer:
    """No package is in it as the log says, for none of its copies could be read."""
    if not case.node.unread:
        return Holds("has every package as a copy of it says")
    what = count_text(case.node.unread, "package")
    message = f"{what} could not be read when it was entered: no search finds its datasets"
    if case.node.unread > 1:
        message = f"{what} could not be read when they were entered: no search finds their datasets"
    return [finding(Severity.WARNING, message, command=commands.REPAIR)]


@rule(
    NODE,
    "recovery.unconfirmed",
    "recovery file",
    "If this machine is lost, only the recovery file can restore the node.",
)
def recovery(case: Case) -> Answer:
    """The recovery file lies somewhere else."""
    message = "the recovery file is not confirmed as moved; without it, a lost machine cannot be replaced"
    if case.node.recovery_confirmed:
        if not case.node.recovery_in_place:
            return Holds("confirmed as moved away")
        message = f"the recovery file was confirmed as moved away, and is at {case.node.recovery_in_place}"
    reason, command = "move the recovery file to another place, then confirm it", commands.CONFIRM_RECOVERY
    return [finding(Severity.WARNING, message, command=command), Action("confirm-recovery", reason, command)]


@rule(
    NODE,
    "clock.behind",
    "clock",
    "With a clock that is wrong, dates of archiving and of proofs are wrong too.",
    quiet=True,
)
def clock(case: Case) -> Answer:
    """Time does not run backwards."""
    if case.node.clock_ok:
        return Holds("not behind the log")
    message = "this machine's clock is behind what the log already holds; set it before anything is archived"
    behind = Action("set-clock", "the clock of this machine is behind the log", commands.DOCTOR)
    return [finding(Severity.WARNING, message, command=commands.DOCTOR), behind]
