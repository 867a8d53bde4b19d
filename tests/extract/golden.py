"""What the real instrument files give today, one line for each thing: `golden.txt` beside this file.

`test_golden.py` compares it. Where a change of values is meant, ``python -m tests.extract.golden --accept``, run in the
checkout, writes it anew; the diff of the file is then what CHANGELOG has to explain. Without ``--accept`` the command
says what differs.

A line begins with the path of the dataset's first file, and what it tells of: `files`, `format`, a signal (`s1`), its
axes (`s1 axis 1`), a field, an issue, a block of the maker's metadata. Numbers have 12 digits. What depends on the
machine, on the day or on versions is left out: who stated a value, digests, messages.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import diadem
from tests.real_files import SHARED, unpack

GOLDEN = Path(__file__).with_name("golden.txt")
COMMAND = "python -m tests.extract.golden --accept"
#: Beyond as many values a list is shown by its ends and a digest.
_SHOWN = 8


def lines(datasets: Iterable[Mapping[str, Any]]) -> list[str]:
    """The lines of the datasets of a record, sorted."""
    return sorted(f"{dataset['files'][0]['path']} | {told}" for dataset in datasets for told in _told(dataset))


def difference(before: Iterable[str], now: Iterable[str]) -> list[str]:
    """What is lost, added and changed: ``-`` before a line that stood there, ``+`` before one that stands there now."""
    lost, added = set(before), set(now)
    lost, added = lost - added, added - lost
    changed = {_subject(line) for line in lost} & {_subject(line) for line in added}
    marked = [(_subject(line), f"- {line}") for line in sorted(lost)]
    marked = sorted([*marked, *((_subject(line), f"+ {line}") for line in sorted(added))], key=lambda one: one[0])
    titled = {
        "lost": [line for subject, line in marked if subject not in changed and line.startswith("-")],
        "added": [line for subject, line in marked if subject not in changed and line.startswith("+")],
        "changed": [line for subject, line in marked if subject in changed],
    }
    return [line for title, some in titled.items() if some for line in (f"{title}:", *some)]


def _told(dataset: Mapping[str, Any]) -> Iterator[str]:
    files = {one["id"]: one["path"] for one in dataset["files"]}
    first = dataset["files"][0]
    yield "files | " + _text(sorted(f"{one['path']} {one['role']}" for one in dataset["files"]))
    yield f"format | {first['format']} by {_text(first['format_evidence'])}"
    for signal in dataset["signals"]:
        yield f"{signal['id']} | " + _members(signal, without=("id", "axes"))
        for number, axis in enumerate(signal["axes"]):
            yield f"{signal['id']} axis {number} | " + _members(axis)
    for field, assertions in dataset["fields"].items():
        for one in assertions:
            source = {**one["source"], "file": files.get(one["source"]["file"], one["source"]["file"])}
            if source["file"] == first["path"]:
                del source["file"]
            value = " ".join([_text(one["value"]), one.get("unit", "")]).strip()
            rest = _members(one, without=("value", "unit", "by", "source"))
            yield f"{field} | {value} | {rest} | {_members(source)}"
    for one in dataset["raw"]:
        place = f", bytes {_text(one['byte_range'])}" if "byte_range" in one else ""
        yield f"block {one['place']} | {one['media_type']} of {files[one['file']]}{place}"
    for one in dataset["issues"]:
        yield f"issue | {one['code']}"


def _members(told: Mapping[str, Any], without: tuple[str, ...] = ()) -> str:
    return ", ".join(f"{key} {_text(value)}" for key, value in sorted(told.items()) if key not in without)


def _text(value: Any) -> str:
    """A value as JSON; numbers with the digits on which machines agree, long lists in short."""
    if isinstance(value, list):
        texts = [_text(one) for one in value]
        if len(texts) > _SHOWN:
            digest = hashlib.sha256(" ".join(texts).encode()).hexdigest()[:12]
            texts = [*texts[:2], f"... {len(texts)} values, {digest} ...", texts[-1]]
        return f"[{', '.join(texts)}]"
    if isinstance(value, float):
        value = float(f"{value:.12g}")
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _subject(line: str) -> str:
    """What a line tells of: dataset, and field or signal."""
    return " | ".join(line.split(" | ")[:2])


def main(arguments: list[str]) -> int:
    """Say what differs; with ``--accept`` write it."""
    with tempfile.TemporaryDirectory() as work:
        record = diadem.extract(unpack(SHARED / "data", Path(work) / "data")).to_dict()
    now = lines(record["datasets"])
    before = GOLDEN.read_text(encoding="utf-8").splitlines() if GOLDEN.exists() else []
    sys.stdout.write("".join(f"{line}\n" for line in difference(before, now)))
    if arguments == ["--accept"]:
        GOLDEN.write_text("\n".join(now) + "\n", encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
