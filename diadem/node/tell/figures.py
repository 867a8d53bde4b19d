"""The archive in figures, and figures as Prometheus reads them: one list for `/metrics` and for a file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from diadem.node.tell.news import Look

#: Name, labels (``{store="main"}`` or "") and value.
Row = tuple[str, str, float]
#: By name without ``diadem_``: its type and what it says.
FIGURES: Final[Mapping[str, tuple[str, str]]] = {
    "ok": ("gauge", "Whether no rule of the policy is broken; 0 too where the node cannot be judged."),
    "judged_seconds": ("gauge", "When this was found out, in seconds since 1970."),
    "rule_broken": ("gauge", "Whether a rule of the policy is broken."),
    "rule_warning": ("gauge", "Whether a rule of the policy has a warning."),
    "packages": ("gauge", "Packages that are kept."),
    "copies": ("gauge", "Copies of them that are there."),
    "copies_unseen": ("gauge", "Copies that count and cannot be seen now."),
    "packages_short_of_copies": ("gauge", "Packages with fewer proven copies than the policy wants."),
    "store_reachable": ("gauge", "Whether a store answers."),
    "store_free_bytes": ("gauge", "Bytes that are free in a store that says so."),
    "store_total_bytes": ("gauge", "Bytes that a store has, free or not."),
    "store_copies": ("gauge", "Copies in a store."),
    "store_damaged_copies": ("gauge", "Copies in a store with known damage."),
    "store_missing_copies": ("gauge", "Copies that should be in a store and are gone."),
    "store_unproven_copies": ("gauge", "Copies in a store that were never read."),
    "store_due_copies": ("gauge", "Copies in a store that should have been read again by now."),
    "store_oldest_proof_seconds": ("gauge", "When the copy was read that was read longest ago, in seconds since 1970."),
    "watchers": ("gauge", "Processes that watch folders of instruments."),
    "watched_folders": ("gauge", "Folders that are to be watched."),
    "watched_folders_away": ("gauge", "Folders that are to be watched and are not there."),
    "offers_waiting": ("gauge", "Offers of others that wait for an answer."),
    "receipts_missing": ("gauge", "Packages under way for more than a day whose receipt or confirmation is missing."),
    "untold": ("gauge", "News that could not be told yet, by to whom."),
}


def figures(look: Look, untold: Mapping[str, int]) -> Iterator[Row]:
    """What a look at a node found, in figures; `untold`: how much could not be told yet to each."""
    status, watch = look.status, look.watch
    yield "ok", "", status is not None and status.ok
    if status is not None:
        yield "judged_seconds", "", int(status.time.timestamp())
        for line in status.rules:
            yield "rule_broken", label_text({"rule": line.rule}), line.mark == "broken"
            yield "rule_warning", label_text({"rule": line.rule}), line.mark == "warning"
        yield "packages", "", status.totals.packages
        yield "copies", "", status.totals.copies
        yield "copies_unseen", "", status.totals.unseen
        short = (finding.count for finding in status.findings if finding.rule == "copies.minimum")
        yield "packages_short_of_copies", "", sum(short)
        for store in status.stores:
            name = label_text({"store": store.name})
            yield "store_reachable", name, store.reachable
            for figure, value in (("store_free_bytes", store.free), ("store_total_bytes", store.total)):
                if value is not None:
                    yield figure, name, value
            yield "store_copies", name, store.packages
            yield "store_damaged_copies", name, store.damaged
            yield "store_missing_copies", name, store.missing
            yield "store_unproven_copies", name, store.unproven
            yield "store_due_copies", name, store.due
            if store.proven_since is not None:
                yield "store_oldest_proof_seconds", name, int(store.proven_since.timestamp())
    yield "watchers", "", watch.running
    yield "watched_folders", "", len(watch.folders)
    yield "watched_folders_away", "", sum(bool(one.away or one.problem) for one in watch.folders)
    topics = [matter.topic for matter in look.waiting or ()]
    yield "offers_waiting", "", topics.count("offer")
    yield "receipts_missing", "", topics.count("receipt")
    yield from (("untold", label_text({"to": name}), count) for name, count in untold.items())


def prometheus_text(about: Mapping[str, tuple[str, str]], rows: Iterable[Row]) -> str:
    """Figures in Prometheus's text format; those of one name and labels are added up, others than `about` left out."""
    sums: dict[tuple[str, str], float] = defaultdict(float)
    for name, of, value in rows:
        sums[name, of] += value
    lines = []
    for name, (kind, words) in about.items():
        parts = tuple(f"{name}_{part}" for part in ("bucket", "sum", "count")) if kind == "histogram" else (name,)
        found = {key: value for key, value in sums.items() if key[0] in parts}
        lines += [f"# HELP diadem_{name} {words}", f"# TYPE diadem_{name} {kind}"] if found else []
        lines += [f"diadem_{key}{of} {_number(value)}" for (key, of), value in found.items()]
    return "\n".join(lines) + "\n"


def label_text(named: Mapping[str, str]) -> str:
    """Labels as they stand behind a name. What is named holds no quotation mark: names of stores, rules, routes."""
    inner = ",".join(f'{name}="{value}"' for name, value in sorted(named.items()))
    return f"{{{inner}}}" if inner else ""


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
