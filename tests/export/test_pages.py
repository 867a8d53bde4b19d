"""The page: what it says, that nothing breaks out of it, and that its commands do what it says."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from diadem.export.pages import choose_previews, page_html, sentence
from diadem.model.facts import MAX_DESCRIBED, MAX_PICTURED, DatasetFacts, PackageFacts

VOID = {"meta", "img"}
#: Every element the page is made of; anything else came from a fact.
KNOWN = VOID | {
    *("html", "head", "title", "style", "body", "header", "main", "footer", "section", "article", "div", "p"),
    *("h1", "h2", "h3", "ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td", "code", "pre", "bdi", "a"),
    *("strong", "details", "summary"),
}
ATTRIBUTES = {
    *("lang", "charset", "name", "content", "http-equiv", "class", "id", "href", "rel", "src", "alt", "scope"),
    *("style", "aria-hidden"),
}


class Page(HTMLParser):
    """The page as a browser sees it; fails on an element or attribute that the page does not have of itself."""

    def __init__(self, data: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.text: list[str] = []
        self.links: list[str] = []
        self.images: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(data.decode("utf-8"))
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the element."""
        assert tag in KNOWN, tag
        assert {name for name, _ in attrs} <= ATTRIBUTES, attrs
        found = dict(attrs)
        self.elements.append((tag, found))
        self.links += [found["href"] or ""] if "href" in found else []
        self.images += [found["src"] or ""] if "src" in found else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Elements close in the order in which they opened."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Keep the text, without the style sheet."""
        if self.open and self.open[-1] != "style":
            self.text.append(data)

    def handle_comment(self, data: str) -> None:
        """The page has no comment."""
        raise AssertionError(data)

    @property
    def words(self) -> str:
        """All text, white space as one blank."""
        return re.sub(r"\s+", " ", "".join(self.text))


def picture(seed: int, kind: str = "PNG") -> bytes:
    """A noise image: it does not compress, so its size is known."""
    pixels = np.random.default_rng(seed).integers(0, 255, (64, 64), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def dataset(number: int, **changes: Any) -> DatasetFacts:
    """A dataset with one signal and one field."""
    plain = DatasetFacts(f"d{number}", f"series/frame_{number:05}.tif", "tiff", 2_100_000, 1, ["image, 8 × 8"])
    return replace(plain, rows=[("Acceleration voltage", "200 kV")], **changes)


def package(*datasets: DatasetFacts, **changes: Any) -> PackageFacts:
    """Facts of a package of these datasets."""
    count = len(datasets)
    plain = PackageFacts("ZnO nanorods", "2026-03-14T18:05:00+01:00", "ab" * 32, count, 3_400_000_000, count, datasets)
    return replace(plain, **changes)


FULL = package(
    dataset(1, preview=picture(1)),
    dataset(2, issues=["the file ends 4 frames early"], file_count=2),
    description="Before annealing.",
    license="CC-BY-4.0",
    session={
        "title": "ZnO",
        "date": "2026-03-14",
        "end_date": "2026-03-15",
        "project": "oxides",
        "keywords": ["a", "b"],
    },
    sample={"identifier": "S-12", "name": "ZnO rods", "thickness": 6e-8, "other_names": {"NMI": "Z-3"}},
    instrument={"name": "Titan 80-300", "vendor": "FEI", "kind": "tem", "pid": "https://doi.org/10.5442/NI000001"},
    people=[{"name": "Marie Curie", "orcid": "0000-0002-1825-0097", "role": "operator"}, {"name": "Karl Weiss"}],
    omitted=[("a/link", "symlink", "a link, not a file")],
    software="diadem-em 0.1.0",
)


#: A page as it was written before it was made of templates: what was sealed once is made again, byte for byte.
SEALED = Path(__file__).parent / "sealed_page.html"


def sealed_facts() -> PackageFacts:
    """Facts with everything that a page can tell, in few words."""
    png, jpeg = b"\x89PNG\r\n\x1a\n" + bytes(30), b"\xff\xd8\xff" + bytes(30)
    return replace(
        FULL,
        datasets=[
            dataset(1, preview=png),
            dataset(2, issues=["the file ends 4 frames early"], file_count=2),
            replace(dataset(3, preview=jpeg), primary="a.MRC", rows=[(f"<{n}>", "1 & 'x'") for n in range(45)]),
            replace(dataset(4, preview=b"<svg/>"), primary="x", format="unknown", signals=["a"] * 11, issues=["b"] * 9),
            replace(dataset(5), signals=[], rows=[], size=999, primary="\u202eevil"),
        ],
        dataset_count=7,
        description="",
        session={**FULL.session, "description": "Before\nannealing.", "<odd_key>": {"b": 1, "a": [2, "c"]}},
        people=[*FULL.people, {"orcid": "0000-0002-1825-0097", "email": "a@x.org"}],
        omitted=[("a/link", "symlink", "a link, not a file")] * 3,
        license="",
        continues="diadem:" + "cd" * 32,
    )


def test_the_same_facts_are_the_page_that_was_sealed() -> None:
    assert page_html(sealed_facts()) == SEALED.read_bytes().replace(b"\r\n", b"\n")


def test_what_a_person_said_does_not_hide_what_the_files_say() -> None:
    found = package(
        instruments=[{"model": "Titan"}, {"model": "Titan", "serial": "D3094"}],
        operators=["Marie Curie"],
        days=("2026-03-14", "2026-03-15"),
    )
    files = "From the files: 14 March 2026 to 15 March 2026, Titan, by Marie Curie."
    cases: tuple[tuple[dict[str, Any], str], ...] = (
        ({}, f"No description yet. {files}"),
        ({"sample": {"name": "S-12"}}, f"Sample S-12. {files}"),
        ({"instrument": {"name": "Talos"}}, f"Recorded with the Talos. {files.replace(' Titan,', '')}"),
        ({"session": {"date": "2026-03-14"}}, "Recorded on 14 March 2026. From the files: Titan, by Marie Curie."),
    )
    for said, words in cases:
        assert sentence(replace(found, **said)) == words
    assert sentence(package()).startswith("The date, people")
    assert sentence(package(sample={"name": "S-12"})) == "Sample S-12."


def test_a_person_finds_what_they_look_for() -> None:
    page = Page(page_html(FULL))
    said = (
        "Recorded from 14 March 2026 to 15 March 2026 by Marie Curie with the Titan 80-300, sample ZnO rods.",
        "Before annealing.",
        "archived on 14 March 2026, 18:05 (UTC+01:00)",
        "3.4 GB",
        "Thickness60 nm",
        "NMI: Z-3",
        "Karl Weiss",
        "Acceleration voltage200 kV",
        "1 dataset needs a second look.",
        "the file ends 4 frames early",
        "a/linksymlinka link, not a file",
        "Licence of the data: CC-BY-4.0",
        "diadem custody PACKAGE-ID",
        "package.load('series/frame_00001.tif')",
    )
    assert [words for words in said if words not in page.words] == []
    assert page.links == [
        "https://orcid.org/0000-0002-1825-0097",
        "https://doi.org/10.5442/NI000001",
        "#dataset-2",
        "https://creativecommons.org/licenses/by/4.0/",
    ]


def test_nothing_stated_is_said_plainly() -> None:
    words = Page(page_html(package(dataset(1)))).words
    assert "The date, people, instrument and sample of this session are not stated." in words
    assert "No licence stated; ask the owner" in words
    assert "Worth a look" not in words
    assert "Left out" not in words


def test_nothing_is_loaded_and_nothing_runs() -> None:
    data = page_html(FULL)
    page = Page(data)
    assert data.startswith(b"<!DOCTYPE html>")
    assert all(image.startswith("data:image/") for image in page.images)
    assert b"url(" not in data
    assert b"@import" not in data
    policies = [found["content"] for tag, found in page.elements if tag == "meta" and "http-equiv" in found]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_preview_is_carried_whole(kind: str) -> None:
    preview = picture(3, kind)
    (address,) = Page(page_html(package(dataset(1, preview=preview)))).images
    head, _, body = address.partition(",")
    assert head == f"data:image/{kind.lower()};base64"
    assert base64.b64decode(body) == preview


def test_previews_stay_within_the_budget_and_the_rest_is_counted() -> None:
    facts = package(*(dataset(number, preview=picture(number)) for number in range(1, 11)))
    length = len(Page(page_html(facts)).images[0])
    page = Page(page_html(facts, budget=3 * length + 500))
    assert 0 < sum(map(len, page.images)) <= 3 * length + 500
    assert f"{10 - len(page.images)} previews not shown here" in page.words
    assert Page(page_html(facts, budget=0)).images == []


def test_a_preview_too_large_does_not_keep_out_the_next() -> None:
    large = picture(1) + bytes(100_000)
    chosen = choose_previews([dataset(1, preview=large), dataset(2, preview=picture(2))], 20_000)
    assert (list(chosen.shown), chosen.left_out) == ([1], 1)


def test_a_preview_that_is_no_picture_is_not_shown() -> None:
    page = Page(page_html(package(dataset(1, preview=b"<svg onload='alert(1)'/>"))))
    assert page.images == []
    assert "1 preview not shown here" in page.words


def test_twenty_thousand_datasets_are_cards_then_rows_then_a_count() -> None:
    long = "x" * 5000
    rows = [(long, long)] * 60
    described = [
        replace(dataset(number), rows=rows, issues=[long] * 20, signals=[long] * 20, preview=picture(number))
        for number in range(1, MAX_DESCRIBED + 1)
    ]
    facts = package(*described, dataset_count=20_000, file_count=20_000, omitted=[(long, long, long)] * 5000)
    data = page_html(facts)
    page = Page(data)
    ids = [found["id"] for _, found in page.elements if "id" in found]
    assert ids == [f"dataset-{number}" for number in range(1, MAX_DESCRIBED + 1)]
    assert sum(tag == "article" for tag, _ in page.elements) == MAX_PICTURED
    assert "The first 1,000 are listed here; 19,000 datasets more are described in diadem-record.json" in page.words
    assert len(data) < 10_000_000  # texts of 5,000 characters everywhere; the next line is what a session looks like
    assert len(page_html(replace(facts, datasets=[dataset(n) for n in range(1, 1001)], omitted=[]))) < 500_000


HOSTILE = [
    "<script>alert(1)</script>",
    "</title></style><script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "<!-- ",
    "]]>&lt;script&gt;",
    "photo\u202egnp.exe",
    "nul\x00 and \ud800 and \x85",
    "n" * 100_000,
    "../../etc/passwd",
    "javascript:alert(1)",
]


def hostile_facts(text: str, objects: Mapping[str, Any]) -> PackageFacts:
    """Facts in which every text is the given one."""
    one = DatasetFacts(text, text or "x", text, 1, 2, [text], [(text, text)], [(text, text, text, text)], [text])
    return PackageFacts(
        text,
        text,
        text,
        1,
        1,
        1,
        [one],
        text,
        text,
        objects,
        objects,
        objects,
        [objects],
        [(text, text, text)],
        text,
        (text, text),
        [{"model": text}],
        [text],
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(text: str) -> None:
    keys = ("name", "title", "date", "pid", "orcid", "kind", "vendor", "role", "email", text)
    data = page_html(hostile_facts(text, dict.fromkeys(keys, text)))
    page = Page(data)
    assert b"<script" not in data
    assert b"\x00" not in data
    assert not re.search(r"[\u202a-\u202e\u2066-\u2069]", data.decode())
    assert [link for link in page.links if not link.startswith("#dataset-")] == []
    assert len(data) < 60_000


ANY_TEXT = st.text(st.characters(), max_size=60) | st.text(st.sampled_from("<>&\"'/!-=script \x00\u202e"), max_size=30)
OBJECTS = st.dictionaries(ANY_TEXT | st.sampled_from(["name", "orcid", "pid", "date", "kind", "thickness"]), ANY_TEXT)


@settings(max_examples=100, derandomize=True, deadline=None)
@given(text=ANY_TEXT, objects=OBJECTS)
def test_any_text_gives_a_well_formed_page(text: str, objects: Mapping[str, Any]) -> None:
    data = page_html(hostile_facts(text, objects))
    Page(data)
    assert b"<script" not in data
    assert data == page_html(hostile_facts(text, objects))


def small_bag(folder: Path) -> Path:
    """A bag with names that trouble shells."""
    names = ["scan 1.dm4", "two  spaces/[1] $HOME `x` 'q'.tif", "Größe #1.mrc", "empty.dat"]
    for name in names:
        (folder / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "data" / name).write_bytes(b"" if name.startswith("empty") else name.encode())
    (folder / "bagit.txt").write_bytes(b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n")
    write_list(folder, "manifest-sha256.txt", sorted(f"data/{name}" for name in names))
    write_list(folder, "tagmanifest-sha256.txt", ["bagit.txt", "manifest-sha256.txt"])
    return folder


def write_list(folder: Path, name: str, paths: list[str]) -> None:
    """A manifest of these paths."""
    lines = [f"{hashlib.sha256((folder / path).read_bytes()).hexdigest()}  {path}\n" for path in paths]
    (folder / name).write_bytes("".join(lines).encode())


def commands(system: str) -> str:
    """The commands of one system, as a person copies them from the page."""
    found = re.search(rf"<h3>{system}</h3>.*?<pre><code>(.*?)</code></pre>", page_html(FULL).decode(), re.DOTALL)
    assert found
    return Page(f"<p>{found[1]}</p>".encode()).text[0]


def run(program: list[str], script: str, folder: Path) -> str:
    """What the program prints for the script."""
    command = [*program, script]
    return subprocess.run(command, check=False, cwd=folder, capture_output=True, encoding="utf-8", timeout=120).stdout


def judge(output: str, folder: Path) -> None:
    """The last lines are the two equal counts and the package id."""
    *_, listed, found, last = [line.strip() for line in output.splitlines() if line.strip()]
    assert listed == found == "4"
    assert last.split()[0] == hashlib.sha256((folder / "tagmanifest-sha256.txt").read_bytes()).hexdigest()


@pytest.mark.parametrize(("system", "program"), [("Linux", "sha256sum"), ("macOS", "shasum")])
def test_the_commands_for_a_shell_prove_the_package_and_find_damage(tmp_path: Path, system: str, program: str) -> None:
    if shutil.which(program) is None or sys.platform == "win32":
        pytest.skip(f"this system has no {program}")
    bag = small_bag(tmp_path)
    output = run(["sh", "-c"], commands(system), bag)
    assert output.count(": OK\n") == 6
    judge(output, bag)
    (bag / "data" / "scan 1.dm4").write_bytes(b"scan 2.dm4")
    assert "data/scan 1.dm4: FAILED" in run(["sh", "-c"], commands(system), bag)


def test_the_commands_for_windows_prove_the_package_and_find_damage(tmp_path: Path) -> None:
    shell = shutil.which("powershell") or shutil.which("pwsh")
    if shell is None:
        pytest.skip("this system has no PowerShell")
    bag = small_bag(tmp_path)
    output = run([shell, "-NoProfile", "-Command"], commands("Windows"), bag)
    assert "0 files are not as archived" in output
    judge(output, bag)
    (bag / "data" / "scan 1.dm4").write_bytes(b"scan 2.dm4")
    assert "NOT AS ARCHIVED: data/scan 1.dm4" in run([shell, "-NoProfile", "-Command"], commands("Windows"), bag)


def test_the_commands_take_names_as_they_are() -> None:
    windows = commands("Windows").splitlines()
    named = [line for line in windows if "Get-" in line or "Test-Path" in line]
    assert len(named) == 6
    assert all("-LiteralPath" in line for line in named)
    for system, program in (("macOS", "shasum -a 256"), ("Linux", "sha256sum")):
        assert commands(system).splitlines() == [
            f"{program} -c tagmanifest-sha256.txt",
            f"{program} -c manifest-sha256.txt",
            "find data -type f | wc -l; wc -l < manifest-sha256.txt",
            f"{program} tagmanifest-sha256.txt",
        ]
