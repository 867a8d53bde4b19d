"""What the page is shown that it should not trust, or cannot read: it says so, and the rest works."""

from __future__ import annotations

import contextlib
import os
import re
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import h5py
import pytest

import diadem
from diadem.testing.faults import flip_byte
from diadem.testing.samples import write_image_session
from tests.page.conftest import Served, ask, enter, serve

pytest.importorskip("starlette", reason="the extra 'page' is not installed")

#: Screens on which something is done with a session.
DEEDS = ("correct", "judge", "files")
EVIL = "<img src=x onerror=window.taken=1>\u202egnp.\u2066exe"
#: A spectrum whose head somebody has written who means no good.
MSA = f"""#FORMAT : EMSA/MAS Spectral Data File
#VERSION : 1.0
#TITLE : </title><script>window.taken=1</script>
#OWNER : {EVIL.encode("ascii", "xmlcharrefreplace").decode()}
#NPOINTS : 4
#NCOLUMNS : 1
#XUNITS : eV
#YUNITS : Counts
#DATATYPE : Y
#XPERCHAN : 1
#OFFSET : 0
#SPECTRUM
1,
2,
3,
4,
#ENDOFDATA
"""


class Markup(HTMLParser):
    """What a page could do by itself: scripts that stand in it, handlers, styles."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what is more than text."""
        names = dict(attrs)
        inline = [name for name in names if name.startswith("on") or name == "style"]
        ours = str(names.get("src") or names.get("href") or "/").startswith(("/", "#"))
        if inline or not ours or (tag == "script" and "src" not in names) or tag in ("iframe", "object", "embed"):
            self.scripts.append(self.get_starttag_text() or tag)


@dataclass(frozen=True)
class Lab:
    """A node, and its page with somebody who was let in: for all of this file, whatever is archived meanwhile."""

    home: Path
    served: Served
    cookie: str

    def archived(self, name: str, **options: Any) -> str:
        """Archive a folder of `home`; the hex digits of the package."""
        with diadem.open_node(self.home / "node") as node:
            return node.archive(self.home / name, now=True, **options).package.id.removeprefix("diadem:")

    def ask(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and content of an answer."""
        return ask(self.served, path, Cookie=self.cookie)

    def folder(self, name: str) -> Path:
        """A new folder of `home`."""
        (self.home / name).mkdir()
        return self.home / name


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """An empty node and its page."""
    home = tmp_path_factory.mktemp("lab")
    diadem.Node.create(home / "node", name="emlab", user="anna", store=str(home / "store")).close()
    for served in serve(home / "node"):
        yield Lab(home, served, enter(served))


@pytest.fixture(scope="module")
def hostile(lab: Lab) -> tuple[Served, str, str]:
    """The page, the cookie, and a session there that has names and words of every kind."""
    session = lab.folder("hostile")
    (session / "spectrum.msa").write_text(MSA)
    (session / "notes.txt").write_text("drift bad in the first hour\n<script>window.taken=1</script>\u202e")
    svg = '<svg xmlns="http://www.w3.org/2000/svg" onload="window.taken=1"><script>window.taken=1</script></svg>'
    (session / "drawing.svg").write_text(svg)
    if os.name != "nt":
        for name in (
            EVIL.encode(),
            b"\xff\xfe half \xed\xa0\x80.txt",
            b"n" * 251 + b".txt",
            b"a'b\"c&d;?#%41.txt",
        ):
            (session / os.fsdecode(name.replace(b"/", b""))).write_bytes(b"x" * 10)
    return lab.served, lab.cookie, lab.archived("hostile", metadata={"session": {"title": EVIL}})


def test_names_and_words_are_only_text(hostile: tuple[Served, str, str]) -> None:
    served, cookie, package = hostile
    ids = re.findall(
        rf'href="/session/{package}/(d\d+)"', ask(served, f"/session/{package}", Cookie=cookie)[2].decode()
    )
    for path in (
        "/",
        f"/session/{package}",
        *(f"/session/{package}/{id_}" for id_ in ids),
        f"/vendor/{package}/{ids[0]}",
    ):
        status, _, content = ask(served, path, Cookie=cookie)
        text = content.decode()
        assert status == 200, path
        markup = Markup()
        markup.feed(text)
        assert markup.scripts == [], path
        assert not set(text) & set("\u202e\u2066"), path
        assert "<img src=x" not in text
    text = ask(served, f"/session/{package}", Cookie=cookie)[2].decode()
    assert "drift bad in the first hour" in text, "notes are shown"
    assert "[U+202E]" in text
    links = re.findall(r'href="(/file/[^"]+)"', text)
    assert len(links) >= 7 if os.name != "nt" else 3
    assert any("drawing.svg" in link for link in links), "and no browser is told that it is a picture"
    for link in links:
        status, headers, content = ask(served, link.replace("&amp;", "&"), Cookie=cookie)
        assert (status, len(content) > 0) == (200, True), link
        assert headers["content-type"] == "application/octet-stream"
        assert headers["content-disposition"].startswith("attachment")
        assert "\n" not in headers["content-disposition"]
    found = [id_ for id_ in ids if b"TITLE" in ask(served, f"/vendor/{package}/{id_}?find=title", Cookie=cookie)[2]]
    assert len(found) == 1
    status, headers, content = ask(served, f"/drawing/{package}/{found[0]}", Cookie=cookie)
    assert (status, content[:4]) == (200, b"\x89PNG")
    none = next(id_ for id_ in ids if id_ not in found)
    status, headers, content = ask(served, f"/drawing/{package}/{none}", Cookie=cookie)
    assert (status, headers["content-type"]) == (404, "image/svg+xml"), "what cannot be drawn says so as a picture"
    assert b"<script" not in content


def test_hostile_addresses(hostile: tuple[Served, str, str]) -> None:
    served, cookie, package = hostile
    for path in (
        f"/drawing/{package}/d1?signal=%3Cscript%3E",
        f"/drawing/{package}/d1?row=-1&column=99999999999999999999",
        f"/drawing/{package}/d1?size=999999999",
        f"/drawing/{package}/d1?crop=0,0,0,0",
        f"/drawing/{package}/d1?crop=999999999,999999999,999999999,999999999",
        f"/drawing/{package}/d999?signal=s1",
        f"/drawing/{package}/..%2f..%2fx",
        f"/numbers/{package}/d1?row=%00",
        f"/session/{package}/d1?place.x=9999999&place.y=-1",
        f"/session/{package}/d1?gamma=1e308&black=-1e308&white=%C3%A9",
        f"/vendor/{package}/d1?at=0.0.0.{'0.' * 3000}0",
        f"/vendor/{package}/d1?find=%F0%9F%92%A9%00",
        f"/session/{package}?start=999999999&file=999999999&n=999999999&q=%22",
    ):
        status, _, content = ask(served, path, Cookie=cookie)
        assert status < 500, path
        assert b"Traceback" not in content
        assert b"<script>" not in content
    for path in (f"/drawing/{package}/{quote(EVIL)}", f"/drawing/{quote(EVIL)}/d1", f"/picture/{quote(EVIL)}"):
        _, headers, content = ask(served, path, Cookie=cookie)
        assert headers["content-type"] == "image/svg+xml", path
        tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(content).iter()}
        assert tags == {"svg", "rect", "text", "tspan"}, "whatever an error says is text"
        assert not set(content.decode()) & set("\u202e\u2066"), path


def test_damage_while_it_is_looked_at(lab: Lab) -> None:
    write_image_session(lab.folder("images"), sample="S-12", date="2026-03-14")
    package = lab.archived("images")
    with diadem.open_node(lab.home / "node") as node:
        (name, damaged), (_, sound) = [(one.path, one.id) for one in node.get(package)][:2]
    assert lab.ask(f"/drawing/{package}/{damaged}")[0] == 200
    (file,) = (lab.home / "store").rglob(f"data/{name}")
    for at in range(4096, file.stat().st_size, 65536):
        flip_byte(file, at)
    assert lab.ask(f"/drawing/{package}/{sound}")[0] == 200, "another is opened, the first one let go"
    status, headers, content = lab.ask(f"/drawing/{package}/{damaged}?crop=0,0,200,200")
    assert (status, headers["content-type"], headers["cache-control"]) == (502, "image/svg+xml", "no-store")
    assert b"Damaged" in content
    assert "not what was archived" in re.sub(r"(?:<[^<>]*>)+", " ", content.decode())
    assert lab.ask(f"/numbers/{package}/{damaged}?crop=0,0,200,200")[0] == 502
    for path in (f"/session/{package}", f"/session/{package}/{damaged}", "/search?q=HAADF"):
        assert lab.ask(path)[0] == 200, "the rest works"
    assert lab.ask(f"/drawing/{package}/{sound}?size=300")[0] == 200


def test_a_store_that_is_away(lab: Lab) -> None:
    (lab.folder("HAADF") / "notes.txt").write_text("ZnO")
    package = lab.archived("HAADF", metadata={"session": {"title": "ZnO boundary"}})
    store, elsewhere = lab.home / "store", lab.home / "elsewhere"
    store.rename(elsewhere)
    try:
        for path in ("/", "/search?q=HAADF", "/search?q=HAADF&view=table", "/health"):
            assert lab.ask(path)[0] == 200, path
        assert b"ZnO boundary" in lab.ask("/")[2]
        _, headers, content = lab.ask(f"/picture/{package}?of=d1")
        assert headers["content-type"] == "image/svg+xml"
        assert b"Cannot be shown" in content
        status, _, content = lab.ask(f"/session/{package}")
        assert status == 200, content
        assert b'class="banner"' in content
        assert b"ZnO boundary" in content
    finally:
        elsewhere.rename(store)
    status, _, content = lab.ask(f"/session/{package}")
    assert (status, b'class="banner"' in content) == (200, False), "it is back"


def have_read(served: Served) -> int:
    """Bytes that the process of a page and those that it has begun have read."""
    everybody = {int(path.name): path for path in Path("/proc").iterdir() if path.name.isdigit()}
    ours, parents = {served.process.pid}, {}
    for pid, path in everybody.items():
        with contextlib.suppress(OSError):
            parents[pid] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
    while more := {pid for pid, parent in parents.items() if parent in ours} - ours:
        ours |= more
    counts = (re.search(r"rchar: (\d+)", (everybody[pid] / "io").read_text()) for pid in ours)
    return sum(int(count[1]) for count in counts if count)


def loaded(served: Served) -> set[str]:
    """Which of some large packages the process of a page has loaded: a compiler, tables, a cluster."""
    maps = Path(f"/proc/{served.process.pid}/maps").read_text()
    return {name for name in ("llvmlite", "pandas", "tornado") if f"/{name}/" in maps}


def memory(served: Served) -> int:
    """The most that the process of a page has held, in MB."""
    text = Path(f"/proc/{served.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", text)[1]) >> 10  # type: ignore[index]


@pytest.mark.skipif(sys.platform != "linux", reason="the memory of another process is told by /proc")
@pytest.mark.program("a file of gigabytes")
def test_four_dimensions_of_thirty_gigabytes(lab: Lab) -> None:
    session = lab.folder("thirty")
    shape = (256, 256, 512, 448)
    with h5py.File(session / "scan.hspy", "w") as file:
        file.attrs["file_format"], file.attrs["file_format_version"] = "HyperSpy", "3.3"
        scan = file.create_group("Experiments/scan")
        data = scan.create_dataset("data", shape=shape, dtype="u2", chunks=(16, 16, 64, 64))
        data[:16, :16, :64, :64] = 7
        for number, (name, unit) in enumerate((("y", "nm"), ("x", "nm"), ("ky", "1/nm"), ("kx", "1/nm"))):
            about = {"name": name, "size": shape[number], "scale": 1.0, "offset": 0.0, "units": unit}
            axis = scan.create_group(f"axis-{number}")
            axis.attrs.update(about | {"navigate": number < 2, "index_in_array": number, "_type": "UniformDataAxis"})
        scan.create_group("metadata/General").attrs["title"] = "4D"
        scan.create_group("metadata/Signal").attrs["signal_type"] = ""
        scan.create_group("original_metadata")
    package = lab.archived("thirty")
    for query in ("of=map&size=320", "", "row=3&column=4", "row=200&column=100", "row=3&column=4&crop=0,0,64,64"):
        status, _, content = lab.ask(f"/drawing/{package}/d1?{query}")
        assert (status, content[:4]) == (200, b"\x89PNG"), (query, content[:500])
    assert lab.ask(f"/session/{package}/d1")[0] == 200
    assert memory(lab.served) < 400, "MB, of 30,064"
    assert loaded(lab.served) == set(), "sparse, xarray and Dask's cluster are not needed for pictures"


@pytest.mark.skipif(sys.platform != "linux", reason="what another process reads is told by /proc")
@pytest.mark.program("a file of gigabytes")
def test_little_is_read_of_four_dimensions(lab: Lab) -> None:
    """A file whose places we know by ourselves: for a picture some of its leaves are read, however many there are."""
    session = lab.folder("scan")
    edge, rows, columns = 512, 16, 256
    first, step = 0x1000 + rows * columns, 6 + edge * edge
    known = (0x1000, first, 0, edge, 0, columns, rows, 0, 1.5, 1.5, 200_000, 16_667, 1500, 46_095.5)
    with (session / "scan.blo").open("wb") as file:
        file.write(struct.pack("<6sHIII5HddIHId", b"IMGBLO", 0x0102, *known) + bytes(22 * 8))
        for number in (0, 3 * columns + 4, rows * columns - 1):
            file.seek(first + number * step)
            file.write(struct.pack("<2sI", b"\xaa\x55", number) + bytes(range(256)) * (edge * edge // 256))
        size = file.tell()
    assert size > 1_000_000_000
    package = lab.archived("scan", in_place=True)
    for query, most in (("of=map&size=320", 400), ("row=3&column=4", 24), ("row=9&column=9&crop=0,0,64,64", 8)):
        before = have_read(lab.served)
        status, _, content = lab.ask(f"/drawing/{package}/d1?{query}")
        assert (status, content[:4]) == (200, b"\x89PNG"), (query, content[:500])
        assert have_read(lab.served) - before < most << 20, query


@pytest.mark.program("thousands of datasets")
def test_a_session_of_very_many_datasets(lab: Lab) -> None:
    session = lab.folder("many")
    for number in range(20_000):
        (session / f"{number:05}.bin").write_bytes(number.to_bytes(4, "little"))
    package = lab.archived("many")
    status, _, content = lab.ask(f"/session/{package}")
    text = content.decode()
    assert (status, text.count('class="card"')) == (200, 60)
    assert "1 to 60 of 20000" in text
    assert len(content) < 400_000
    last = lab.ask(f"/session/{package}?start=19980&file=19500")[2].decode()
    assert "19999.bin" in last
    assert "Datasets after" not in last
    assert "20000 of 20000" in lab.ask(f"/session/{package}/d20000")[2].decode()
    for path in ("/", "/search?q=19999.bin", *(f"/session/{package}/{deed}" for deed in DEEDS)):
        status, _, content = lab.ask(path)
        assert status == 200, path
        assert len(content) < 400_000, path


@pytest.mark.program("a tree of very many groups")
def test_a_very_large_tree_is_sent_by_branches(lab: Lab) -> None:
    session = lab.folder("tree")
    with h5py.File(session / "scan.hspy", "w") as file:
        file.attrs["file_format"], file.attrs["file_format_version"] = "HyperSpy", "3.3"
        scan = file.create_group("Experiments/scan")
        scan["data"] = [[1, 2], [3, 4]]
        for number in range(2):
            axis = scan.create_group(f"axis-{number}")
            axis.attrs.update({"name": "xy"[number], "size": 2, "scale": 1.0, "offset": 0.0, "navigate": False})
        scan.create_group("metadata/General").attrs["title"] = "tags"
        scan.create_group("metadata/Signal").attrs["signal_type"] = ""
        for number in range(40):
            tags = scan.create_group(f"original_metadata/Group{number}")
            for tag in range(250):
                tags.attrs[f"Tag{tag}"] = f"value {number}.{tag} {'x' * 80}"
    package = lab.archived("tree")
    _, _, content = lab.ask(f"/session/{package}/d1")
    assert len(content) < 60_000, "the page itself has none of it"
    address, seen = f"/vendor/{package}/d1", b""
    for _ in range(4):  # down to a group, branch by branch
        _, _, seen = lab.ask(address)
        assert len(seen) < 120_000
        if b"value " in seen:
            break
        branches = re.findall(rf'href="(/vendor/{package}/d1\?at=[\d.%]+)" data-branch', seen.decode())
        address = branches[-1]
    assert b"value " in seen
    status, _, found = lab.ask(f"/vendor/{package}/d1?find=value+17.99+&part=1")
    assert (status, found.count(b"<li>")) == (200, 1)
    _, _, found = lab.ask(f"/vendor/{package}/d1?find=value&part=1")
    assert found.count(b"<li") == 201, "the first two hundred, and that there are more"
