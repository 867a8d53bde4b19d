"""Files from the page: proven as they are sent, whole or in part."""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest

import diadem
from diadem.testing.faults import flip_byte
from diadem.testing.samples import write_session
from tests.page.conftest import Served, ask, enter, serve
from tests.page.hand import Hand

pytest.importorskip("starlette", reason="the extra 'page' is not installed")


def test_a_file_is_what_was_archived(archive: Path, entered: tuple[Served, str]) -> None:
    served, cookie = entered
    with diadem.open_node(archive) as node:
        package = node.search("title:ZnO")[0].package
        files = sorted(package.files, key=lambda entry: entry.size)
    place = f"/file/{package.id.removeprefix('diadem:')}?path="
    for entry in (files[0], files[-1]):
        status, headers, content = ask(served, place + quote(entry.path), Cookie=cookie)
        assert (status, len(content)) == (200, entry.size)
        assert hashlib.sha256(content).hexdigest() == entry.sha256
        assert headers["content-disposition"].startswith("attachment")
        assert headers["content-type"] == "application/octet-stream"
    name, size = quote(files[-1].path), files[-1].size
    for said, start, stop in (
        ("bytes=5-9", 5, 10),
        (f"bytes={size - 3}-", size - 3, size),
        ("bytes=-4", size - 4, size),
    ):
        status, headers, part = ask(served, place + name, Cookie=cookie, Range=said)
        assert (status, part) == (206, content[start:stop])
        assert headers["content-range"] == f"bytes {start}-{stop - 1}/{size}"
    for said in ("bytes=9-5,a", "bytes=-0", f"bytes={size}-"):  # of these there are no bytes: the whole is given
        status, headers, whole = ask(served, place + name, Cookie=cookie, Range=said)
        assert (status, whole, "content-range" in headers) == (200, content, False), said
    assert ask(served, place + "no%20such", Cookie=cookie)[0] == 404
    assert ask(served, place + "..%2f..%2fmanifest-sha256.txt", Cookie=cookie)[0] == 404
    assert ask(served, place + name)[0] == 403


def test_damage_is_never_taken_for_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the beginning it is told; further on the line ends before the length that was announced."""
    monkeypatch.setenv("DIADEM_CACHE", str(tmp_path / "cache"))
    store = Path(tmp_path, "store")
    with diadem.Node.create(tmp_path / "node", name="emlab", user="anna", store=str(store)) as node:
        (tmp_path / "session").mkdir()
        for name in ("first.bin", "later.bin"):
            (tmp_path / "session" / name).write_bytes(bytes(range(256)) * (12 << 10))
        id_ = node.archive(tmp_path / "session", now=True).package.id.removeprefix("diadem:")
    for name, at in (("first.bin", 10), ("later.bin", (2 << 20) + 10)):
        (found,) = store.rglob(f"data/{name}")
        flip_byte(found, at)
    for served in serve(tmp_path / "node"):
        cookie = enter(served)
        status, headers, content = ask(served, f"/file/{id_}?path=data%2Ffirst.bin", Cookie=cookie)
        assert status == 502
        assert b"first.bin" in content
        assert "content-disposition" not in headers
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            ask(served, f"/file/{id_}?path=data%2Flater.bin", Cookie=cookie)
        assert ask(served, f"/session/{id_}", Cookie=cookie)[0] == 200, "the rest works"
        hand = Hand(served, cookie)
        sure = hand.post(f"/session/{id_}/give", for_="Marie", where="download")[1]
        assert "every byte proven" not in hand.done(sure)
        assert not list((tmp_path / "cache").rglob("made-*")), "of a ZIP that could not be made nothing is left"
    shutil.rmtree(store)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="how busy a process is stands in /proc")
@pytest.mark.program("seconds of doing nothing")
def test_a_page_that_nobody_looks_at_does_nothing(served: Served) -> None:
    """A thread that waits by asking again and again takes a core for as long as the page is open."""

    def spent() -> float:
        fields = Path(f"/proc/{served.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    time.sleep(2)  # the archive is judged once at the start
    before = spent()
    time.sleep(3)
    assert spent() - before < 0.5


def children(process: int) -> set[int]:
    """The processes that a process has begun."""
    found = set()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended
            continue
        if parent == process:
            found.add(int(path.name))
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="the readers of a page are found in /proc")
@pytest.mark.program("its limit is waited for")
def test_a_page_ends_though_a_picture_never_comes(tmp_path: Path) -> None:
    """As with a share that does not answer: Ctrl-C gives up what is waited for, and says so, without a traceback."""
    write_session(tmp_path / "session")
    with diadem.Node.create(tmp_path / "node", name="emlab", user="anna", store=str(tmp_path / "store")) as node:
        archived = node.archive(tmp_path / "session", now=True).package
        drawing = f"/drawing/{archived.id.removeprefix('diadem:')}/{archived['haadf_series.mrc'].id}"
    stopped: set[int] = set()
    for served in serve(tmp_path / "node"):
        cookie = enter(served)
        time.sleep(1)  # what is loaded at the start has begun no reader
        with ThreadPoolExecutor(1) as browser:
            waits = browser.submit(ask, served, drawing, Cookie=cookie)
            try:
                while not (new := children(served.process.pid)):
                    assert not waits.done(), "no reader was begun"
                    time.sleep(0.005)
                for reader in new:
                    os.kill(reader, signal.SIGSTOP)
                    stopped.add(reader)
                served.process.send_signal(signal.SIGINT)
                assert served.process.wait(20) == 0
                status, headers, content = waits.result(20)
            finally:
                for reader in stopped:
                    os.kill(reader, signal.SIGKILL)
        assert (status, headers["content-type"], b"ending" in content) == (409, "image/svg+xml", True)
        assert "Traceback" not in served.process.stderr.read()  # type: ignore[union-attr]


def test_who_gives_a_zip_reads_that_it_names_those_who_had_the_package(served: Served) -> None:
    hand = Hand(served, enter(served))
    place = f"{hand.link('/', '/session/').partition('?')[0]}/give"
    asked = hand.done(place, for_="Marie", where="download")
    assert "names those to whom it was given before" in asked
    assert "names those to whom" not in hand.done(place, for_="Marie", where="download", only="record")
