"""The documents are true: their example is recomputed, their commands run on a package, their links lead somewhere."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import diadem
from diadem.model.manifest import FileEntry
from diadem.package.tags import HashedFile, Sealed, seal
from diadem.store.disks import disk_of
from diadem.testing.faults import flip_byte, writable_copy
from diadem.trust.hashing import LeafHasher
from tests import consoles

ROOT = Path(__file__).resolve().parent.parent
DOCS = sorted((ROOT / "docs").glob("*.md"))
#: Pages with consoles: they are run.
CONSOLES = [path for path in DOCS if "```console" in path.read_text("utf-8")]
#: Path, content, modification time in ns, original name where it differs: the example of the document.
EXAMPLE = (
    ("data/Grain 1/notes.txt", b"abc", 1_773_497_366_000_000_000, None),
    ("data/empty.dat", b"", 1_773_497_366_500_000_000, None),
    ("data/zeros.raw", bytes((1 << 20) + 1), 1_773_497_366_000_000_000, b"aux.raw"),
)


@pytest.fixture(scope="module")
def format_text() -> str:
    """The text that defines the format."""
    return (ROOT / "docs" / "package-format.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def sealed() -> Sealed:
    """The tag files of the example."""
    files = []
    for path, data, mtime_ns, original in EXAMPLE:
        leaves = LeafHasher()
        leaves.update(data)
        entry = FileEntry(path, len(data), hashlib.sha256(data).hexdigest(), mtime_ns, original)
        files.append(HashedFile(entry, leaves.digest()))
    return seal(files, vendor=b"", date="2026-03-14", software="diadem-em")


def block(text: str, name: str) -> str:
    """The code block after the comment with this name."""
    found = re.search(rf"<!-- {name} -->\n```\n(.*?)```", text, re.DOTALL)
    assert found is not None, f"the document has no block named {name}"
    return found[1]


def shell_blocks(text: str) -> list[str]:
    """All code blocks for a shell."""
    return re.findall(r"```sh\n(.*?)```", text, re.DOTALL)


def test_example_of_manifest_index_and_leaves(format_text: str, sealed: Sealed) -> None:
    assert block(format_text, "manifest").encode() == sealed.tag_files["manifest-sha256.txt"]
    assert block(format_text, "index").replace("→", "\t").encode() == sealed.tag_files["diadem/index.tsv"]
    assert bytes.fromhex(block(format_text, "leaves").replace("\n", "")) == sealed.tag_files["diadem/leaves.blake3"]


def test_example_of_ids(format_text: str, sealed: Sealed) -> None:
    payload, urn = block(format_text, "ids").split()
    assert payload == sealed.payload_id == hashlib.sha256(block(format_text, "manifest").encode()).hexdigest()
    assert f"External-Identifier: {urn}\n".encode() in sealed.tag_files["bag-info.txt"]


def test_text_of_bagit_and_labels(format_text: str, sealed: Sealed) -> None:
    assert sealed.tag_files["bagit.txt"].decode() in format_text
    labels = re.findall(r"^\| `([A-Z][A-Za-z-]+)` \|", format_text, re.MULTILINE)
    written = [line.split(": ")[0] for line in sealed.tag_files["bag-info.txt"].decode().splitlines()]
    assert [label for label in labels if label not in ("Diadem-Omitted", "Diadem-Continues")] == written


@pytest.mark.parametrize("document", [*DOCS, ROOT / "README.md"], ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r'href="([^"#:]+)"', text):
        assert (document.parent / target).exists(), f"{document.name} links to {target}"
    for target, anchor in re.findall(r"\]\(([^)#:]*)(#[^)]+)?\)", text):
        page = document.parent / target if target else document
        assert page.exists(), f"{document.name} links to {target}"
        if anchor:
            assert anchor[1:] in anchors(page.read_text("utf-8")), f"{document.name} links to {target}{anchor}"


def anchors(text: str) -> set[str]:
    """Anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.skipif(sys.platform != "linux", reason="the shell of the pages is that of Linux")
@pytest.mark.parametrize("document", CONSOLES, ids=lambda path: path.name)
@pytest.mark.program("every command of the documentation is run")
def test_a_page_shows_what_comes_out(document: Path, tmp_path: Path, other_disk: Path) -> None:
    places, page = consoles.places_in(tmp_path, other_disk), document.read_text("utf-8")
    if "/data/em" in page:
        if not consoles.SHARED_DATA.is_dir():
            pytest.skip("the real instrument files are not beside this checkout (../shared/data)")
        consoles.lay_out_sessions(places["/data"] / "em", consoles.SHARED_DATA)
    found = list(consoles.differences(page, consoles.Shell(places)))
    assert not found, "\n".join(found)


@pytest.mark.skipif(sys.platform != "linux", reason="cron has the shell of Linux and macOS")
@pytest.mark.program("many commands, each in a new process, as cron runs them")
def test_what_cron_runs_mails_where_it_matters_and_only_there(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "two-copies.md").read_text("utf-8")
    lines = re.findall(r"^[\d*-]+ [\d*-]+ [\d*-]+ [\d*-]+ [\d*-]+ +(.*diadem.*)$", page, re.MULTILINE)
    scrub, repair, status = (line.replace(r"$(date +\%d)/28", "1/1") for line in lines)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    at_home = {**os.environ, "PATH": path, "DIADEM_CONFIG": str(tmp_path), "DIADEM_NODE": str(tmp_path / "node")}

    def mailed(line: str) -> str:
        done = subprocess.run(["sh", "-c", line], env=at_home, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    (tmp_path / "session").mkdir()
    (tmp_path / "session" / "scan.raw").write_bytes(bytes(1000))
    with diadem.Node.create(tmp_path / "node", name="n", user="u", store=str(tmp_path / "main")) as node:
        node.stores.add(str(tmp_path / "second"), name="second", place="another disk")
        node.archive(tmp_path / "session", now=True)
    assert mailed(repair) + mailed(status) == ""
    for store in ("main", "second"):
        (tmp_path / store).rename(tmp_path / f"{store} is away")
    assert "NOT READ" in mailed(scrub)
    assert "no store answers" in " ".join(mailed(status).split())


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on another disk than the tests."""
    other = consoles.other_disk()
    if other is None or None in (mine := disk_of(tmp_path), its := disk_of(other)) or mine == its:
        pytest.skip("there is no second disk to write to")
    with tempfile.TemporaryDirectory(dir=other) as folder:
        yield Path(folder)
        for path in Path(folder).rglob("*"):  # packages are read-only
            path.chmod(0o755 if path.is_dir() else 0o644)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> diadem.Package:
    """A small package whose file spans two leaves."""
    folder = tmp_path_factory.mktemp("docs")
    (folder / "source").mkdir()
    (folder / "source" / "zeros.raw").write_bytes(bytes((1 << 20) + 1))
    (folder / "source" / "abc.txt").write_bytes(b"abc")
    return diadem.pack(folder / "source", folder / "store")


def run(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a block of the documents in a package."""
    return subprocess.run(["sh", "-euc", script], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum is not installed")
def test_check_without_diadem(package: diadem.Package, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "package.md").read_text("utf-8")
    script = next(text for text in shell_blocks(page) if "sha256sum" in text)
    good = run(script, Path(package.url))
    assert good.returncode == 0, good.stderr
    assert good.stdout.split()[0] == package.id.hex
    copy = writable_copy(Path(package.url), tmp_path / "copy")
    flip_byte(copy / "data" / "zeros.raw", 1 << 20)
    bad = run(script, copy)
    assert bad.returncode != 0
    assert "data/zeros.raw: FAILED" in bad.stdout


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum is not installed")
def test_ids_by_sha256sum(format_text: str, package: diadem.Package) -> None:
    done = run(shell_blocks(format_text)[0], Path(package.url))
    assert [line.split()[0] for line in done.stdout.splitlines()] == [package.id.hex, package.payload_id]


@pytest.mark.skipif(shutil.which("b3sum") is None, reason="b3sum is not installed")
def test_leaf_by_hand(format_text: str, package: diadem.Package) -> None:
    entry = package.find("zeros.raw")
    script = shell_blocks(format_text)[1].replace("skip=2", f"skip={entry.first_leaf + 1}")
    computed, listed = run(script, Path(package.url)).stdout.split()
    assert computed == listed == "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213"
