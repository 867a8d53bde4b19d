"""What can be done with a session from its page, as a person does it; and what stands in the way of enemies."""

from __future__ import annotations

import hashlib
import http.client
import io
import os
import re
import shutil
import tempfile
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import diadem
from diadem.store.disks import disk_of
from diadem.testing.faults import flip_byte
from diadem.testing.samples import write_session
from tests import consoles
from tests.page.conftest import Served, ask, enter, serve
from tests.page.hand import Hand

pytest.importorskip("starlette", reason="the extra 'page' is not installed")

HOSTILE = "<script>window.taken=1</script><img src=x onerror=window.taken=1>\u202egnp.exe"


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on another disk than the tests."""
    other = consoles.other_disk()
    if other is None or None in (mine := disk_of(tmp_path), its := disk_of(other)) or mine == its:
        pytest.skip("there is no second disk to write to")
    folder = Path(tempfile.mkdtemp(dir=other))
    yield folder
    for path in folder.rglob("*"):  # packages are read-only
        path.chmod(0o755 if path.is_dir() else 0o644)
    shutil.rmtree(folder)


def make(home: Path) -> str:
    """A node of anna and bert with one session of several datasets; its id in digits."""
    with diadem.Node.create(home / "node", name="emlab", user="anna", store=str(home / "store")) as node:
        node.users.add("bert")
        write_session(home / "session")
        said = {"session": {"title": "ZnO boundary"}, "sample": {"name": "S-12"}}
        return node.archive(home / "session", metadata=said, now=True).package.id.removeprefix("diadem:")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str, Hand]]:
    """The folder of a node, the id of its session, and somebody at its page."""
    home = tmp_path_factory.mktemp("lab")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DIADEM_CACHE", str(home / "cache"))
        package = make(home)
        for served in serve(home / "node"):
            yield home, package, Hand(served, enter(served))


def seen_by(hand: Hand, page: str) -> str:
    found = re.search(rb'name="seen" value="([^"]*)"', hand.get(page)[1])
    assert found is not None
    return found[1].decode()


# -- the record ------------------------------------------------------------------------------------------------------


def test_two_tabs_correct_one_record(lab: tuple[Path, str, Hand]) -> None:
    _, package, hand = lab
    page = f"/session/{package}/correct"
    assert "ZnO boundary" in hand.read(page)
    first = second = seen_by(hand, page)
    title = {"now:session.title": "ZnO boundary", "now:sample.name": "S-12"}
    status, _, text = hand.post(page, seen=first, **title, **{"new:session.title": "Σ7 boundary"})
    assert (status, "Why" in text) == (409, True), "a reason is wanted"
    text = hand.done(page, seen=first, reason="typed wrongly", **title, **{"new:session.title": "Σ7 boundary"})
    assert "Corrected: Title." in text
    assert "typed wrongly" in text
    both = {**title, "new:session.title": "ZnO boundary", "new:sample.name": "S-13"}
    status, _, text = hand.post(page, seen=second, reason="relabelled", **both)
    assert status == 409
    assert "Title is 'Σ7 boundary' (anna@emlab: typed wrongly)" in text, "the second tab hears what the first did"
    status, _, content = ask(
        hand.served,
        page,
        "POST",
        {"form_word": hand.form_word, "seen": second, "reason": "relabelled", **both},
        Cookie=hand.cookie,
        Origin=hand.served.origin,
    )
    shown = dict(re.findall(r'name="(new:[\w.]+)" value="([^"]*)"', content.decode()))
    assert (shown["new:session.title"], shown["new:sample.name"]) == ("Σ7 boundary", "S-13"), "only what one typed"
    text = hand.done(
        page,
        seen=seen_by(hand, page),
        reason="relabelled",
        **{"now:sample.name": "S-12", "new:sample.name": "S-13", "out:person.operator": "yes"},
    )
    assert "Corrected: Sample, Operator (withdrawn)." in text
    with diadem.open_node(lab[0] / "node") as node:
        record = node.get(package).record
        assert (record.session["title"], record.sample["name"]) == ("Σ7 boundary", "S-13")
        assert all(one.assertion("person.operator") is None for one in record.datasets)


def test_a_dataset_is_corrected_with_units(lab: tuple[Path, str, Hand]) -> None:
    _, package, hand = lab
    page = f"/session/{package}/correct?dataset=d1"
    status, _, text = hand.post(page, seen=seen_by(hand, page), reason="x", field="voltage", value="300 mm")
    assert status == 409
    assert "kV" in text, "it says what can be written"
    status, _, text = hand.post(page, seen=seen_by(hand, page), reason="x", field="voltag", value="300 kV")
    assert (status, "beam" in text or "voltage" in text) == (409, True)
    with diadem.open_node(lab[0] / "node") as node:
        said = {"magnification": 150_000, "time.acquired_start": "2026-03-14T10:05:00+01:00"}
        node.amend(package, said, dataset="d1", reason="logbook")
    assert "150,000" in hand.read(page)
    content = hand.get(page)[1].decode()
    assert 'name="new:optics.magnification" value="150000"' in content, "a line begins with what can be typed"
    assert 'name="new:time.acquired_start" value="2026-03-14T10:05:00+01:00"' in content
    text = hand.done(page, seen=seen_by(hand, page), reason="logbook", field="voltage", value="300 kV")
    assert "300 kV" in text
    with diadem.open_node(lab[0] / "node") as node:
        assert node.get(package).record.datasets["d1"].value("beam.acceleration_voltage") == 300_000
        assert node.get(package).record.datasets["d2"].value("beam.acceleration_voltage") != 300_000


def test_judgements(lab: tuple[Path, str, Hand]) -> None:
    _, package, hand = lab
    page = f"/session/{package}/judge"
    assert "Nobody has assessed it yet" in hand.read(page)
    status, _, text = hand.post(page, verdict="limited", purpose="", comment=HOSTILE)
    assert status == 409
    assert "<script>window.taken=1</script>" in text, "what was typed is still there, as text"
    said = {"seen": seen_by(hand, page), "verdict": "limited", "purpose": "EELS", "criterion": "drift"}
    hand.done(page, **said, dataset="d2", comment=HOSTILE, value="0,5")
    status, _, text = hand.post(page, **said, dataset="d2", comment=HOSTILE, value="0,5")
    assert (status, "was assessed since you opened this page" in text) == (409, True), "a second click"
    with diadem.open_node(lab[0] / "node") as node:
        assert len(node.assessments(package).to_dict()["assessments"]) == 1
    text = hand.read(page)
    assert "[U+202E]" in text
    text = hand.read(f"/session/{package}")
    assert "limited for EELS ( drift )" in text
    assert "[U+202E]" in text
    again = hand.link(page, f"{page}?replaces=")
    assert "Replace your assessment" in hand.read(again)
    hand.done(again, seen=seen_by(hand, again), verdict="accept", purpose="imaging", dataset="d2", comment="sharp")
    status, _, text = hand.post(again, verdict="reject", purpose="imaging", dataset="d2")
    assert (status, "has been replaced" in text) == (409, True), "another tab"
    with diadem.open_node(lab[0] / "node") as node:
        (counting,) = node.assessments(package)
        assert (counting.verdict, counting.purpose, counting.dataset) == ("accept", "imaging", "d2")
    status, _, text = hand.post(page, **said | {"seen": seen_by(hand, page)}, comment="x" * 500_000)
    assert (status, "longer than" in text) == (409, True)
    with ThreadPoolExecutor(2) as clicks:
        (job,) = {place for _, place, _ in clicks.map(lambda _: hand.post(f"{page}/machine"), range(2))}
    assert "8 datasets checked" in hand.ended(job), "two clicks, one job"


# -- copies ----------------------------------------------------------------------------------------------------------


def test_damage_is_found_told_and_mended(tmp_path: Path, other_disk: Path) -> None:
    """And what is dropped or deleted is shown first, and is done once; the last copy stays."""
    package = make(tmp_path)
    with diadem.open_node(tmp_path / "node") as node:
        node.stores.add(str(other_disk / "second"), name="second")
        node.repair()
    policy = tmp_path / "node" / "policy.toml"
    policy.write_text(re.sub(r"minimum = \d+", "minimum = 1", policy.read_text("utf-8")), "utf-8")
    (damaged,) = (tmp_path / "store").rglob("data/haadf_series.mrc")
    flip_byte(damaged, 5000)
    place = f"/session/{package}"
    for served in serve(tmp_path / "node"):
        hand = Hand(served, enter(served))
        text = hand.done(f"{place}/verify")
        assert "Verify ZnO boundary" in text
        assert "1 copy is not what was archived" in text
        assert "main: damaged" in text
        assert "haadf_series.mrc" in text
        assert "second: every byte is right" in text
        assert "repair in main" in hand.read(f"{place}/repair")
        text = hand.done(f"{place}/repair")
        assert "main: mended data/haadf_series.mrc" in text
        assert "Every byte of 2 copies is right" in hand.done(f"{place}/verify")

        status, _, text = hand.post(f"{place}/drop", store="second", reason="")
        assert (status, "Why" in text) == (409, True)
        text = hand.done(f"{place}/drop", store="second", reason=HOSTILE)
        assert "Nothing was removed yet" in text
        assert list((other_disk / "second").rglob("haadf_series.mrc"))
        (job,) = re.findall(r'href="(/jobs/\w+)">Would the copy', hand.get("/jobs")[1].decode())
        sure = hand.link(job, "/dry-run/")
        assert "Nothing was done yet" in hand.read(sure)
        assert "[U+202E]" in hand.read(sure)
        assert "the copy in second was dropped" in hand.done(sure)
        assert not list((other_disk / "second").rglob("haadf_series.mrc"))
        assert hand.post(sure)[0] == 404, "a second click does nothing"
        assert "it is the only copy" in hand.done(f"{place}/drop", store="main", reason="full")
        text = hand.done(f"{place}/drop", store="main", reason="full", below_minimum="yes")
        assert "only after the retention may fewer copies remain" in text
        assert list((tmp_path / "store").rglob("haadf_series.mrc"))

        status, _, text = hand.post(f"{place}/delete", reason="old")
        assert (status, "the policy keeps it until" in text) == (409, True)
    policy.write_text(re.sub(r"years = \d+", "years = 0", policy.read_text("utf-8")), "utf-8")
    for served in serve(tmp_path / "node"):
        hand = Hand(served, enter(served))
        text = hand.done(f"{place}/drop", store="main", reason="full", below_minimum="yes")
        assert "it is the only copy" in text, "the last one stays, whoever says that there may be fewer"
        status, _, text = hand.post(f"{place}/delete", reason=" ")
        assert (status, "Why" in text) == (409, True)
        status, sure, _ = hand.post(f"{place}/delete", reason="its time is over")
        assert status == 303
        assert "would be deleted everywhere" in hand.read(sure)
        assert hand.get(place)[0] == 200
        assert "Deleted: ZnO boundary" in hand.done(sure)
        assert hand.get(place)[0] == 404
    assert not list((tmp_path / "store").rglob("haadf_series.mrc"))


# -- giving ----------------------------------------------------------------------------------------------------------


def test_a_copy_that_was_not_read_is_not_called_right(tmp_path: Path) -> None:
    """A folder that was adopted where it lies is no copy in a store: scrub does not read it."""
    write_session(tmp_path / "session")
    with diadem.Node.create(tmp_path / "node", name="emlab", user="anna", store=str(tmp_path / "store")) as node:
        package = node.archive(tmp_path / "session", now=True, in_place=True).package.id[7:]
    flip_byte(tmp_path / "session" / "haadf_series.mrc", 5000)
    for served in serve(tmp_path / "node"):
        text = Hand(served, enter(served)).done(f"/session/{package}/verify")
        assert "in-place: not read by this" in text
        assert "in-place: every byte is right" not in text


def test_files_as_a_zip(lab: tuple[Path, str, Hand], tmp_path: Path) -> None:
    home, package, hand = lab
    with diadem.open_node(home / "node") as node:
        found = node.get(package)
        expected = {entry.name: entry.sha256 for entry in found.files}
        several = max(found.record.datasets, key=lambda one: len(one.files))
        companions, folder = {one.path for one in several.files}, several.id
    status, headers, content = ask(hand.served, f"/session/{package}/zip?all=yes", Cookie=hand.cookie)
    assert (status, int(headers["content-length"])) == (200, len(content))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        got = {name.partition("/")[2]: hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist()}
    assert got == expected
    status, content = hand.get(f"/session/{package}/zip?dataset={folder}")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert {name.partition("/")[2] for name in archive.namelist()} == companions
    status, content = hand.get(f"/session/{package}/zip?file=1&file=0&file=1")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert [name.partition("/")[2] for name in archive.namelist()] == list(expected)[1::-1]
    for asked, answer in (("", 400), ("?file=99999", 404), ("?dataset=nothing", 404)):
        assert hand.get(f"/session/{package}/zip{asked}")[0] == answer, asked
    assert "haadf_series.mrc" in hand.read(f"/session/{package}/files?q=HAADF")
    assert "chamber" not in hand.read(f"/session/{package}/files?q=HAADF")
    status, _, text = hand.post(f"/session/{package}/restore", folder="here")
    assert (status, "not a whole path" in text) == (409, True)
    text = hand.done(f"/session/{package}/restore", folder=str(tmp_path / "back"), only="HAADF*\n*.msa")
    assert "3 files" in text
    assert sorted(path.name for path in (tmp_path / "back").iterdir()) == [
        "eds_point.msa",
        "haadf_overview.tif",
        "haadf_series.mrc",
    ]
    status, _, text = hand.post(f"/session/{package}/proof")
    assert status == 200


def settled(served: Served) -> int:
    """The memory of a page that has loaded what pictures need."""
    before, now = 0, memory(served)
    while now - before > 1 << 20:
        time.sleep(1)
        before, now = now, memory(served)
    return now


@pytest.mark.skipif(os.name == "nt", reason="these names cannot be made there")
@pytest.mark.program("a ZIP of hundreds of megabytes")
def test_a_zip_of_odd_names_of_damage_and_of_much(tmp_path: Path) -> None:
    """Names that every system can hold; damage ends the line early; and memory stays as it is."""
    session = tmp_path / "session"
    (session / "a:b").mkdir(parents=True)
    (session / "data").mkdir()
    for name in ("CON.txt", "con.TXT", "a:b/x?.txt", "a:b/é.txt", "x", "data/x"):
        (session / name).write_text(name)
    for name in ("large.bin", "z.bin"):
        with (session / name).open("wb") as large:
            large.truncate(100 << 20)
    with diadem.Node.create(tmp_path / "node", name="emlab", user="anna", store=str(tmp_path / "store")) as node:
        package = node.archive(session, now=True).package.id.removeprefix("diadem:")
    for served in serve(tmp_path / "node"):
        hand = Hand(served, enter(served))
        hand.read(f"/session/{package}")
        before = settled(served)
        line = http.client.HTTPConnection(served.origin.partition("//")[2], timeout=60)
        line.request("GET", f"/session/{package}/zip?all=yes", headers={"Cookie": hand.cookie})
        answer = line.getresponse()
        target = tmp_path / "got.zip"
        with target.open("wb") as sink:
            shutil.copyfileobj(answer, sink, 1 << 20)
        line.close()
        assert memory(served) - before < 60 << 20
        with zipfile.ZipFile(target) as archive:
            assert archive.testzip() is None
            names = archive.namelist()
        assert len({name.casefold() for name in names}) == 8
        assert not any(re.search(r'[<>:"|?*\\]|(^|/)con(\.|$)', name, re.IGNORECASE) for name in names)
        for name in ("x", "data/x"):
            assert hand.get(f"/file/{package}?path={name}") == (200, name.encode())
        (damaged,) = (tmp_path / "store").rglob("data/z.bin")
        flip_byte(damaged, 70 << 20)
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            ask(served, f"/session/{package}/zip?all=yes", Cookie=hand.cookie)
        text = hand.read(f"/session/{package}/files")
        assert "ended early" in text
        assert "z.bin" in text


def memory(served: Served) -> int:
    """The most bytes that the page's process has had in memory."""
    status = Path(f"/proc/{served.process.pid}/status")
    if not status.exists():
        pytest.skip("this system does not say how much memory a process has")
    return int(re.findall(r"VmHWM:\s+(\d+)", status.read_text())[0]) << 10


def test_a_zip_for_somebody(lab: tuple[Path, str, Hand], tmp_path: Path) -> None:
    home, package, hand = lab
    page = f"/session/{package}/give"
    assert hand.post(page, for_="", where="download")[0] == 409
    status, _, text = hand.post(page, for_="Marie", where="folder", folder="here")
    assert (status, "not a whole path" in text) == (409, True)
    status, _, text = hand.post(page, for_="Marie", where="folder", folder=str(tmp_path / "none"))
    assert (status, "no such folder" in text) == (409, True)
    for_ = f"Marie {HOSTILE}".replace("\u202e", "")  # a name is a line that can be printed
    status, _, text = hand.post(page, for_=for_, where="folder", folder=str(home / "store"))
    assert (status, "inside the archive" in text) == (409, True)
    status, sure, _ = hand.post(page, for_=for_, where="folder", folder=str(tmp_path))
    told = hand.read(sure)
    assert "Nothing was done yet" in told
    assert "names those to whom it was given before" in told
    assert list(tmp_path.iterdir()) == []
    assert "every byte proven" in hand.done(sure)
    (written,) = tmp_path.iterdir()
    assert diadem.verify(written).ok
    assert "given before" not in hand.read(hand.post(page, for_="Marie", where="download", no_custody="yes")[1])
    status, sure, _ = hand.post(page, for_="Marie", where="download", only="raw")
    told = hand.read(sure)
    assert ("the instrument's files alone" in told, "given before" in told) == (True, False)
    status, job, _ = hand.post(sure)
    hand.ended(job)
    parcel = hand.link(job, "/parcel/")
    (waiting,) = (home / "cache" / "page").glob("*/made-*/*.zip")
    status, content = hand.get(parcel)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert any(name.endswith("haadf_series.mrc") for name in archive.namelist())
    assert hand.get(parcel)[0] == 404, "it vanishes when it was fetched"
    assert not waiting.parent.exists()
    assert "removed: vendor metadata blocks" in hand.done(page, for_="Marie", where="download", redact="yes")
    assert "Marie" in hand.read(f"/session/{package}"), "custody tells it"


def test_another_form(lab: tuple[Path, str, Hand], tmp_path: Path) -> None:
    home, _, hand = lab
    spectrum = tmp_path / "spectrum"
    spectrum.mkdir()
    (spectrum / "a.msa").write_text(
        "#FORMAT      : EMSA/MAS Spectral Data File\n#VERSION     : 1.0\n#TITLE       : spectrum\n#NPOINTS     : 2\n"
        "#NCOLUMNS    : 1\n#XUNITS      : eV\n#YUNITS      : counts\n#DATATYPE    : Y\n#XPERCHAN    : 10.0\n"
        "#OFFSET      : 0.0\n#SPECTRUM    : Spectral Data Starts Here\n1.0\n20.0\n#ENDOFDATA   :\n"
    )
    with diadem.open_node(home / "node") as node:
        package = node.archive(spectrum, now=True).package.id[7:]
    out = tmp_path / "out"
    out.mkdir()
    page = f"/session/{package}/forms"
    assert "NeXus file (NXem)" in hand.read(page)
    assert "NXem requires" in hand.done(f"{page}/nxem", where="folder", folder=str(out))
    assert list(out.iterdir()) == []
    assert hand.post(f"{page}/unknown")[0] == 404
    facts = {
        "option-atom_types": "Ga,N", "option-preparation_date": "2026-03-01", "option-is_simulation": "false",
        "option-time_zone": "+01:00", "option-start_time": "2026-03-14T09:00:00+01:00", "option-vendor": "JEOL",
        "option-model": "JEM-2100",
    }  # fmt: skip
    assert "what was read was proven" in hand.done(f"{page}/nxem", where="folder", folder=str(out), **facts)
    (written,) = out.iterdir()
    assert written.read_bytes().startswith(b"\x89HDF")
    status, job, _ = hand.post(f"{page}/nxem", where="download", **facts)
    assert status == 303
    hand.ended(job)
    assert hand.get(hand.link(job, "/parcel/"))[1].startswith(b"\x89HDF")


def test_an_offer_and_a_permission(lab: tuple[Path, str, Hand]) -> None:
    home, package, hand = lab
    page = f"/session/{package}/send"
    assert "Start under Exchange" in hand.read(page)
    status, _, text = hand.post(page, to="marie@nmi")
    assert (status, "nmi" in text) == (409, True)
    status, _, text = hand.post(page, to="bert@emlab", days="soon")
    assert (status, "not a number of days" in text) == (409, True)
    text = hand.done(page, to="bert@emlab", days="3", comment=HOSTILE)
    assert "Offered to bert@emlab" in text
    assert "[U+202E]" in text
    assert "it is not offered twice" in hand.done(page, to="bert@emlab", days="3", comment="again")
    status, _, text = hand.post(f"/session/{package}/grant", colleague="nobody@emlab", right="read")
    assert status in (404, 409)
    grant = {"colleague": "bert@emlab", "right": "read", "until": "2100-01-01"}
    status, look, _ = hand.post(f"/session/{package}/grant", **grant)
    assert (status, "until 2100-01-01" in hand.read(look)) == (303, True)
    with diadem.open_node(home / "node") as node:
        assert len(node.grants(package)) == 1, "that of the offer: a look grants nothing"
    assert "Granted: bert@emlab may see and read." in hand.done(look)
    assert hand.post(look)[0] == 404, "a second click"
    with diadem.open_node(home / "node", user="bert") as node:
        assert node.inbox()[0].transfer.package.endswith(package)
        assert node.why("bert", package).allowed
        assert len(node.grants(package)) == 2


# -- enemies ---------------------------------------------------------------------------------------------------------


def test_no_other_site_does_anything(lab: tuple[Path, str, Hand]) -> None:
    from diadem.page.app import VIEWS

    home, package, hand = lab
    _, sure, _ = hand.post(f"/session/{package}/give", for_="Marie", where="download")
    with diadem.open_node(home / "node") as node:
        before = len(list(node.custody(package).story))
    form = {
        "store": "main", "reason": "x", "for": "Eve", "where": "download", "to": "bert@emlab", "verdict": "reject",
        "purpose": "EELS", "seen": "0:", "field": "voltage", "value": "1 kV", "colleague": "bert@emlab",
    }  # fmt: skip
    places = [path for method, path, _ in VIEWS if method == "POST" and path.startswith(("/session/", "/dry-run/"))]
    assert len(places) >= 10
    for path in places:
        place = path.replace("{package}", package).replace("/dry-run/{word}", sure)
        for origin, word in (
            ("https://evil.example", hand.form_word),
            ("null", hand.form_word),
            (hand.served.origin, ""),
            (hand.served.origin, "0" * 64),
        ):
            status, _, _ = ask(
                hand.served, place, "POST", {**form, "form_word": word}, Cookie=hand.cookie, Origin=origin
            )
            assert status == 403, (place, origin)
        status, _, _ = ask(hand.served, place, "POST", {**form, "form_word": hand.form_word}, Origin=hand.served.origin)
        assert status == 403, (place, "no cookie")
        assert hand.get(place)[0] in (200, 404, 405), "and no address that one follows does it"
    with diadem.open_node(home / "node") as node:
        assert len(list(node.custody(package).story)) == before


def test_read_only_shows_no_buttons(lab: tuple[Path, str, Hand]) -> None:
    home, package, _ = lab
    for served in serve(home / "node", "--read-only"):
        hand = Hand(served, enter(served))
        for path in ("", "/correct", "/judge", "/repair", "/drop", "/give", "/send", "/files", "/d1"):
            status, content = hand.get(f"/session/{package}{path}")
            assert status == 200, path
            assert b'method="post"' not in content, path
        assert hand.get(f"/session/{package}/zip?file=0")[0] == 200, "reading goes on"
