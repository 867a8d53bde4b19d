"""What is to be told: how a node stands, what of it is new since people were told last, and the letter that says so."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from diadem.errors import DiademError
from diadem.model.plain_text import count_text, first_of, one_line
from diadem.model.report import Severity
from diadem.model.statement_kinds import ARRIVAL_KINDS
from diadem.model.times import read_time, time_text
from diadem.node.archive_state import status_of
from diadem.node.context import Context
from diadem.node.jobs import jobs
from diadem.node.terminal import node_option, with_node
from diadem.node.watch.verbs import WatchVerbs
from diadem.policy.case import WatchState
from diadem.policy.status import Status
from diadem.trust.hashing import sha256_hex

#: What somebody can want to be told: how the archive stands to its policy, what was archived here or received, offers
#: of others, and receipts that should have come.
TOPICS: Final = ("status", "archived", "offer", "receipt")
#: Rules of which it is told again that more is harmed, each time it has doubled: what is lost cannot be brought back.
_GROWING: Final = ("replica.suspect", "replica.missing", "copies.out-of-reach")
#: Rules that are broken for a while wherever somebody is at work, and how long that is waited for.
_WORKED_AT: Final = (
    "copies.minimum", "copies.kinds", "replica.unproven", "parity.missing", "log.unmirrored", "catalogue.owed",
    "package.unlisted", "package.unsigned",
)  # fmt: skip
#: What is so of a store that is away, and what can be seen only where every store answers.
_AWAY: Final = "store.unreachable"
_OF_EVERY: Final = ("copies.same-disk",)
_LONG_JOB: Final = timedelta(days=1)
#: Sessions that one piece of news names; characters of a text, and of a subject.
_NAMED, _LONG, _SUBJECT = 5, 400, 120
_MARKS: Final = {1: "warning", 2: "broken"}
#: News that wait for one who cannot be reached, at most.
_MOST: Final = 100
#: After a failure: the first pause, which doubles, and the longest.
_FIRST_PAUSE: Final = timedelta(minutes=1)
_LONGEST_PAUSE: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Matter:
    """Something that is so now, and is told once: a rule that does not hold, an offer that waits.

    `weight` is 2 for what breaks a rule, else 1.
    """

    topic: str
    key: str
    text: str
    next: str = ""
    weight: int = 1
    count: int = 1


@dataclass(frozen=True, slots=True)
class Look:
    """How a node stands. Without a status nobody could judge it, and `fault` says why."""

    status: Status | None
    watch: WatchState
    fault: DiademError | None = None
    #: Offers and receipts; None where their book cannot be read.
    waiting: Sequence[Matter] | None = ()

    @property
    def standing(self) -> str:
        """How it stands in one line."""
        if self.status is None:
            return "the archive cannot be judged"
        marks = [line.mark for line in self.status.rules]
        broken, warnings = marks.count("broken"), marks.count("warning")
        told = f"{count_text(broken, 'rule is', 'rules are')} broken" if broken else "no rule is broken"
        return f"{told}, {count_text(warnings, 'warning')}" if warnings else told if broken else "every rule holds"


def look_at(context: Context, waiting: Callable[[], Sequence[Matter]]) -> Look:
    """Look how a node stands now; what cannot be read is told as that."""
    found, watch, status, fault = None, WatchState(), None, None
    try:
        watch = WatchVerbs(context).state()
        status = status_of(context, lambda: watch)
    except DiademError as error:
        fault = error
    try:
        found = waiting()
    except DiademError as error:
        fault = fault or error
    return Look(status, watch, fault, found)


def matters(look: Look) -> Iterator[Matter]:
    """All that is so now. What breaks one rule at one store is one matter."""
    if look.fault is not None:
        error, where = look.fault, f" ({look.fault.where})" if look.fault.where else ""
        yield Matter(
            "status",
            "node.unreadable",
            f"nobody can tell how the archive stands: {error.message}{where}",
            error.next or "diadem doctor",
            2,
        )
    if look.status is not None:
        found: dict[str, list[Any]] = {}
        for one in look.status.findings:
            if one.severity is not Severity.INFO:
                found.setdefault(f"{one.rule} {one.store}".strip(), []).append(one)
        for key, findings in found.items():
            worst = max(findings, key=lambda one: one.severity is Severity.ERROR)
            titles = f": {first_of((one_line(title, 60) for title in worst.titles), 2)}" if worst.titles else ""
            more = f" (and {len(findings) - 1} more like this)" if len(findings) > 1 else ""
            weight = 2 if worst.severity is Severity.ERROR else 1
            grows = worst.rule in _GROWING
            count = sum(one.count for one in findings) if grows else len(findings)
            advice = (
                f"reconnect it; if it lies elsewhere now: {worst.command}" if worst.rule == _AWAY else worst.command
            )
            yield Matter("status", key, f"{worst.message}{titles}{more}", advice, weight, max(1, count))
    yield from look.waiting or ()


@dataclass(slots=True)
class Told:
    """What somebody was told, and what is still to be told: a part of the book."""

    #: Matter to its topic, weight, count and words when it was told.
    known: dict[str, list[Any]] = field(default_factory=dict)
    #: Epoch and size of the log up to which arrivals were told; empty at the beginning.
    log: list[int] = field(default_factory=list)
    #: News that wait: each topic, key, mark, text, next and time. How many more were left out.
    unsent: list[dict[str, str]] = field(default_factory=list)
    left_out: int = 0
    #: When letters went out, the newest last; how often the last failed, when it is tried again, and why.
    letters: list[str] = field(default_factory=list)
    tries: int = 0
    due: str = ""
    error: str = ""
    #: Addresses that the server refused of the last letter, which others got.
    refused: list[str] = field(default_factory=list)
    #: What waits for those of them that it refused for now, each with pauses of its own.
    later: dict[str, Told] = field(default_factory=dict)

    @property
    def waiting(self) -> int:
        """How much is still to be told, to all or to one of them."""
        return sum((len(one.unsent) + one.left_out for one in self.later.values()), len(self.unsent) + self.left_out)

    def put_off(self, now: datetime, error: str) -> None:
        """Note a failure, after which it is tried again later."""
        self.tries, self.error = self.tries + 1, error
        self.due = time_text(now + min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(self.tries - 1, 10)))

    def keep_later(self, address: str, now: datetime, error: str) -> None:
        """Keep what waits for one whom alone the server refused for now."""
        one = self.later.setdefault(address, Told())
        room = max(0, _MOST - len(one.unsent))
        one.left_out += self.left_out + max(0, len(self.unsent) - room)
        one.unsent += self.unsent[:room]
        one.put_off(now, error)


def note_news(told: Told, looks: Sequence[Look], context: Context, about: Sequence[str]) -> None:
    """Add to what is to be told what is new in two looks, or one; what is told of is of `about`, or all of `TOPICS`."""
    now, wanted = time_text(context.clock()), about or TOPICS
    news = [*_changes(told, looks, _in_work(context)), *_arrivals(told, context)]
    for topic, key, mark, text, advice in news:
        if topic not in wanted:
            continue
        if len(told.unsent) < _MOST:
            words = {"text": one_line(text, _LONG), "next": one_line(advice)}
            told.unsent.append({"topic": topic, "key": key, "mark": mark, **words, "time": now})
        else:
            told.left_out += 1


def has_changed(told: Told, look: Look) -> bool:
    """Whether a look finds something else than what was told: then somebody should look twice."""
    return any(True for _ in _changes(deepcopy(told), [look], ()))


def _in_work(context: Context) -> Sequence[str]:
    """Rules that are broken for a while by nothing but work that goes on: a second copy that is being written."""
    young = (job for job in jobs(context.folder) if context.clock() - read_time(job.started) < _LONG_JOB)
    return _WORKED_AT if any(job.state == "running" and job.kind != "scrub" for job in young) else ()


def _changes(told: Told, looks: Sequence[Look], in_work: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """What is so in every look and was not told, and what was told and is so in none of them."""
    seen = [{f"{one.topic} {one.key}": one for one in matters(look)} for look in looks]
    for key in seen[-1]:
        if any(key not in each for each in seen) or key.split(" ")[1] in in_work:
            continue
        one, before = min((each[key] for each in seen), key=lambda one: (one.weight, one.count)), told.known.get(key)
        grown = before is not None and one.count >= 2 * before[2]
        if before is None or one.weight > before[1] or (one.topic == "status" and grown):
            mark = _MARKS[one.weight] if one.topic == "status" else one.topic
            yield one.topic, key, mark, one.text, one.next
            told.known[key] = [one.topic, one.weight, one.count, one_line(one.text, _SUBJECT)]
        else:
            told.known[key] = [one.topic, one.weight, *before[2:]]
    for key, (topic, *_, words) in list(told.known.items()):
        could = all(_could_see(look, topic, key) for look in looks)
        if could and not any(key in each for each in seen):  # what nobody could look at is not said to be over
            del told.known[key]
            if topic == "status":
                yield topic, key, "holds again", f"{key.removeprefix('status ')} (it was: {words})", ""


def _could_see(look: Look, topic: str, key: str) -> bool:
    """Whether a matter would be in a look if it were still so: a store that is away shows nothing of itself."""
    if topic != "status":
        return look.waiting is not None
    if look.status is None:
        return False
    rule, _, store = key.removeprefix("status ").partition(" ")
    away = {one.name for one in look.status.stores if not one.reachable}
    return rule == _AWAY or not (away if rule in _OF_EVERY else away & {store})


def _arrivals(told: Told, context: Context) -> Iterator[tuple[str, ...]]:
    """What came into the log since: packages that were made here or received."""
    ledger = context.ledger
    begun, told.log = told.log, [ledger.epoch, ledger.size]
    if not begun or begun == told.log:
        return
    start = begun[1] if begun[0] == ledger.epoch and begun[1] <= told.log[1] else 0
    entries = ledger.entries(start, told.log[1])
    subjects = (one.statement.subjects for one in entries if one.statement.kind in ARRIVAL_KINDS)
    ids = list(dict.fromkeys(one.name for each in subjects for one in each if one.name.startswith("diadem:")))
    if ids:
        named = first_of((f"'{_title(context, one)}' ({one[7:19]})" for one in ids), _NAMED)
        advice = f"diadem show {ids[0][7:19]}" if len(ids) == 1 else "diadem search"
        yield "archived", "", "archived", f"{count_text(len(ids), 'session')}: {named}", advice


def _title(context: Context, package: str) -> str:
    try:
        return one_line(context.catalogue.get(package).title, 60)
    except DiademError:  # it was dropped again, or is still being entered
        return "?"


# -- the letter ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Letter:
    """What is sent: the same in words and as a JSON object."""

    id: str
    subject: str
    text: str
    document: Mapping[str, Any]


def letter(context: Context, look: Look, told: Told, name: str) -> Letter:
    """A letter of all that is to be told; its commands act on this node wherever it is read."""
    node, news, at = context.settings, told.unsent, node_option(str(context.folder), elsewhere=True)
    over = {one.get("key", ""): number for number, one in enumerate(news) if one["mark"] == "holds again"}
    alarms = [(number, one) for number, one in enumerate(news) if one["mark"] != "holds again"]
    # Sessions have no key, nor has what an earlier version noted: nothing takes them back.
    still = [one for number, one in alarms if not one.get("key") or over.get(one["key"], -1) < number]
    if not still:
        first = look.standing if look.standing == "every rule holds" else f"holds again: {news[-1]['text']}"
    else:
        first = still[0]["text"] if still[0]["topic"] == "status" else f"{still[0]['mark']}: {still[0]['text']}"
    more = f" (+{len(news) - 1 + told.left_out})" if len(news) + told.left_out > 1 else ""
    subject = f"[{node.name}] {one_line(first, _SUBJECT)}{more}"
    lines = [f"The archive {node.name}: {look.standing} ({context.clock():%Y-%m-%d %H:%M} UTC).", ""]
    for one in news:
        lines.append(f"{one['mark'].upper()}: {one['text']}   [{one['time']}]")
        lines += [f"    To do: {with_node(one['next'], at)}"] if one["next"] else []
    lines += [f"And {told.left_out:,} more, which are not kept."] if told.left_out else []
    end = ("", "All of it: diadem status", f"This was told to '{name}'; to end it: diadem tell rm {name}")
    lines += [with_node(line, at) for line in end]
    said = {"node": node.id, "name": node.name, "to": name, "news": news, "left_out": told.left_out}
    name_of_it = sha256_hex(json.dumps(said).encode())[:32]
    said["news"] = [{**one, "next": with_node(one["next"], at)} for one in news]  # of which its id says nothing
    about = {"format": "diadem-news/1", "id": name_of_it, **said, "standing": look.standing}
    text = "\n".join(lines) + "\n"
    ok = look.status is not None and look.status.ok
    document = {**about, "ok": ok, "time": time_text(context.clock()), "text": f"{subject}\n\n{text}"}
    return Letter(name_of_it, subject, text, document)
