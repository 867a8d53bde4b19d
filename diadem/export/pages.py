"""The pages of a package: one file each that any browser shows, now and in fifty years.

`data/ro-crate-preview.html` lies in it; ``READ ME FIRST.html`` beside what is given to someone who has never heard of
DIADEM: what came, from whom, how to check it with what every computer has, and how to say that it arrived. No script,
nothing from elsewhere. They are made of the templates beside this file, in which every text is escaped; here is what
stands in them. The room lies above `store`, for its ZIPs lie on disks. The pages need nothing of that and could stand
with the format in `package`, but sealing never asks for one: whoever packs makes it of the facts, and hands its bytes
over like those of any other file.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import TYPE_CHECKING, Any

from diadem.model.facts import MAX_DESCRIBED, MAX_PICTURED, DatasetFacts, PackageFacts
from diadem.model.manifest import INDEX_PATH, LEAVES_PATH, MANIFEST, TAGMANIFEST, VENDOR_PATH
from diadem.model.markup import templates
from diadem.model.plain_text import date_text, value_text
from diadem.package.crate import NO_LICENCE, is_address, licence_address, orcid_address
from diadem.package.zips import picture_kind

if TYPE_CHECKING:
    from markupsafe import Markup

#: Names of the page, and beside it of the owners' signed corrections, one sheet a line, and of the first chain of
#: custody; further ones are ``chain-2.json`` and so on (`diadem.custody`).
README, CORRECTIONS, CHAIN = "READ ME FIRST.html", "corrections.jsonl", "chain.json"
_CHAINS = re.compile(r"chain(-[1-9][0-9]{0,6})?\.json")
#: What was exported: packages, the instrument's files alone, metadata alone.
WHOLE, RAW, RECORD = "package", "raw", "record"
#: Bytes that the previews' data addresses take together at most; those beyond are left out, and their number told.
BUDGET = 2 << 20
_SESSION = {
    "identifier": "Session",
    "date": "Date",
    "end_date": "Until",
    "project": "Project",
    "proposal": "Proposal",
    "purpose": "Purpose",
    "keywords": "Keywords",
}
_SAMPLE = {
    "name": "Name",
    "identifier": "Identifier",
    "description": "Description",
    "elements": "Elements",
    "thickness": "Thickness",
    "preparation": "Preparation",
    "preparation_date": "Prepared on",
    "provider": "Provided by",
    "provider_identifier": "Provider’s name for it",
    "other_names": "Other names",
    "parent": "Made from",
    "provider_ror": "Provider’s ROR",
}
_INSTRUMENT = {
    "name": "Name",
    "vendor": "Maker",
    "model": "Model",
    "serial": "Serial number",
    "kind": "Kind",
    "site": "Place",
    "software": "Software",
    "pid": "Identifier",
    "owner_ror": "Owner’s ROR",
}
_KINDS = {"tem": "TEM", "sem": "SEM", "fib": "FIB", "him": "helium-ion microscope"}
_DATES = frozenset({"date", "end_date", "preparation_date"})
_FILES = (
    ("data/", "The files as the instrument wrote them, with their names and folders."),
    ("data/diadem-record.json", "The extended metadata: every value with its unit and where it was found. JSON."),
    ("data/ro-crate-metadata.json", "The same in the vocabulary of RO-Crate 1.2, for repositories. JSON-LD."),
    ("data/ro-crate-preview.html", "This page."),
    (MANIFEST, "The SHA-256 of every file in data. Text, made for sha256sum."),
    (TAGMANIFEST, "The SHA-256 of the files beside data. Its own SHA-256 is the package id."),
    ("bagit.txt, bag-info.txt", "Say that this is a BagIt 1.0 bag (RFC 8493), when it was made and how large it is."),
    (INDEX_PATH, "Size, time and original name of every file. Text, separated by tabs."),
    (LEAVES_PATH, "A BLAKE3 digest of every leaf (1 MiB), so that damage can be found and repaired piece by piece."),
    (VENDOR_PATH, "The instrument makers' own metadata blocks, as they were."),
)
#: How a card's picture is written, in `parts.html` and on every page that was ever sealed.
_PICTURE = re.compile(
    rb'<article class="card" id="dataset-([0-9]{1,6})">\n'
    rb'<div class="stage"><img src="data:image/(?:png|jpeg);base64,([A-Za-z0-9+/=]+)"'
)


def page_html(facts: PackageFacts, *, budget: int = BUDGET, cleaned: bool = False) -> bytes:
    """The page of a package: HTML5 in UTF-8, self-contained. The same facts give the same bytes.

    The first 200 datasets are cards, those up to `MAX_DESCRIBED` rows of a table, the rest is counted. Of a copy from
    which people's names were taken, `cleaned`, it is that of no package, and nothing on it says so.
    """
    title = facts.name.strip() or "Untitled session"
    description = facts.description or str(facts.session.get("description", ""))
    return render_page(
        "package.html", page_values(facts, budget), title=title, description=description, cleaned=cleaned
    )


@dataclass(frozen=True, slots=True)
class EnclosedFolder:
    """One folder of the ZIP, with what is in it; `id` is that of the package that it is, or was taken from."""

    folder: str
    id: str
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class ReadMe:
    """What the page beside an export says: the session in plain words, and what came of it, of a `kind`.

    `moment` is when it was made, ISO 8601; `to` and `sender` are "" where neither is to be said; `redacted` says
    whether people's names were taken out, `others` how many packages of the same session are not enclosed. `renamed`
    are files that have another name here than they had: both names, the one here first. `corrected` is what the owner
    corrected since, in words: what, before, now, by; "" where nothing was stated before, or is now. `doubts` are
    warnings about the data and their sources, a sentence each. `custody` says whether chains are enclosed.
    """

    facts: PackageFacts
    enclosed: Sequence[EnclosedFolder]
    kind: str
    moment: str
    to: str = ""
    sender: str = ""
    redacted: bool = False
    others: int = 0
    renamed: Sequence[tuple[str, str]] = ()
    corrected: Sequence[tuple[str, str, str, str]] = ()
    doubts: Sequence[str] = ()
    custody: bool = False


def chain_name(number: int) -> str:
    """The name of one of the chains of custody beside packages, counted from 1."""
    return CHAIN if number == 1 else f"{CHAIN.removesuffix('.json')}-{number}.json"


def lies_beside(name: str) -> bool:
    """Whether an export puts a file of this name beside packages."""
    return name in (README, CORRECTIONS) or _CHAINS.fullmatch(name) is not None


def readme_html(readme: ReadMe) -> bytes:
    """The page beside an export. The same values give the same bytes."""
    values = {field.name: getattr(readme, field.name) for field in fields(readme)}
    name = readme.facts.name.strip() or "Untitled session"
    title = f"{name}: read me first"
    return render_page(
        "readme.html", values | page_values(readme.facts), name=name, title=title, CORRECTIONS=CORRECTIONS, CHAIN=CHAIN
    )


def render_page(template: str, values: Mapping[str, Any], **more: Any) -> bytes:
    """A page of this room, which needs nothing but itself."""
    text: str = _environment().get_template(template).render(values, **more)
    return text.encode()


@cache
def _environment() -> Any:
    made = templates("export")
    made.globals |= {
        "FILES": _FILES, "LISTS": (TAGMANIFEST, MANIFEST), "MANIFEST": MANIFEST, "NO_LICENCE": NO_LICENCE,
        "MAX_DESCRIBED": MAX_DESCRIBED, "MAX_PICTURED": MAX_PICTURED,
        "licence_address": licence_address, "orcid_address": orcid_address, "powershell": powershell, "shell": shell,
    }  # fmt: skip
    return made


def page_values(facts: PackageFacts, budget: int = BUDGET) -> dict[str, Any]:
    """What the parts that all pages of a package share need of it."""
    session = {key: value for key, value in facts.session.items() if key not in {"title", "description", "license"}}
    datasets = facts.datasets[:MAX_DESCRIBED]
    return {
        "facts": facts,
        "sentence": sentence(facts),
        "panels": {
            "Session": _rows(session, _SESSION),
            "Sample": _rows(facts.sample, _SAMPLE),
            "Instrument": _rows(facts.instrument, _INSTRUMENT),
        },
        "noted": [(number, dataset) for number, dataset in enumerate(datasets, 1) if dataset.issues],
        "previews": choose_previews(datasets, budget),
        "example": _example(facts),
    }


def sentence(facts: PackageFacts) -> str:
    """The session in one sentence, of what is known."""
    start, end = (str(facts.session.get(key, "")) for key in ("date", "end_date"))
    when = f" from {date_text(start)} to {date_text(end)}" if end and end != start else f" on {date_text(start)}"
    operators = [str(person.get("name", "")) for person in facts.people if "operator" in str(person.get("role", ""))]
    instrument = str(facts.instrument.get("name") or facts.instrument.get("model") or "")
    sample = str(facts.sample.get("name") or facts.sample.get("identifier") or "")
    parts = (
        when if start else "",
        f" by {_joined(operators)}" if operators else "",
        f" with the {instrument}" if instrument else "",
        f", sample {sample}" if sample else "",
    )
    files = _from_files(facts, when=not start, who=not operators, what=not instrument)
    if not any(parts):
        nobody = "The date, people, instrument and sample of this session are not stated."
        return f"No description yet. {files}" if files else nobody
    stated = f"Recorded{''.join(parts)}." if any(parts[:3]) else f"Sample {sample}."
    return f"{stated} {files}".rstrip()


def _from_files(facts: PackageFacts, *, when: bool, who: bool, what: bool) -> str:
    """What the files themselves say of a session, of that which nobody has said; "" where they say nothing."""
    days = "" if facts.days is None else " to ".join(date_text(day) for day in dict.fromkeys(facts.days))
    models = list(dict.fromkeys(str(one["model"]) for one in facts.instruments if "model" in one))
    parts = [
        days if when else "",
        _joined(models) if models and what else "",
        f"by {_joined(facts.operators)}" if facts.operators and who else "",
    ]
    text = ", ".join(part for part in parts if part)
    return f"From the files: {text}." if text else ""


def _joined(names: Sequence[str]) -> str:
    shown = [*names[:4], *(["others"] if len(names) > 4 else [])]
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else shown[0]


def _rows(source: Mapping[str, Any], labels: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Label, text and address ("" for none) of every key that says something, in the order of the labels."""
    rows = []
    for key in (*(key for key in labels if key in source), *sorted(key for key in source if key not in labels)):
        value = source[key]
        if key == "thickness" and isinstance(value, (int, float)):
            text = f"{value * 1e9:.4g} nm"
        else:
            text = date_text(value_text(value)) if key in _DATES else value_text(value)
        if text:
            shown = _KINDS.get(text, text) if key == "kind" else text
            rows.append((labels.get(key, key.replace("_", " ")), shown, text if is_address(text) else ""))
    return rows


def _example(facts: PackageFacts) -> str:
    """How to open a dataset in Python, with the name of one that is here."""
    named = (item.primary for item in facts.datasets if item.signals and len(item.primary) <= 120)
    path = next(named, "scan.dm4")  # as Python source, plain ASCII: nothing in a name is hidden or turned
    return (
        "import diadem\n\n"
        'package = diadem.open("the folder that holds bagit.txt")\n'
        f"signal = package.load({path!a})   # a lazy HyperSpy signal\n"
        "package.record.datasets[0].fields           # every value, with its unit and its source\n"
        "package.verify().raise_for_findings()       # checks every byte"
    )


# -- previews ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Previews:
    """Data addresses of the previews that fit, by index of the dataset, and how many were left out."""

    shown: dict[int, Markup]
    left_out: int


def choose_previews(datasets: Sequence[DatasetFacts], budget: int) -> Previews:
    """Take previews in order while their data addresses fit in `budget` bytes together.

    A preview that is neither PNG nor JPEG is never shown: the page must not carry other content.
    """
    from markupsafe import Markup

    shown: dict[int, Markup] = {}
    left_out = 0
    for index, dataset in enumerate(datasets):
        _, kind = picture_kind(dataset.preview)
        address = f"data:{kind};base64,{base64.b64encode(dataset.preview).decode()}" if kind and dataset.preview else ""
        if address and index < MAX_PICTURED and len(address) <= budget:
            shown[index] = Markup(address)  # noqa: S704  nothing in it is a mark
            budget -= len(address)
        elif dataset.preview:
            left_out += 1
    return Previews(shown, left_out)


def previews_on(page: bytes) -> dict[int, bytes]:
    """The previews that a page of ours shows, by index of the dataset. Anything else on it is passed over."""
    found = {}
    for match in _PICTURE.finditer(page):
        try:
            picture = base64.b64decode(match[2], validate=True)
        except ValueError:
            continue
        if any(picture_kind(picture)):
            found[int(match[1]) - 1] = picture
    return found


# -- how to check without DIADEM ---------------------------------------------------------------------------------------


def powershell(lists: Sequence[str], *, closed: bool, identified: bool) -> str:
    """Commands for Windows PowerShell 4 and later.

    `-LiteralPath` because names may hold [ and ]; `-split` with 2 because they may hold two spaces; UTF8 because 5.1
    would read the system's code page.
    """
    quoted = ", ".join(f"'{name}'" for name in lists)
    lines = [
        f"""$bad = 0
foreach ($list in {quoted}) {{
  foreach ($line in Get-Content -LiteralPath $list -Encoding UTF8) {{
    $want, $path = $line -split '  ', 2
    $have = ''
    if (Test-Path -LiteralPath $path -PathType Leaf) {{
      $have = (Get-FileHash -LiteralPath $path -Algorithm SHA256).Hash
    }}
    if ($have -ne $want) {{ $bad++; "NOT AS ARCHIVED: $path" }}
  }}
}}
"$bad files are not as archived\""""
    ]
    if closed:
        lines.append("(Get-ChildItem -LiteralPath data -Recurse -File -Force | Measure-Object).Count")
        lines.append(f"(Get-Content -LiteralPath {lists[-1]} -Encoding UTF8 | Measure-Object).Count")
    if identified:
        lines.append(f"(Get-FileHash -LiteralPath {lists[0]} -Algorithm SHA256).Hash.ToLower()")
    return "\n".join(lines)


def shell(program: str, lists: Sequence[str], *, closed: bool, identified: bool) -> str:
    """Commands for a shell: `sha256sum` on Linux, ``shasum -a 256`` on macOS."""
    lines = [f"{program} -c {name}" for name in lists]
    if closed:
        lines.append(f"find data -type f | wc -l; wc -l < {lists[-1]}")
    if identified:
        lines.append(f"{program} {lists[0]}")
    return "\n".join(lines)
