"""How much of what real files state the record has right: counts by field and by format, and a list of every miss.

A second count covers everything else that the record says, all of it and a random sample. It reads each assertion
again by another route (`tests/routes/`), which shares no code and no table with DIADEM: the route finds names in the
bytes of the file, and has its own knowledge of what they mean and of their units. An assertion is *confirmed* if the
route finds its value for the same field, in any signal of the file, and *contradicted* if the route finds only other
values.

To run it you need the real instrument files (`--data`, by default beside the checkout). `--package` names a package
of them; then its record is checked instead of a new one. The exit code is 1 if anything is contradicted.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import machine
from expectations import QUESTIONS, Verdict, judge
from expectations import __doc__ as expectation_rules
from real_files import SHARED, by_path, expectations, read_all, unpack
from resample import Reread, drawn, reread
from tables import workplace, write

import diadem
from diadem.model.record import Dataset

KINDS = ("right", "absent", "contradicted")


def counted(verdicts: Iterable[Verdict], by: Callable[[Verdict], str]) -> dict[str, Counter[str]]:
    """Verdicts counted by something."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for one in verdicts:
        counts[by(one)][one.verdict] += 1
    return dict(sorted(counts.items()))


def table(title: str, counts: dict[str, Counter[str]]) -> str:
    """One Markdown table of counts, with a sum."""
    lines = [f"| {title} | values | right | absent | contradicted |", "|---|---|---|---|---|"]
    total = sum(counts.values(), Counter[str]())
    for name, count in [*counts.items(), ("**all**", total)]:
        cells = [name, str(count.total()), *(str(count[kind]) for kind in KINDS)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def misses(verdicts: Sequence[Verdict], kind: str) -> str:
    """Every absent or contradicted one: file, key, expected, got, locator."""
    found = [one for one in verdicts if one.verdict == kind]
    if not found:
        return f"None is {kind}."
    lines = ["| file | key | field | expected | got | locator |", "|---|---|---|---|---|---|"]
    for one in found:
        cells = (one.file, one.key, one.field, one.expected, "–" if one.got is None else one.got, one.locator or "–")
        lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
    return "\n".join(lines)


def resampled(verdicts: Sequence[Reread], sample: Sequence[Reread], seed: int) -> str:
    """The second count, and every assertion that is not confirmed."""
    lines = [
        "Assertions whose field has no true value for their file, read again by another route.",
        "",
        "| | assertions | confirmed | contradicted | no other route |",
        "|---|---|---|---|---|",
    ]
    for name, some in ((f"sample of {len(sample)}, seed {seed}", sample), ("all", verdicts)):
        counts = Counter(one.verdict for one in some)
        cells = [name, str(len(some)), *(str(counts[kind]) for kind in ("confirmed", "contradicted", "no other route"))]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "Not confirmed:", "", "| file | field | value | other route | verdict |", "|---|---|---|---|---|"]
    for one in verdicts:
        if one.verdict != "confirmed":
            cells = [_cell(cell) for cell in (one.file, one.field, one.value, one.other or "–", one.verdict)]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")[:120]


def report(verdicts: Sequence[Verdict], outside: Counter[str]) -> str:
    """The whole text."""
    without = ", ".join(f"`{key}` ({count})" for key, count in sorted(outside.items()))
    parts = [
        "## By key",
        table("key, field", counted(verdicts, lambda one: f"`{one.key}`, `{one.field}`")),
        "## By format",
        table("format", counted(verdicts, lambda one: one.format)),
        "## Contradicted",
        misses(verdicts, "contradicted"),
        "## Absent",
        misses(verdicts, "absent"),
        "## Without a field",
        f"Keys of the true values that no field of the record holds, not counted: {without}.",
    ]
    return "\n\n".join(parts)


def page(text: str) -> str:
    """The text as a page of the documentation."""
    rules = expectation_rules.partition("\n\n")[2]
    taken = f"diadem-em {diadem.__version__}, {datetime.now(UTC).date()}: `python benchmarks/accuracy.py --markdown …`."
    return f"# Accuracy\n\n{__doc__.strip()}\n\n{taken}\n\n## How it is judged\n\n{rules.strip()}\n\n{text}\n"


def only(true: Mapping[str, Any], folders: str) -> Mapping[str, Any]:
    """The files of some folders, or all of them."""
    chosen = tuple(f"{folder.strip('/')}/" for folder in folders.split(",") if folder)
    return {path: told for path, told in true.items() if not chosen or path.startswith(chosen)}


def compare(true: Mapping[str, Any], datasets: Mapping[str, Dataset]) -> tuple[list[Verdict], Counter[str]]:
    """Verdicts on every expectation, and the keys that have no field."""
    verdicts = [
        verdict
        for path, told in true.items()
        for verdict in judge(datasets.get(path), path, told["format"], told["expected"])
    ]
    outside = Counter(key for told in true.values() for key in told["expected"] if key not in QUESTIONS)
    return verdicts, outside


def main(arguments: list[str] | None = None) -> int:
    """Compare, print, keep."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, default=SHARED, help="folder of the real files and expected.json")
    options.add_argument("--package", type=Path, help="a package of the unpacked files, whose record is judged")
    options.add_argument("--work", type=Path, help="folder for the unpacked files (default: a temporary one)")
    options.add_argument("--only", default="", help="folders of the real files, joined by commas (default: all)")
    options.add_argument("--sample", type=int, default=100, help="assertions in the sample (default 100)")
    options.add_argument("--seed", type=int, default=20260314, help="of the sample")
    options.add_argument("--markdown", type=Path, help="also write the tables to this file")
    options.add_argument("--json", type=Path, dest="report", help="also write every verdict to this file")
    chosen = options.parse_args(arguments)
    with workplace(chosen.work) as work:
        true = only(expectations(chosen.data), chosen.only)
        if chosen.package:
            folder, datasets = chosen.package / "data", by_path(diadem.open(chosen.package).record.datasets)
        else:
            folder = unpack(chosen.data, work)
            datasets = read_all(folder, sorted({path.partition("/")[0] for path in true}) if chosen.only else ())
        verdicts, outside = compare(true, datasets)
        again = reread(true, datasets, folder)
        document = {"machine": machine.describe(work), "seed": chosen.seed}
    sample = drawn(again, chosen.sample, chosen.seed)
    text = report(verdicts, outside) + "\n\n## Beyond the true values\n\n" + resampled(again, sample, chosen.seed)
    print(text)
    if chosen.markdown:
        chosen.markdown.write_text(page(text), encoding="utf-8")
    told = {"verdicts": verdicts, "sample": sample, "beyond": again}
    told = {name: [asdict(one) for one in some] for name, some in told.items()}
    write(chosen.report, {**document, **json.loads(json.dumps(told, default=str))})
    return 1 if any(one.verdict == "contradicted" for one in (*verdicts, *again)) else 0


if __name__ == "__main__":
    sys.exit(main())
