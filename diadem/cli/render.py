"""Results in words for a person at a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from diadem.archive.package import Package
from diadem.cli.output import duration_text, size_text
from diadem.model.assertions import Assertion
from diadem.model.plain_text import count_text
from diadem.model.quantities import quantity_text, signal_text
from diadem.model.record import Record
from diadem.model.report import Level, Report

_SHOWN = 20


def packed_document(package: Package) -> dict[str, Any]:
    """What `pack` prints as JSON."""
    outcome = package.outcome
    assert outcome is not None
    return {
        "package": {"id": str(package.id), "payload_id": package.payload_id, "path": package.url},
        "created": outcome.created,
        "status": "archived" if outcome.created else "already archived",
        "files": len(package.files),
        "bytes": sum(entry.size for entry in package.files),
        "omitted": [dict(omission) for omission in outcome.omissions],
        "issues": dict(outcome.issues),
        "flagged": [{"path": path, "code": code} for path, code in outcome.flagged],
        "proof": outcome.proof,
        "swept": [swept.path for swept in outcome.swept],
        "seconds": round(outcome.seconds, 3),
    }


def packed(document: Mapping[str, Any]) -> None:
    """Print what was packed."""
    seconds = max(document["seconds"], 1e-3)
    amount = f"{count_text(document['files'], 'file')}, {size_text(document['bytes'])}"
    if document["created"]:
        rate = size_text(int(document["bytes"] / seconds))
        print(f"archived         {amount} in {duration_text(seconds)} ({rate}/s)")
    else:
        print(f"already archived {amount}; nothing was written")
    print(f"package          {document['package']['id']}")
    print(f"payload          {document['package']['payload_id']}")
    print(f"path             {document['package']['path']}")
    for path in document["swept"]:
        print(f"cleaned up       {path}: left by a run that was stopped")
    for code, count in sorted(document["issues"].items()):
        named = [item["path"] for item in document["flagged"] if item["code"] == code][:3]
        print(f"flagged          {count} × {code}: {', '.join(named)}{', …' if count > len(named) else ''}")
    _omissions(document["omitted"], "left out")


def _omissions(omitted: list[Mapping[str, str]], word: str) -> None:
    for item in omitted[:_SHOWN]:
        print(f"{word:16} {item['path']}: {item['kind']}: {item['reason']}")
    if len(omitted) > _SHOWN:
        print(f"{word:16} and {len(omitted) - _SHOWN:,} more; the record lists all")


def plan(document: Mapping[str, Any]) -> None:
    """Print what would be packed."""
    print(
        f"would archive    {count_text(document['files'], 'file')}, {size_text(document['bytes'])}; nothing was written"
    )
    formats: dict[str, int] = {}
    for dataset in document["datasets"]:
        name = " or ".join(sorted(dataset["readers"])[:3]) or "unknown format, kept as it is"
        formats[name] = formats.get(name, 0) + 1
    for name, count in sorted(formats.items(), key=lambda item: -item[1]):
        print(f"  {count:6,} × {name}")
    for item in document["mapped"][:_SHOWN]:
        print(f"would map        {item['original']!r} → {item['stored']}")
    if len(document["mapped"]) > _SHOWN:
        print(f"would map        and {len(document['mapped']) - _SHOWN:,} more")
    _omissions(document["omitted"], "would leave out")


def report(result: Report) -> None:
    """Print a verification."""
    counts = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in result.checked.items())
    verdict = "NOT intact" if not result.ok else "intact" if result.level != Level.QUICK else "complete"
    print(f"{verdict:16} {result.subject}")
    if result.package_id:
        print(f"package          {result.package_id}")
    if result.level == Level.QUICK:
        print(f"checked          names, sizes and tag files; no content was read: {counts}")
    else:
        print(f"proven           {counts} (level {result.level})")
    for finding in result.findings[:_SHOWN]:
        place = finding.path or ""
        if finding.leaf is not None:
            place += f", leaf {finding.leaf}"
        if finding.range is not None:
            place += f", bytes {finding.range[0]:,} to {finding.range[1]:,}"
        print(f"{finding.severity:16} {finding.code}: {place}")
        print(f"                 {finding.message}")
        if finding.next:
            print(f"                 → {finding.next}")
    if len(result.findings) > _SHOWN:
        print(f"                 and {len(result.findings) - _SHOWN:,} more findings; see --json")


def record(found: Record) -> None:
    """Print the extended metadata."""
    for dataset, document in zip(found.datasets, found.to_dict()["datasets"], strict=True):
        print(f"{dataset.path}  [{dataset.files[0].format}]")
        for signal in document["signals"]:
            print(f"  signal         {signal_text(signal)}")
        for key, assertions in dataset.fields.items():
            for number, text in enumerate(_stated(assertions)):
                print(f"  {'' if number else key:30} {text}")
        for namespace, extension in dataset.extensions.items():
            verdict = "valid" if extension.get("validated") else "not validated"
            print(f"  extension      {namespace} {extension.get('version', '')} ({verdict})")
        for issue in dataset.issues:
            print(f"  ! {issue['code']}: {issue['message']}")


def _stated(assertions: Sequence[Assertion]) -> list[str]:
    """What is stated of a field: one text a value, with the signals it is about where there are several."""
    if len(assertions) == 1 or assertions[0].preferred:
        return [quantity_text(assertions[0].value, assertions[0].unit)]
    about: dict[str, list[str]] = {}
    for assertion in assertions:
        about.setdefault(quantity_text(assertion.value, assertion.unit), []).extend(assertion.applies_to)
    return [f"{text}  ({', '.join(signals)})" if signals else text for text, signals in about.items()]
