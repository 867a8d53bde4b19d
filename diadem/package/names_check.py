"""Names in a bag that do not survive every system: twins, system files, characters that some cannot hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from diadem.model.names import illegal, twin_key
from diadem.package.findings import Findings

_SYSTEM_FILES = frozenset({".ds_store", "thumbs.db", "desktop.ini"})


def report_names(findings: Findings, paths: Collection[str]) -> None:
    """Warn of names that would be lost, changed or confused on another system."""
    for group in twins(paths):
        others = ", ".join(group[1:])
        findings.warning("name-twins", f"on some systems it is the same file as {others}", group[0])
    parts: dict[str, str | None] = {}
    for path in paths:
        name = path.rpartition("/")[2].lower()
        if name in _SYSTEM_FILES or name.startswith("._"):
            findings.warning("system-file", "an operating system makes and changes such files by itself", path)
        for part in path.split("/"):
            reason = parts[part] if part in parts else parts.setdefault(part, illegal(part))
            if reason:
                findings.warning("name-not-portable", f"'{part}': {reason}", path)


def twins(paths: Collection[str]) -> list[list[str]]:
    """Groups of paths that are equal where case and composition are ignored."""
    groups: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        groups[twin_key(path)].append(path)
    return [sorted(group) for group in groups.values() if len(group) > 1]
