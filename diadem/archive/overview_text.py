"""An overview in words for a person at a terminal: one screen for an ordinary session."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from diadem.model.plain_text import count_text, first_of, printable, quoted, size_text, value_text
from diadem.model.quantities import quantity_text

WIDTH: Final = 110
#: People, samples, instruments that are named.
_NAMED: Final = 4
#: Characters of the name of a dataset.
_NAME: Final = 36
_SOURCES: Final = {
    "stated": "as stated when it was archived",
    "corrected": "as its owner corrected it",
    "files": "from the files",
    "name": "from the folder's name",
}
#: How values are said in a line, where a number and its unit alone do not say what they are.
_SAID: Final = {
    "optics.magnification": "{}×",
    "optics.camera_length": "camera length {}",
    "image.pixel_size_x": "{} per pixel",
    "camera.exposure": "exposure {}",
    "scan.dwell_time": "dwell {}",
}
_STATES: Final = {"suspect": "DAMAGED", "missing": "FILES ARE MISSING", "dropped": "given up"}


@dataclass(frozen=True)
class _Most:
    """How much is named before the rest is counted: datasets; copies, judgements, corrections each; doubts."""

    datasets: int = 12
    others: int = 6
    doubts: int = 3


def overview_text(document: Mapping[str, Any], *, whole: bool = False) -> str:
    """The text of what `Overview.to_dict` gives. Words of others stand in it, fit for a terminal."""
    short = document["id"][7:19]
    most = _Most() if not whole else _Most(*([sys.maxsize] * 3))
    lines = [
        _one(document["title"]),
        *_head(document, short),
        "",
        *_datasets(document, short, most),
        *_copies(document, short, most),
        *_said(document, short, most),
        "",
        *_next(document, short),
    ]
    return "\n".join(lines)


def _one(text: object) -> str:
    return printable(str(text))


def _row(name: str, text: str) -> Iterator[str]:
    for number, line in enumerate(textwrap.wrap(_one(text), WIDTH - 12, break_on_hyphens=False) or [""]):
        yield f"{'' if number else name:11} {line}".rstrip()


def _head(document: Mapping[str, Any], short: str) -> Iterator[str]:
    """When, who, what, with what; what was corrected has its old value behind it."""
    days, archived = document["days"], str(document["archived"])[:10]
    when = days["first"] or ""
    if when and days["last"] != when:
        when += f" to {days['last']}"
    owner = f" by {document['owner']}" if document["owner"] else ""
    before = _before(document, "session.date", "session.end_date")
    told = f"{when}   ({_SOURCES.get(days['source'], '')}{before})" if when else "date unknown"
    yield from _row("recorded", told)
    yield from _row("archived", f"{archived}{owner}")
    yield from _row("package", f"{document['id']}   (short: {short})")
    if document["continues"]:
        yield from _row("continues", f"{document['continues'][7:19]}, and holds only what was new or changed")
    if document["continued_by"]:
        yield from _row("continued", f"by {', '.join(one[7:19] for one in document['continued_by'])}")
    if document["identifiers"]:
        yield from _row("called", first_of(document["identifiers"], _NAMED))
    people = [_person(one) for one in document["people"]] or list(document["operators"])
    if people:
        yield from _row("people", first_of(people, _NAMED, "; ") + _before(document, "person.operator"))
    if sample := _sample(document):
        yield from _row("sample", sample)
    if instrument := _instruments(document):
        yield from _row("instrument", instrument + _before(document, "instrument.name", "instrument.model"))
    for key in ("project", "purpose"):
        if said := document["session"].get(key):
            yield from _row(key, value_text(said))
    if document["description"]:
        yield from list(_row("about", document["description"]))[:3]
    if document["licence"]:
        yield from _row("licence", document["licence"])


def _before(document: Mapping[str, Any], *fields: str) -> str:
    """What stood there before it was corrected."""
    was = [", ".join(one["was"]) for one in document["corrections"] if one["field"] in fields and one["was"]]
    return f"   [was: {'; '.join(was)}]" if was else ""


def _person(one: Mapping[str, Any]) -> str:
    role = f" ({one['role']})" if one.get("role") else ""
    return f"{one.get('name') or one.get('orcid') or 'somebody'}{role}"


def _sample(document: Mapping[str, Any]) -> str:
    """The sample as it is called now."""
    sample = document["sample"]
    names = [str(sample[key]) for key in ("identifier", "name") if sample.get(key)]
    names = names or list(document["samples"])
    about = [str(sample["description"])] if sample.get("description") else []
    fields = [f"sample.{key}" for key in ("identifier", "name", "description")]
    return first_of([*names, *about], _NAMED) + _before(document, *fields) if names or about else ""


def _instruments(document: Mapping[str, Any]) -> str:
    said = document["instrument"]
    if name := said.get("name") or said.get("model"):
        model = f" ({said['model']})" if said.get("model") and said["model"] != name else ""
        return f"{name}{model}"
    return first_of((str(one.get("name") or one.get("model")) for one in document["instruments"]), _NAMED)


def _datasets(document: Mapping[str, Any], short: str, most: _Most) -> Iterator[str]:
    """One line a dataset; what all of them state stands above."""
    datasets, count = document["datasets"], document["dataset_count"]
    what = short if document["at_node"] else quoted(document["url"])
    size = f"{count_text(document['file_count'], 'file')}, {size_text(document['bytes'])}"
    yield f"{count_text(count, 'dataset')}, {size}"
    if document["omitted"]:
        left = count_text(len(document["omitted"]), "item")
        yield f"  left out   {left} of the source; see: diadem show {what} --json"
    said = [{value["key"]: value["text"] for value in one["values"]} for one in datasets]
    shared = {key: text for key, text in said[0].items() if all(one.get(key) == text for one in said)} if said else {}
    shared = shared if len(said) > 1 else {}
    if shared:
        yield _fitting("  each ", _values(shared))
    shown = datasets[: most.datasets]
    width = min(_NAME, max((len(_name(one)) for one in shown), default=0))
    for one, values in zip(shown, said, strict=False):
        shapes = one["shapes"]
        form = shapes[0] if len(shapes) == 1 else count_text(len(shapes), "signal") if shapes else ""
        own = _values({key: text for key, text in values.items() if key not in shared})
        if not form and not own:
            own = [f"{one['format'] or 'unknown'} format, {size_text(one['bytes'])}"]
        yield _fitting(f"  {one['id']:4} {_name(one):{width}}  ", [form, *own])
        more = f" and {len(one['issues']) - 1} more" if len(one["issues"]) > 1 else ""
        if one["issues"]:
            yield _cut(f"       ! {one['issues'][0]}{more}")
    if count > len(shown):  # of more than a thousand, a record has the rest
        how = f"diadem show {what} --all" if len(datasets) > len(shown) else f"diadem show {what} --files"
        yield f"  and {count - len(shown):,} more: {how}"


def _values(values: Mapping[str, str]) -> list[str]:
    """Values as a microscopist says them, without those that others tell already."""
    left_out = {"beam.mode"} if "signal.technique" in values else set()
    if "optics.magnification" in values:
        left_out.add("optics.camera_length")
    return [_SAID.get(key, "{}").format(text) for key, text in values.items() if key not in left_out]


def _name(one: Mapping[str, Any]) -> str:
    name = _one(one["path"])
    return name if len(name) <= _NAME else "…" + name[1 - _NAME :]


def _fitting(line: str, texts: Sequence[str]) -> str:
    """A line with as many texts as it holds, none of them cut."""
    mark = ""
    for text in filter(None, map(_one, texts)):
        if len(line) + len(mark) + len(text) > WIDTH:
            return f"{line} …"
        line, mark = f"{line}{mark}{text}", " · "
    return line.rstrip()


def _cut(line: str) -> str:
    line = _one(line)
    return line if len(line) <= WIDTH else line[: WIDTH - 1] + "…"


def _copies(document: Mapping[str, Any], short: str, most: _Most) -> Iterator[str]:
    if not document["copies"]:  # no node was asked, or from elsewhere, where it does not tell
        yield ""
        yield f"copy read   {_one(document['url'])}"
        return
    copies = document["copies"]
    yield ""
    yield f"{count_text(len([one for one in copies if one['state'] == 'present']), 'copy', 'copies')}"
    for one in copies[: most.others]:
        away = f"; cannot be seen now: {one['away']}" if one["away"] else ""
        proof = f"proven whole on {one['proven_at'][:10]}" if one["proven_at"] else "never read whole"
        if one["state"] != "present":
            last = f"; last {proof}" if one["proven_at"] else ""
            proof = f"{_STATES.get(one['state'], one['state'])}{last}"
        adopted = ", adopted folder" if one["adopted"] else ""
        yield _one(f"  {one['store']:8} {one['place']}")
        yield _one(f"  {'':8} {proof}{adopted}{away}")
    if len(copies) > most.others:
        yield f"  and {len(copies) - most.others:,} more: diadem show {short} --all"


def _said(document: Mapping[str, Any], short: str, most: _Most) -> Iterator[str]:
    """Assessments, warnings and corrections."""
    judged = [one for one in document["judgements"] if one["counts"]]
    if judged or document["warnings"]:
        yield ""
        yield "assessed"
    for one in judged[: most.others]:
        question = f"{one['purpose']} ({one['criterion']})" if one["criterion"] else one["purpose"]
        where = f", {one['path']}" if one["path"] else ""
        why = f": {one['comment']}" if one["comment"] else ""
        yield _cut(f"  {one['verdict']:8} for {question}{where}   {one['by']}, {one['time'][:10]}{why}")
    if len(judged) > most.others:
        yield f"  and {len(judged) - most.others:,} more: diadem assess {short}"
    for text in document["warnings"][: most.doubts]:
        yield _cut(f"  !        {text}")
    if len(document["warnings"]) > most.doubts:
        yield f"  and {len(document['warnings']) - most.doubts:,} more warnings: diadem custody {short}"
    corrections: Sequence[Mapping[str, Any]] = document["corrections"]
    if corrections:
        yield ""
        yield "corrected"
    for one in corrections[: most.others]:
        where = f" of {one['path']}" if one["path"] else ""
        was = f"{', '.join(one['was'])} → " if one["was"] else ""
        why = f": {one['reason']}" if one["reason"] else ""
        yield _cut(f"  {one['field']}{where}   {was}{one['is'] or 'withdrawn'}   {one['by']}, {one['time'][:10]}{why}")
    if len(corrections) > most.others:
        yield f"  and {len(corrections) - most.others:,} more: diadem amend {short}"


def _next(document: Mapping[str, Any], short: str) -> Iterator[str]:
    what = short if document["at_node"] else quoted(document["url"])
    if document["page"]:
        yield f"page        {_one(document['page'])}"
        yield f"            in a browser: diadem open {_one(what)}"
    if document["datasets"]:
        named = quoted(document["datasets"][0]["path"])
        asked = f"diadem show {_one(what)} --dataset {_one(named)}"
        yield f"more        {asked}  (every value of one; also --files, --json)"


def dataset_text(table: Mapping[str, Any]) -> str:
    """Every value of one dataset, and below each what says so."""
    lines = [f"{table['id']}  {_one(table['path'])}"]
    others = [one for one in table["files"] if one["path"] != table["path"]]
    lines += [_one(f"  {one['role']:10} {one['path']}, {size_text(one['bytes'])}") for one in others]
    lines += [_one(f"  {'signal ' + one['id']:10} {one['text']}") for one in table["signals"]]
    key = ""
    for one in table["values"]:
        name = "" if one["key"] == key else one["key"]
        key = one["key"]
        about = f"   ({', '.join(one['signals'])})" if one["signals"] and len(table["signals"]) > 1 else ""
        was = f"   [was: {', '.join(one['was'])}]" if one["was"] else ""
        extra = "   stated by others; does not count" if one["extra"] else ""
        lines.append(_one(f"  {name:32} {one['text']}{about}{was}{extra}"))
        lines.append(_one(f"  {'':34} {_source(one)}"))
    lines += [_one(f"  ! {one['code']}: {one['message']}") for one in table["issues"]]
    if not table["values"]:
        lines.append("  nothing is stated about it")
    if table["vendor"]:
        lines.append(f"  the maker's own metadata, kept in full: {count_text(len(table['vendor']), 'block')}")
    return "\n".join(lines)


def _source(one: Mapping[str, Any]) -> str:
    """What stood there, by which rule it was read, and where it stands."""
    rule = f"{one['status']} by {one['rule']}" if one["rule"] else one["status"]
    if one["person"]:
        return f"stated by {one['person']}"
    raw = ""
    if one["raw"] is not None:
        raw = quantity_text(one["raw"]) + (f" {one['raw_unit']}" if one["raw_unit"] else "")
        raw = (raw if len(raw) <= _NAME else raw[: _NAME - 1] + "…") + "  "
    return f"{raw}[{rule}]  {one['place']}".rstrip()


def files_text(files: Sequence[Mapping[str, Any]]) -> str:
    """Every file, with its size and the beginning of its SHA-256."""
    lines = [
        _one(f"{size_text(one['bytes']):>10}  {one['sha256'][:12]}  {one['path']}")
        + (_one(f"   (originally {one['original']})") if one["original"] else "")
        for one in files
    ]
    total = size_text(sum(one["bytes"] for one in files))
    return "\n".join([*lines, f"{total:>10}  in {count_text(len(files), 'file')}"])
