"""What a scan comes to, in the words that the terminal and the page share: figures, and what deserves attention."""

from __future__ import annotations

import datetime
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from diadem.model.plain_text import count_text, size_text, without_surrogates
from diadem.model.quantities import quantity_text
from diadem.model.scan import Concern, PlannedSession, ScanIssue, ScannedDataset
from diadem.scan.sessions import COPIED, DIFFERS
from diadem.scan.tables import text_of_cell

if TYPE_CHECKING:
    from diadem.scan.scan import Scan


#: Titles of what deserves attention, for the codes that come often.
_TITLES = {
    "truncated": "cut short",
    "odd-header": "a header that cannot be understood",
    "empty": "empty",
    "wrong-type": "not what the name says",
    "reader-failed": "not understood by the reader",
    "reader-timeout": "too slow to read",
    "reader-crashed": "the reader ended",
    "expands-too-much": "expands to an extreme size",
    "external-link": "points to other files",
    "external-storage": "keeps its values in another file",
    "missing-part": "the data file is missing",
    "side-file-alone": "a side file without its data file",
    "reader-missing": "a package for reading it is missing",
    "metadata-unread": "metadata read only in part",
    "mostly-unwritten": "more declared than written",
    "implausible": "impossible values",
    "clock-disagrees": "clocks disagree",
    "symlink": "links, not followed",
    "vanished": "disappeared during the scan",
    "unreadable": "no permission, or not readable",
    "changing": "changed during the scan",
}
_HEADINGS = {
    Concern.UNSEEN: "Not seen",
    Concern.UNREADABLE: "Damaged or unreadable",
    Concern.INCOMPLETE: "Incomplete",
    Concern.NOTE: "Notes",
}
#: Longest explanation beside an example.
_MAX_SAID = 160


@dataclass(frozen=True, slots=True)
class Attention:
    """One kind of thing that deserves attention: ``Damaged or unreadable``, ``3 datasets cut short``.

    `lines` are a path and what is said of it, "" where the title says all; `next` is what to do, or "".
    """

    heading: str
    title: str
    lines: Sequence[tuple[str, str]]
    next: str = ""


def attention(scan: Scan) -> list[Attention]:
    """All that deserves attention, what is worst first."""
    by_concern: dict[Concern, dict[str, list[ScanIssue]]] = defaultdict(lambda: defaultdict(list))
    for issue in _one_each(scan.issues):
        by_concern[issue.concern][issue.code].append(issue)
    found: list[Attention] = []
    for concern in (Concern.UNSEEN, Concern.UNREADABLE, Concern.INCOMPLETE):
        found.extend(_of_issues(scan, concern, by_concern[concern]))
    found.extend(_of_duplicates(scan))
    for single in scan.single_copies:
        if single.files:
            amount = f"{count_text(single.files, 'file')} ({size_text(single.bytes)})"
            lines = [(text_of_cell(path), "") for path in single.paths]
            found.append(Attention("Single copies", f"{amount} only in {text_of_cell(single.root)}", lines))
    found.extend(_of_issues(scan, Concern.NOTE, by_concern[Concern.NOTE]))
    return found


def _one_each(issues: Iterable[ScanIssue]) -> Iterator[ScanIssue]:
    """Of what is said of one file with one concern, what was found first: the rest follows from it."""
    known = [code for code in _TITLES if code not in ("reader-failed", "metadata-unread")]
    rank = {code: place for place, code in enumerate(known)}
    best: dict[tuple[str, str, Concern], ScanIssue] = {}
    for issue in issues:
        key = (issue.root, issue.path, issue.concern)
        if key not in best or rank.get(issue.code, 99) < rank.get(best[key].code, 99):
            best[key] = issue
    return iter(best.values())


def _of_issues(scan: Scan, concern: Concern, by_code: Mapping[str, Sequence[ScanIssue]]) -> Iterator[Attention]:
    for code, issues in sorted(by_code.items(), key=lambda item: -len(item[1])):
        noun = count_text(len(issues), "item") if concern is Concern.UNSEEN else count_text(len(issues), "dataset")
        title = f"{noun}: {_TITLES.get(code, code.replace('-', ' '))}"
        one_root = len(scan.roots) == 1
        lines = [
            (text_of_cell(issue.path if one_root else f"{issue.root}/{issue.path}"), _said(issue)) for issue in issues
        ]
        steps = {issue.next for issue in issues}
        yield Attention(_HEADINGS[concern], title, lines, steps.pop() if len(steps) == 1 else "")


def _said(issue: ScanIssue) -> str:
    """What was found, without the path that stands before it."""
    if issue.code == "empty":
        return ""
    said = text_of_cell(issue.message.replace(f"'{issue.path}'", "it").replace("\n", " "))
    return said if len(said) <= _MAX_SAID else said[: _MAX_SAID - 1] + "…"


def _of_duplicates(scan: Scan) -> Iterator[Attention]:
    copies = [session for session in scan.sessions if COPIED in session.why]
    if copies:
        title = f"{count_text(len(copies), 'session')}: all files are in another one"
        lines = [(folder_text(scan, session), session.why.rpartition("; ")[2]) for session in copies]
        yield Attention("Duplicates", title, lines, "Archive one of them; the plan says no to these.")
    differing = [session for session in scan.sessions if DIFFERS in session.why]
    if differing:
        title = f"{count_text(len(differing), 'session')}: a copy of it differs"
        lines = []
        for session in differing:
            reasons = session.why.split("; ")
            at = next(number for number, reason in enumerate(reasons) if DIFFERS in reason)
            lines.append((folder_text(scan, session), text_of_cell("; ".join(reasons[at - 1 : at + 1]))))
        yield Attention("Duplicates", title, lines, "Find out which is right before you archive one, or delete any.")
    if scan.duplicates:
        spare = size_text(sum(group.spare for group in scan.duplicates))
        title = f"{count_text(len(scan.duplicates), 'content')} more than once: {spare} could be freed"
        lines = [
            (_inner(scan, path), f"{size_text(group.size)}, {group.copies} copies" if not at else "the same")
            for group in scan.duplicates
            for at, path in enumerate(group.paths)
        ]
        yield Attention("Duplicates", title, lines, "Archive one copy; compare before you delete any.")


def _inner(scan: Scan, path: str) -> str:
    """An absolute path as it is shown: relative where one folder was scanned."""
    if len(scan.roots) == 1:
        path = path.removeprefix(without_surrogates(scan.roots[0]).replace(os.sep, "/").rstrip("/")).lstrip("/")
    return text_of_cell(path)


def folder_text(scan: Scan, session: PlannedSession) -> str:
    """A session's folder as it is shown, and whether it is all of it."""
    folder = session.folder.replace(os.sep, "/")
    if len(scan.roots) == 1:
        root = str(scan.roots[0]).replace(os.sep, "/").rstrip("/")
        folder = folder.removeprefix(root).lstrip("/") or "."
    if not session.parts:
        return text_of_cell(folder)
    if session.parts == ("*",):
        return text_of_cell(f"{folder}/*")
    return text_of_cell(f"{folder} ({count_text(len(session.parts), 'part')} of it)")


def figures(scan: Scan) -> list[tuple[str, str]]:
    """The summary, a name and a text each."""
    totals = scan.totals
    known = f"{totals.readable:,} of {count_text(totals.known, 'dataset')} of a known format"
    amount = f"{count_text(totals.files, 'file')}, {size_text(totals.bytes)}"
    found = f"{amount}, in {count_text(totals.datasets, 'dataset')}" if totals.files else "no file"
    first, last = totals.first[:10], totals.last[:10]
    rows = [
        ("scanned", "\n".join(text_of_cell(root) for root in scan.roots)),
        ("found", found),
        ("readable", known if totals.known else "nothing of a format that DIADEM knows"),
        ("recorded", first if first == last else f"{first} to {last}"),
        ("formats", _listed(totals.formats)),
        ("other files", _listed(totals.unknown)),
        ("archived", _archived_text(scan)),
        ("sessions", _sessions(scan.sessions)),
        ("attention", _attention_text(scan)),
    ]
    return [(name, text) for name, text in rows if text]


def _listed(counts: Mapping[str, tuple[int, int]]) -> str:
    return ", ".join(f"{count:,} {text_of_cell(name)}" for name, (count, _) in counts.items())


def _archived_text(scan: Scan) -> str:
    """What was left alone."""
    stores = [archived for archived in scan.archived if archived.kind == "store"]
    loose = len(scan.archived) - len(stores)
    inside = sum(store.packages for store in stores)
    words = [count_text(loose, "package")] if loose else []
    words += [f"{count_text(len(stores), 'store')} with {count_text(inside, 'package')}"] if stores else []
    return f"{' and '.join(words)}, left alone" if words else ""


def _sessions(sessions: Sequence[PlannedSession]) -> str:
    chosen = [session for session in sessions if session.archive]
    size = size_text(sum(session.bytes for session in chosen))
    rest = len(sessions) - len(chosen)
    return f"{len(chosen):,} to archive ({size})" + (f", {rest:,} not proposed" if rest else "")


def _attention_text(scan: Scan) -> str:
    """Numbers of what deserves attention: ``12 unreadable, 3 incomplete, 1 duplicate (2.2 kB)``."""
    counts: dict[Concern, int] = defaultdict(int)
    for issue in _one_each(scan.issues):
        counts[issue.concern] += 1
    words = [f"{counts[concern]:,} {_WORDS[concern]}" for concern in Concern if counts[concern] and concern in _WORDS]
    if scan.duplicates:
        spare = size_text(sum(group.spare for group in scan.duplicates))
        words.append(f"{len(scan.duplicates):,} duplicated ({spare} could be freed)")
    if scan.single_copies:
        single = sum(one.files for one in scan.single_copies)
        words.append(count_text(single, "single copy", "single copies") if single else "no single copy")
    if counts[Concern.NOTE]:
        words.append(count_text(counts[Concern.NOTE], "note"))
    return ", ".join(words) or "nothing"


_WORDS = {Concern.UNSEEN: "not seen", Concern.UNREADABLE: "damaged or unreadable", Concern.INCOMPLETE: "incomplete"}


def when_text(dataset: ScannedDataset) -> str:
    """``2026-03-14 15:09`` or ""."""
    return dataset.facts.acquired[:16].replace("T", " ")


def step_text(dataset: ScannedDataset) -> str:
    """The size of a pixel, or the step of a spectrum, with its unit."""
    facts = dataset.facts
    pairs = ((facts.pixel_size, "m"), (facts.reciprocal_pixel_size, "1/m"), (facts.energy_step, "eV"))
    return ", ".join(quantity_text(value, unit) for value, unit in pairs if value is not None)


def voltage_text(dataset: ScannedDataset) -> str:
    """``200 kV`` or ""."""
    return "" if dataset.facts.voltage is None else quantity_text(dataset.facts.voltage, "V")


def content_text(dataset: ScannedDataset) -> str:
    """``image 512 × 512``, with how many more there are."""
    facts = dataset.facts
    more = f" and {facts.signals - 1} more" if facts.signals > 1 else ""
    return f"{facts.kind.replace('_', ' ')} {shape_text(facts.shape)}".strip() + more


#: Reasons that go without saying.
_USUAL = ("a folder with data", "no date in the files or the folder name")


def unusual(session: PlannedSession) -> str:
    """Why the files make a session, where it is not the plain case of a folder with data."""
    return "; ".join(reason for reason in session.why.split("; ") if reason not in _USUAL)


def session_day(session: PlannedSession) -> str:
    """Its date; where it has none, the years of its data."""
    if session.date or not session.first:
        return session.date
    first, last = session.first[:4], session.last[:4]
    return first if first == last else f"{first}-{last}"


def shape_text(shape: Sequence[int]) -> str:
    """``512 × 512``."""
    return " × ".join(map(str, shape))


def scan_page(scan: Scan) -> bytes:
    """A scan as one page that any browser shows: summary, sessions, what deserves attention, datasets; HTML5."""
    from diadem.export.pages import render_page

    names = ", ".join(root.replace(os.sep, "/").rstrip("/").rpartition("/")[2] or root for root in scan.roots)
    values = {
        "title": f"Scan of {names}",
        "figures": figures(scan),
        "sessions": scan.sessions,
        "attention": attention(scan),
        "datasets": [dataset for dataset in scan.datasets if dataset.known],
        "notices": scan.notices,
        "made": datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
    }
    return render_page(
        "scan.html", values, folder_text=partial(folder_text, scan), session_day=session_day, when_text=when_text,
        voltage_text=voltage_text, content_text=content_text, step_text=step_text,
    )  # fmt: skip
