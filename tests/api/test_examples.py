"""Examples: real files, fetched from a server on this machine that has the publisher's folders."""

from __future__ import annotations

import csv
import gzip
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import diadem
from diadem import examples

pytest.importorskip("pooch", reason="the extra 'notebook' is not installed")
#: What the folder of real files says of where each came from.
_PUBLISHED = "rsciio/tests/data/"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("published")


@pytest.fixture(scope="module")
def base(published: Path) -> Iterator[str]:
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(published)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        port = server.stdout.readline().split(" port ")[1].split()[0]
        yield f"http://127.0.0.1:{port}"
        server.terminate()


@pytest.fixture(scope="module")
def real(published: Path, shared_data: Path) -> None:
    """The real files, in the folders of their publisher."""
    with (shared_data / "INDEX.tsv").open(encoding="utf-8") as index:
        for row in csv.DictReader(index, delimiter="\t"):
            source = shared_data / row["path"]
            stored = source if source.exists() else source.with_name(source.name + ".gz")
            place = published / row["source"].partition(_PUBLISHED)[2]
            if _PUBLISHED in row["source"] and "!" not in place.name and stored.exists():
                place.parent.mkdir(parents=True, exist_ok=True)
                content = stored.read_bytes()
                place.write_bytes(gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content)


def test_each_example_comes_whole_and_is_read(
    real: None, base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIADEM_EXAMPLES", base)
    for example in examples.ls():
        path = example.fetch(tmp_path)
        assert path.name == example.name
        assert diadem.extract(path).datasets[0].signals, example
    package = diadem.pack(examples.fetch("EELS_SI.dm4", tmp_path), tmp_path / "archive")
    assert package.load("EELS_SI.dm4") is not None


def test_it_is_fetched_once(real: None, base: str, tmp_path: Path) -> None:
    path = examples.fetch("test_STEM_image.dm3", tmp_path, base=base)
    assert examples.fetch("test_STEM_image.dm3", tmp_path, base="http://127.0.0.1:9") == path


def test_what_belongs_to_a_file_comes_with_it(real: None, base: str, tmp_path: Path) -> None:
    path = examples.fetch("128x128_TEM_acquire-sum1.emi", tmp_path, base=base)
    assert path.with_name("128x128_TEM_acquire-sum1_1.ser").exists()


def test_another_file_is_refused_and_not_kept(published: Path, base: str, tmp_path: Path) -> None:
    place = published / "swapped/digitalmicrograph/3D/EELS_SI.dm4"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"another file")
    with pytest.raises(diadem.DigestMismatch, match="not the expected file"):
        examples.fetch("EELS_SI.dm4", tmp_path, base=f"{base}/swapped")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_no_such_file_no_answer_and_no_such_name(base: str, tmp_path: Path) -> None:
    with pytest.raises(diadem.Unreachable) as absent:
        examples.fetch("EELS_SI.dm4", tmp_path, base=f"{base}/nowhere")
    assert "DIADEM_EXAMPLES" in str(absent.value)
    with pytest.raises(diadem.Unreachable):
        examples.fetch("EELS_SI.dm4", tmp_path, base="http://127.0.0.1:9")
    with pytest.raises(diadem.NotFound, match=r"EELS_SI\.dm4"):
        examples.fetch("EELS-SI.dm4", tmp_path)
