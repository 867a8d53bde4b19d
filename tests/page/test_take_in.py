"""Taking in: a folder or an upload becomes sessions of the archive, whatever is sent and whatever breaks off."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

import diadem
from diadem.testing.samples import write_session, write_small_images
from tests.node.verbs.test_custody_in_exports import changed
from tests.page.conftest import Served, ask, serve
from tests.page.hand import BOUNDARY, Page, body, upload
from tests.page.window import Seen, fits, let_in, serious

pytest.importorskip("starlette", reason="the extra 'page' is not installed")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A node that knows one session and one sample, and a cache of its own."""
    home = tmp_path_factory.mktemp("taken")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DIADEM_CACHE", str(home / "cache"))
        with diadem.Node.create(home / "node", name="emlab", user="anna", store=str(home / "store")) as node:
            write_small_images(home / "known", 3, seed=7)
            node.archive(home / "known", now=True)
            node.samples.add("S-12")
        write_session(home / "data" / "2026-03-14_ZnO")
        yield home


@contextlib.contextmanager
def half_sent(page: Page, content: bytes) -> Iterator[None]:
    """Half of an upload; the line breaks in the end."""
    where = urlsplit(page.served.origin)
    head = (
        f"POST /take-in/upload HTTP/1.1\r\nHost: {where.netloc}\r\nCookie: {page.cookie}\r\n"
        f"Origin: {page.served.origin}\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    with socket.create_connection((where.hostname or "", where.port or 0)) as line:
        line.sendall(head.encode() + content[: len(content) // 2])
        yield


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def staged(home: Path) -> list[Path]:
    """The files that were sent and are still kept."""
    return [path for path in (home / "cache" / "page").glob("*/sent-*/**/*") if path.is_file()]


def test_a_folder_is_chosen_looked_at_edited_and_archived(seen: Seen, home: Path) -> None:
    """The whole way, in light and dark; the second time it is known that the session is archived."""
    window = seen.window
    seen.go(f"/take-in?at={quote(str(home))}")
    assert serious(window) == []
    assert fits(window)
    window.click(".folders a:has-text('data')")
    window.click(".folders a:has-text('2026-03-14_ZnO')")
    assert window.locator(".crumbs li").last.inner_text() == "2026-03-14_ZnO"
    window.click("text=Scan this folder")
    window.wait_for_load_state("networkidle")
    if "/jobs/" in window.url:
        window.click("text=Look at it", timeout=60_000)
    window.wait_for_url("**/take-in/*")
    assert serious(window) == []
    assert fits(window)
    text = window.locator("main").inner_text()
    assert "1 dataset: cut short" in window.locator("main").text_content(), "damage is told and stops nothing"
    if "archived already" in text:
        assert not window.is_checked("fieldset input[type=checkbox]")
        return
    assert window.input_value("input[name=date-0]") == "2026-03-14"
    assert window.locator("#samples option").evaluate_all("all => all.map(one => one.value)") == ["S-12"]
    window.fill("input[name=title-0]", "ZnO <b>bars</b>")
    window.fill("input[name=date-0]", "2026-03-15")
    window.fill("input[name=sample-0]", "S-12")
    window.fill("input[name=operator-0]", "Marie Curie; Pierre Curie")
    window.fill("input[name=license-0]", "CC-BY-4.0")
    window.check("input[name=now]")
    window.click("text=Archive what is ticked")
    window.click("text=Look at it", timeout=60_000)
    window.wait_for_url("**/session/*")
    assert "ZnO <b>bars</b>" in window.locator("h1").inner_text()
    with diadem.open_node(home / "node") as node:
        package = node.search("sample:S-12")[0].package
        record = package.record
        assert (record.session["title"], record.session["date"]) == ("ZnO <b>bars</b>", "2026-03-15")
        assert [person["name"] for person in record.people] == ["Marie Curie", "Pierre Curie"]
        licence = node.show(package.id).to_dict()["licence"]
        assert licence == "CC-BY-4.0", "the session's own licence is the package's"


def test_an_upload_with_progress_leaves_nothing_behind(seen: Seen, home: Path, tmp_path: Path) -> None:
    window = seen.window
    number = str(len(staged(home))) + str(time.time_ns())
    folder = tmp_path / f"sent {number}"
    write_small_images(folder / "inner", 3, seed=time.time_ns() % 2**32)
    os.utime(folder / "inner" / "frame_00000.tif", (1_700_000_000, 1_700_000_000))
    seen.go("/take-in")
    window.set_input_files("input[webkitdirectory]", str(folder))
    window.click("text=Upload and scan")
    window.wait_for_url(re.compile("/(take-in|jobs)/[0-9a-f]"))
    if "/jobs/" in window.url:
        window.click("text=Look at it", timeout=60_000)
    assert folder.name in window.locator("h1").inner_text()
    assert len(staged(home)) == 3
    window.click("text=Archive what is ticked")
    window.click("text=Look at it", timeout=60_000)
    window.wait_for_url("**/session/*")
    assert staged(home) == []
    with diadem.open_node(home / "node") as node:
        package = node.get(window.url.rpartition("/")[2])
        assert (
            sorted(path.rpartition("/")[2] for path in [entry.path for entry in package.files]).count("frame_00000.tif")
            == 1
        )
        package.restore(tmp_path / "back")
    (back,) = (tmp_path / "back").rglob("frame_00000.tif")
    assert back.stat().st_mtime == 1_700_000_000, "when it was last changed came along"


def test_an_upload_needs_no_script(chromium: Any, served_here: Served, page: Page, home: Path, tmp_path: Path) -> None:
    context = let_in(chromium, (served_here, page.cookie), java_script_enabled=False)
    window = context.new_page()
    write_small_images(tmp_path / "folder", 2, seed=11)
    window.goto(f"{served_here.origin}/take-in")
    window.set_input_files("input[multiple]", [str(path) for path in sorted((tmp_path / "folder").iterdir())])
    window.click("text=Upload and scan")
    if "/jobs/" in window.url:
        window.wait_for_selector("text=Look at it", timeout=60_000)
        window.click("text=Look at it")
    assert "2 files" in window.locator("main").inner_text()
    window.click("text=Discard the upload")
    assert "The upload was removed." in window.locator("main").inner_text()
    assert staged(home) == []
    context.close()


def test_names_that_an_enemy_would_send(page: Page, home: Path) -> None:
    long = b"n" * 251 + b".dat"
    names = [
        b"../../x.dat",
        b"/etc/x.dat",
        b"folder/../../y.dat",
        b"CON",
        b"aux.dat",
        long,
        b"half \xed\xa0\x80.dat",
        b"\xff.dat",
        b"<img src=x onerror=taken=1>.dat",
        b"x.dat",
        b"X.DAT",
        b"..",
        b"a\\..\\..\\b.dat",
        b"C:\\Windows\\c.dat",
    ]
    status, where, text = page.send([(name, b"content of %d" % number) for number, name in enumerate(names)])
    assert status == 303, text
    kept = staged(home)
    assert len(kept) == len(names), "each is there"
    assert {path.read_bytes() for path in kept} == {b"content of %d" % number for number in range(len(names))}
    for folder in (home, *home.parents, Path("/etc")):
        assert not {"x.dat", "y.dat", "b.dat", "c.dat"} & {path.name for path in folder.iterdir()}
    parts = {part for path in kept for part in path.relative_to(home).parts}
    assert not {"..", "CON", "aux.dat"} & parts
    where = page.proposal(where)
    shown = page.get(where)
    assert "could not be kept" in shown
    assert "<img src=x" not in shown
    page.post(f"{where}/discard")
    assert staged(home) == []


def test_an_upload_of_another_site_is_not_kept(page: Page, home: Path) -> None:
    file = [(b"x.dat", b"x")]
    assert page.send(file, Origin="https://evil.example")[0] == 403
    assert page.send(file, Cookie="")[0] == 403
    for word in ("", "0" * 64):
        status, _, text = page.send(file, word=word)
        assert (status, "another run" in text) == (409, True)
    head = {"Cookie": page.cookie, "Origin": page.served.origin}
    for content in (b"", b"--", b"no form at all", body(file, page.word)[:-40]):
        status, _, answer = upload(page.served, content, head)
        assert status in (400, 409), content
        assert b"Traceback" not in answer
    first = body(file, page.word).split(f"--{BOUNDARY}".encode())
    backwards = f"--{BOUNDARY}".encode().join([first[0], first[2], first[1], first[3]])
    assert upload(page.served, backwards, head)[0] == 409, "the word comes before the first byte of a file"
    assert page.send([])[0] == 400
    assert ask(page.served, "/take-in/upload", "POST", {"form_word": page.word}, **head)[0] == 400
    assert staged(home) == []


def test_an_upload_that_breaks_off_leaves_nothing(page: Page, home: Path) -> None:
    content = body([(b"whole.dat", b"w" * 1000), (b"large.dat", bytes(8 << 20))], page.word)
    with half_sent(page, content):
        until(lambda: any(path.name == "large.dat" for path in staged(home)))
    until(lambda: not staged(home))
    status, where, _ = page.send([(b"after.dat", b"it goes on")])
    assert status == 303
    page.post(f"{page.proposal(where)}/discard")
    assert staged(home) == []


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or not hasattr(os, "geteuid") or os.geteuid() != 0,
    reason="mounting a small disk needs root",
)
@pytest.mark.program("a disk of half a gigabyte is filled")
def test_a_full_disk_is_said_before_and_meanwhile(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = tmp_path / "small"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=560m", "tmpfs", str(disk)], check=False).returncode:
        pytest.skip("this system does not let the test mount a small disk")
    try:
        monkeypatch.setenv("DIADEM_CACHE", str(disk))
        for served in serve(home / "node"):
            page = Page(served)
            status, _, text = page.send([(b"much.dat", bytes(64 << 20))])
            assert (status, "there is room for" in text) == (409, True), "announced: nothing is written"
            head = {"Cookie": page.cookie, "Origin": served.origin}
            content = body([(b"much.dat", bytes(150 << 20))], page.word)  # the disk holds it, without what stays free
            status, _, answer = upload(served, iter([content]), head)
            assert (status, b"that stay free" in answer) == (409, True), answer
            with (disk / "filler").open("wb") as filler:
                os.posix_fallocate(filler.fileno(), 0, 530 << 20)
            content = body([(b"small.dat", b"s"), (b"much.dat", bytes(40 << 20))], page.word)
            pieces = iter([content])  # sent in pieces, so that nothing is announced
            status, _, answer = upload(served, pieces, head)
            assert (status, b"the disk is full" in answer) == (409, True), answer
            assert [path for path in disk.glob("page/*/**/*") if path.is_file()] == []
            (disk / "filler").unlink()
            assert page.send([(b"small.dat", b"s")])[0] == 303
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.program("a page that is killed")
def test_what_a_killed_page_was_sent_is_removed_by_the_next(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIADEM_CACHE", str(tmp_path))
    running = contextlib.contextmanager(serve)
    with running(home / "node") as first:
        page = Page(first)
        assert page.send([(b"folder/left.dat", b"x" * 5000)])[0] == 303
        (left,) = tmp_path.rglob("left.dat")
        with diadem.open_node(home / "node") as node:
            known = node.search("title:known")[0].id[7:]
        page.ended(page.post(page.post(f"/session/{known}/give", **{"for": "Marie", "where": "download"})))
        assert len(list(tmp_path.rglob("made-*/*.zip"))) == 1
        with running(home / "node") as other:  # a page that lives keeps what it has
            assert "were removed" not in Page(other).get("/take-in")
            assert left.exists()
        first.process.send_signal(signal.SIGKILL)
        first.process.wait(20)
    with running(home / "node") as following:
        page = Page(following)
        assert "Those 5 kB were removed" in page.get("/take-in")
        assert not left.exists()
        assert not list(tmp_path.rglob("made-*")), "nor what was made to be fetched"
        assert page.send([(b"folder/left.dat", b"x")])[0] == 303
        with half_sent(page, body([(b"half.dat", bytes(4 << 20))], page.word)):
            until(lambda: bool(list(tmp_path.rglob("half.dat"))))
            following.process.send_signal(signal.SIGINT)
            assert following.process.wait(20) == 0
        assert following.process.stderr is not None
        assert "Traceback" not in following.process.stderr.read()
    assert not {"left.dat", "half.dat"} & {path.name for path in tmp_path.rglob("*")}, "Ctrl-C clears up at once"


@pytest.mark.program("two tabs of a page, and a whole archive")
def test_two_tabs_archive_one_folder(page: Page, home: Path, tmp_path: Path) -> None:
    write_small_images(tmp_path / "twice", 4, seed=5)
    one, other = page.looked(tmp_path / "twice"), page.looked(tmp_path / "twice")
    fields = {"shown-0": "yes", "archive-0": "yes", "now": "yes", "version": "0"}
    jobs = [page.post(f"{place}/archive", **fields) for place in (one, other)]
    said = sorted(re.findall(r"twice: ([a-z ]+)", "".join(map(page.ended, jobs))))
    assert said == ["archived", "was archived before"], "they take turns; one package is made"
    assert "was archived since this was shown" in page.post(f"{one}/archive", 409, **fields)
    with diadem.open_node(home / "node") as node:
        assert node.search("title:twice").total == 1
    assert "archived already" in page.get(page.looked(tmp_path / "twice"))


def test_what_is_wrong_is_told_and_can_be_mended(page: Page, tmp_path: Path) -> None:
    write_small_images(tmp_path / "new", 2, seed=21)
    place = page.looked(tmp_path / "new")
    shown = page.get(place)
    assert "The session is not finished" in shown
    fields = {"shown-0": "yes", "archive-0": "yes", "version": "0"}
    assert "no session was chosen" in page.post(f"{place}/archive", 409, **{"shown-0": "yes", "version": "0"})
    assert "several samples" in page.post(f"{place}/archive", 409, **fields, **{"sample-0": "a; b"})
    assert "could not be archived" in page.ended(page.post(f"{place}/archive", **fields, **{"title-0": "Mine"}))
    shown = page.get(place)
    assert "The session is not finished" in shown
    assert 'value="Mine"' in shown, "what was typed is kept"
    for folder, said in (("relative", "not a whole path"), ("/no/such", "no such folder")):
        assert said in ask(page.served, f"/take-in?folder={quote(folder)}", Cookie=page.cookie)[2].decode()
    assert "not known any more" in page.get("/take-in/0123456789ab", 404)


def test_real_files_and_damaged_ones(page: Page, home: Path, shared_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "real"
    folder.mkdir()
    for name in ("emd-velox/1532 Camera Ceta.emd", "bad/trunc50.dm3", "bad/empty.msa", "bad/garbage.ser"):
        shutil.copyfile(shared_data / name, folder / Path(name).name)
    if os.name != "nt":
        (folder / os.fsdecode(b"half \xff.txt")).write_text("a name that is no UTF-8")
    assert "4 files" in page.get(f"/take-in?at={quote(str(folder))}") or "5 files" in page.get(
        f"/take-in?at={quote(str(folder))}"
    )
    place = page.looked(folder)
    assert "Damaged or unreadable" in page.get(place)
    fields = {"shown-0": "yes", "archive-0": "yes", "now": "yes", "version": "0"}
    assert "1 session in the archive" in page.ended(page.post(f"{place}/archive", **fields))
    with diadem.open_node(home / "node") as node:
        package = node.search("title:real")[0].package
        assert {"1532 Camera Ceta.emd", "trunc50.dm3"} <= {entry.path.rpartition("/")[2] for entry in package.files}


def test_one_file_and_a_package_that_was_given(page: Page, home: Path, tmp_path: Path) -> None:
    write_small_images(tmp_path / "alone", 1, seed=31)
    (file,) = (tmp_path / "alone").iterdir()
    place = page.looked(file)
    fields = {"shown-0": "yes", "archive-0": "yes", "now": "yes", "version": "0"}
    assert "1 session in the archive" in page.ended(page.post(f"{place}/archive", **fields))
    with diadem.Node.create(tmp_path / "else", name="boblab", user="bob", store=str(tmp_path / "theirs")) as node:
        write_small_images(tmp_path / "their session", 2, seed=32)
        package = node.archive(tmp_path / "their session", now=True).package.id
        node.export(package, tmp_path / "given.zip", for_="Anna")
    place = page.looked(tmp_path / "given.zip")
    assert "1 package of DIADEM" in page.get(place)
    assert "archived, every byte proven" in page.ended(page.post(f"{place}/take-in"))
    with diadem.open_node(home / "node") as node:
        assert node.get(package).id == package

    write_small_images(tmp_path / "mixed", 2, seed=33)
    (tmp_path / "given.zip").rename(tmp_path / "mixed" / "given.zip")
    place = page.looked(tmp_path / "mixed")
    assert "1 package of DIADEM" in page.get(place), "a ZIP beside files is found, too"
    assert "was there already" in page.ended(page.post(f"{place}/take-in"))
    assert "1 session in the archive" in page.ended(page.post(f"{place}/archive", **fields | {"version": "1"}))
    with diadem.open_node(home / "node") as node:
        assert [entry.name for entry in node.search("title:mixed")[0].package.files] == [
            "frame_00000.tif",
            "frame_00001.tif",
        ]


def test_custody_that_was_not_taken_over_with_a_package_is_told(page: Page, tmp_path: Path) -> None:
    with diadem.Node.create(tmp_path / "else", name="boblab", user="bob", store=str(tmp_path / "theirs")) as node:
        write_small_images(tmp_path / "their session", 2, seed=34)
        node.export(node.archive(tmp_path / "their session", now=True).package.id, tmp_path / "given.zip", for_="Anna")
    spoilt = tmp_path / "spoilt.zip"
    changed(tmp_path / "given.zip", spoilt, lambda name, data: data[:-9] if name == "chain.json" else data)
    told = page.ended(page.post(f"{page.looked(spoilt)}/take-in"))
    assert "archived, every byte proven" in told
    assert "chain.json: not taken over" in told


def test_folders_are_watched(page: Page, home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "instrument"
    write_small_images(folder / "first session", 2, seed=41)
    at = f"?at={quote(str(folder))}"
    assert "no fact" in page.post(f"/take-in/watch{at}", 409, facts="no fact")
    place = page.post(f"/take-in/watch{at}", facts="instrument.name=Titan", depth="1")
    shown = page.get(place.partition("#")[0])
    assert "is watched from now on" in shown
    assert "instrument.name=Titan" in shown
    said = page.ended(page.post("/take-in/watch-once"))
    assert "first session: waiting" in said
    assert "first session" in page.get("/take-in"), "what waits is shown"
    assert "the watched folder" in page.post(f"/take-in/watch?at={quote(str(tmp_path))}", 409)
    page.post(f"/take-in/unwatch{at}")
    assert "Titan" not in page.get("/take-in")
    assert len(list(folder.rglob("*.tif"))) == 2


def test_an_upload_is_stopped_and_one_that_is_refused_says_why(
    chromium: Any, served_here: Served, page: Page, home: Path, tmp_path: Path
) -> None:
    context = let_in(chromium, (served_here, page.cookie))
    window = context.new_page()
    words = window.locator("#upload .words")
    (tmp_path / "large.dat").write_bytes(os.urandom(4 << 20))
    window.goto(f"{served_here.origin}/take-in")
    assert not window.is_visible("#upload .stop")
    window.click("text=Upload and scan")
    assert "Choose a folder or files first" in words.inner_text()
    window.set_input_files("input[multiple]", str(tmp_path / "large.dat"))
    line = context.new_cdp_session(window)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 200_000}
    line.send("Network.emulateNetworkConditions", slow)
    window.click("text=Upload and scan")
    window.click("#upload .stop")
    assert "Stopped; nothing was kept." in words.inner_text()
    until(lambda: not staged(home))
    line.send("Network.emulateNetworkConditions", slow | {"uploadThroughput": -1})
    window.evaluate("document.getElementById('upload').elements.form_word.value = 'of another run'")
    window.click("text=Upload and scan")
    window.wait_for_selector("#upload .words:has-text('another run')")
    window.evaluate("document.getElementById('upload').dataset.room = '10'")
    window.click("text=Upload and scan")
    assert "there is room for 10 bytes" in words.inner_text()
    until(lambda: not staged(home))
    context.close()


def test_an_upload_is_kept_until_all_of_it_is_taken_in(page: Page, home: Path, tmp_path: Path) -> None:
    """A session and a package came together: archiving the one does not remove the other."""
    with diadem.Node.create(tmp_path / "else", name="evalab", user="eva", store=str(tmp_path / "theirs")) as node:
        write_small_images(tmp_path / "their session", 2, seed=51)
        package = node.archive(tmp_path / "their session", now=True).package.id
    (bag,) = (path.parent for path in (tmp_path / "theirs").rglob("bagit.txt"))
    write_small_images(tmp_path / "both" / "mine", 2, seed=52)
    shutil.copytree(bag, tmp_path / "both" / "given")
    sent = [path for path in (tmp_path / "both").rglob("*") if path.is_file()]
    files = [(os.fsencode(path.relative_to(tmp_path).as_posix()), path.read_bytes()) for path in sent]
    place = page.proposal(page.send(files)[1])
    fields = {"shown-0": "yes", "archive-0": "yes", "version": "0"}
    assert "1 session in the archive" in page.ended(page.post(f"{place}/archive", **fields))
    assert "bagit.txt" in {path.name for path in staged(home)}
    said = page.ended(page.post(f"{place}/take-in"))
    assert "archived, every byte proven" in said, said[said.index("<main") :]
    assert staged(home) == []
    assert f"/session/{package.removeprefix('diadem:')}" in page.get(place)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such characters in names")
def test_a_title_left_as_it_was_shown_is_what_it_was(page: Page, home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "Fe\u202aO"
    write_small_images(folder, 2, seed=53)
    place = page.looked(folder)
    shown = re.search(r'name="title-0" value="([^"]*)"', page.get(place))
    assert shown is not None
    assert "[U+202A]" in shown[1]
    fields = {"shown-0": "yes", "archive-0": "yes", "now": "yes", "version": "0", "title-0": shown[1]}
    done = page.ended(page.post(f"{place}/archive", **fields))
    found = re.search(r"/session/([0-9a-f]+)", done)
    assert found is not None
    with diadem.open_node(home / "node") as node:
        assert "[U+" not in str(node.get(found[1]).record.session["title"])


def test_a_mistyped_path_is_no_fault_of_ours(page: Page, tmp_path: Path) -> None:
    (tmp_path / "one.dat").write_bytes(b"one")
    for name, offered in (("none.dat", False), ("one.dat", True)):
        text = ask(page.served, f"/take-in?folder={quote(str(tmp_path / name))}", Cookie=page.cookie)[2].decode()
        assert ("Scan this file alone" in text) == offered, "only where there is a file"
    said = page.ended(page.post(f"/take-in/look?at={quote(str(tmp_path / 'none.dat'))}"))
    assert "it cannot be read" in said
    assert "has a fault" not in said


@contextlib.contextmanager
def four_jobs(page: Page, tmp_path: Path) -> Iterator[None]:
    """As many jobs as run at once, each waiting for a machine that is silent."""
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(4) as at_once:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        with diadem.Node.create(tmp_path / "far", name="farlab", user="fay", store=str(tmp_path / "far store")) as node:
            tickets = [node.peers.invite(url=url).to_text() for _ in range(4)]
        list(at_once.map(lambda ticket: page.post("/exchange/peers/join", ticket=ticket), tickets))
        yield


def test_an_upload_outlives_that_it_cannot_be_looked_at(page: Page, home: Path, tmp_path: Path) -> None:
    with four_jobs(page, tmp_path):
        status, place, _ = page.send([(b"kept/precious.dat", b"sent for hours")])
        assert (status, place.partition("/")[2].partition("/")[0]) == (303, "take-in")
        assert "jobs are running already" in page.get(place)
        assert [path.name for path in staged(home)] == ["precious.dat"]
        assert place in page.get("/take-in"), "it is found again"
    until(lambda: bool(page.post(f"{place}/look")) and "Scan again" not in page.get(place))
    assert "1 file" in page.get(place)
    page.post(f"{place}/discard")
    assert staged(home) == []


@contextlib.contextmanager
def nobody_writes(home: Path) -> Iterator[None]:
    """Another process writes into the catalogue for so long: whoever wants to waits."""
    with contextlib.closing(sqlite3.connect(home / "node" / "catalogue.sqlite", isolation_level=None)) as catalogue:
        catalogue.execute("BEGIN IMMEDIATE")
        yield
        catalogue.execute("ROLLBACK")


def test_an_upload_stays_while_a_job_is_at_work_with_it(page: Page, home: Path, tmp_path: Path) -> None:
    """No second job begins with it, nobody discards it, and many looks at other things do not push it out."""
    write_small_images(tmp_path / "busy", 2, seed=61)
    sent = [(os.fsencode(f"busy/{path.name}"), path.read_bytes()) for path in (tmp_path / "busy").iterdir()]
    place = page.proposal(page.send(sent)[1])
    (tmp_path / "empty").mkdir()
    for _ in range(52):
        page.post(f"/take-in/look?at={quote(str(tmp_path / 'empty'))}")
    fields = {"shown-0": "yes", "archive-0": "yes", "version": "0"}
    with nobody_writes(home):
        job = page.post(f"{place}/archive", **fields)
        assert 'id="job"' in page.get(job)
        for deed in ("archive", "take-in"):
            assert "being read or archived already" in page.post(f"{place}/{deed}", 409, **fields), deed
        assert "being read or archived already" in page.post(f"{place}/discard", 409)
        assert len(staged(home)) == 2
    assert "1 session in the archive" in page.ended(job)
    assert staged(home) == [], "all of it is taken in"


@pytest.mark.program("an upload of 700 files")
def test_an_upload_outlives_that_looking_at_it_is_stopped(page: Page, home: Path, tmp_path: Path) -> None:
    paths = write_small_images(tmp_path / "many", 700, seed=62)
    _, place, _ = page.send([(os.fsencode(f"many/{path.name}"), path.read_bytes()) for path in paths])
    assert place.startswith("/jobs/"), "it takes longer than one waits for a page"
    page.post(f"{place}/stop")
    assert "was stopped" in page.ended(place)
    assert len(staged(home)) == 700
    found = re.search(r"/take-in/[0-9a-f]{12}", page.get("/take-in"))
    assert found is not None
    assert "Scan again" in page.get(found[0])
    page.post(f"{found[0]}/discard")
    assert staged(home) == []
