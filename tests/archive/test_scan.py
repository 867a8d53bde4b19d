"""What a scan finds in real and in awkward trees, and that it leaves no trace in them."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import diadem
from diadem.errors import NotFound, Refused, UsageError
from diadem.extract.survey import survey
from diadem.hooks.offers import Group, ReaderOffer
from diadem.model.ports import Progress
from diadem.model.scan import Concern
from diadem.scan.reading import Orphans
from diadem.scan.words import attention
from diadem.testing.samples import write_session, write_small_images
from tests.archive.scan_trees import Scanner, digest_of_tree, image, posix


def by_name(scan: diadem.Scan) -> dict[str, Any]:
    return {dataset.path: dataset for dataset in scan.datasets}


def codes(scan: diadem.Scan) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for issue in scan.issues:
        found.setdefault(issue.path, set()).add(issue.code)
    return found


def test_a_session_of_eight_kinds(scan: Scanner, tmp_path: Path) -> None:
    folder = tmp_path / "2026-03-14 ZnO S-12"
    files = write_session(folder)
    before = digest_of_tree(folder)
    result = scan(folder)
    assert digest_of_tree(folder) == before
    assert result.totals.files == len(files)
    assert result.totals.bytes == sum(path.stat().st_size for path in files)
    found = by_name(result)
    assert set(found) == {*(path.name for path in files if ".zspy" not in str(path)), "low_loss.zspy"}
    eds = found["eds_map.hspy"]
    assert (eds.facts.kind, eds.facts.shape, eds.facts.voltage) == ("spectrum_image", (32, 32, 1024), 200_000.0)
    assert eds.facts.pixel_size == pytest.approx(1.5e-9)
    assert eds.facts.energy_step == pytest.approx(10.0)
    assert found["grain_boundary.blo"].facts.acquired.startswith("2026-03-14T15:09:26")
    assert codes(result)["interrupted.mrc"] == {"truncated"}
    assert not found["chamber_pressure.dat"].known
    (session,) = result.sessions
    assert (session.title, session.date, session.name) == ("ZnO S-12", "2026-03-14", "20260314-zno-s-12")
    assert (session.folder, session.parts, session.archive) == (str(folder.resolve()), (), True)
    assert (session.datasets, session.files) == (8, len(files))
    assert session.sample == "ZnO-S12"


def test_the_plan_makes_the_package_that_it_names(scan: Scanner, tmp_path: Path) -> None:
    image(tmp_path / "data" / "2026-03-14 ZnO" / "a.hspy", sample="S-12")
    (session,) = scan(tmp_path / "data").plan()
    package = diadem.pack(session.folder, tmp_path / "store", metadata=session.metadata)
    name = Path(package.url).name
    assert name.rpartition("-")[0] == session.name
    assert package.record.sample["name"] == "S-12"


def test_every_real_file_is_in_one_dataset_and_one_session(scan: Scanner, shared_data: Path) -> None:
    result = scan(shared_data)
    files = [path for path in shared_data.rglob("*") if path.is_file()]
    assert result.totals.files == len(files) == sum(session.files for session in result.sessions)
    assert result.totals.bytes == sum(path.stat().st_size for path in files)
    assert sum(session.datasets for session in result.sessions) == len(result.datasets)
    assert Counter(dataset.session for dataset in result.datasets) == {
        session.id: session.datasets for session in result.sessions
    }
    found = by_name(result)
    survey = found["dm/Titan_survey_image_dataZeroed.dm3"].facts
    assert (survey.voltage, survey.shape) == (300_000.0, (1024, 1024))
    assert "STEM" in survey.mode
    assert survey.pixel_size == pytest.approx(1.38108029961586e-10)
    assert survey.acquired.startswith("2019-11-13T12:31:51")
    assert found["tia/16x16-line_profile_horizontal_5x128x128_EDS.emi"].files == 3
    assert found["zspy/signal1d_10x10-DirectoryStore.zspy"].files == 29
    known = codes(result)
    assert "wrong-type" in known["bad/png_named.dm4"]
    assert "truncated" in known["bad/trunc50.mrc"]
    assert "side-file-alone" in known["mdoc/TS_41.mrc.mdoc"]
    assert "missing-part" in known["empad/EMPAD_v1.2.2_x32_y64_size0.8.xml"]
    twins = [{Path(path).name for path in group.paths} for group in result.duplicates]
    assert {f"Titan_TEM_1_STEM_image_dataZeroed_{n}.ser.gz" for n in (1, 2)} in twins
    assert result.complete
    assert json.loads(json.dumps(result.to_dict()))["totals"]["files"] == len(files)


def test_files_of_one_dataset_that_are_apart() -> None:
    offer = ReaderOffer(
        "camera",
        (".cam",),
        "module:read",
        groups=[Group("{stem}.cam", parts=("{stem}.frames",), sidecars=("{stem}.setup", "{stem}.txt"), required=True)],
    )
    orphans = Orphans([offer])
    (setup, notes, frames) = survey([("a/x.setup", 1), ("a/x.txt", 1), ("b/y.frames", 1)], [offer])
    assert orphans.lost_primary(setup) == "x.cam"
    assert orphans.lost_primary(notes) is None  # too common a name to belong to anything
    assert orphans.lost_primary(frames) == "y.cam"
    (alone,) = survey([("a/X.cam", 1)], [offer])
    assert orphans.lost_parts(alone, "unknown") == "X.frames"
    (whole,) = survey([("a/x.cam", 1), ("a/x.frames", 1), ("a/x.setup", 1)], [offer])
    assert (orphans.lost_primary(whole), orphans.lost_parts(whole, "camera")) == (None, None)


def test_duplicates_are_told_by_content_not_by_size_or_name(scan: Scanner, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    large = bytes(range(256)) * 1024
    middle = bytearray(large)
    middle[100_000] ^= 1  # outside of every sample
    for name, content in {"a/1": large, "b/2": large, "b/3": bytes(middle), "a/4": b"x", "a/5": b"x"}.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "a" / "empty1").touch()
    (tmp_path / "a" / "empty2").touch()
    result = scan(tmp_path)
    groups = [([Path(path).name for path in group.paths], group.copies, group.spare) for group in result.duplicates]
    assert groups == [(["1", "2"], 2, len(large)), (["4", "5"], 2, 1)]


def test_files_that_cannot_be_compared_whole_are_no_duplicates(scan: Scanner, tmp_path: Path) -> None:
    content = bytearray(range(256)) * 1024
    (tmp_path / "1").write_bytes(content)
    content[100_000] ^= 1  # outside of every sample
    (tmp_path / "2").write_bytes(content)

    def touch(progress: Progress) -> None:
        if progress.stage == "compare" and progress.done == progress.total:
            for name in ("1", "2"):
                os.utime(tmp_path / name, (1, 1))

    result = scan(tmp_path, listener=touch)
    assert codes(result) == {"1": {"changing"}, "2": {"changing"}}
    assert not result.duplicates


@posix
def test_two_names_of_one_file_are_no_duplicate(scan: Scanner, tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"content" * 100)
    os.link(tmp_path / "one", tmp_path / "other")
    assert not scan(tmp_path).duplicates
    (tmp_path / "copy").write_bytes(b"content" * 100)
    (group,) = scan(tmp_path).duplicates
    assert (len(group.paths), group.copies, group.spare) == (3, 2, 700)


def test_single_copies_of_two_roots(scan: Scanner, tmp_path: Path) -> None:
    for root, name, content in (
        ("disk", "both", b"same"),
        ("backup", "renamed", b"same"),
        ("disk", "here", b"only"),
        ("backup", "there", b"mere"),
        ("disk", "twice", b"2222"),
        ("disk", "twice again", b"2222"),
    ):
        (tmp_path / root).mkdir(exist_ok=True)
        (tmp_path / root / name).write_bytes(content)
    result = scan(tmp_path / "disk", tmp_path / "backup")
    assert [(Path(one.root).name, one.files, one.bytes, one.paths) for one in result.single_copies] == [
        ("disk", 1, 4, ("here",)),
        ("backup", 1, 4, ("there",)),
    ]
    assert not scan(tmp_path / "disk").single_copies


def test_a_copied_session_is_proposed_once(scan: Scanner, tmp_path: Path) -> None:
    original = image(tmp_path / "2026-03-14 ZnO" / "a.hspy")
    for name in ("2026-03-14 ZnO backup", "usb"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.hspy").write_bytes(original.read_bytes())
    (tmp_path / "usb" / "b.hspy").write_bytes(image(tmp_path / "x.hspy").read_bytes()[:-1])
    (tmp_path / "x.hspy").unlink()
    result = scan(tmp_path)
    assert {session.title: session.archive for session in result.sessions} == {
        "ZnO": False,
        "ZnO backup": False,
        "usb": True,
    }
    assert all("also in" in session.why for session in result.sessions if not session.archive)


def test_packages_and_stores_are_counted_and_left_alone(scan: Scanner, tmp_path: Path) -> None:
    session = tmp_path / "data" / "2026-03-14 ZnO"
    image(session / "a.hspy")
    first = diadem.pack(session, tmp_path / "data" / "store")
    image(session / "b.hspy")
    diadem.pack(session, tmp_path / "data" / "store")
    loose = tmp_path / "data" / "old" / "bag"
    loose.parent.mkdir()
    shutil.copytree(first.url, loose)
    result = scan(tmp_path / "data")
    assert {(Path(one.path).name, one.kind, one.packages) for one in result.archived} == {
        ("store", "store", 2),
        ("bag", "package", 1),
    }
    assert set(by_name(result)) == {"2026-03-14 ZnO/a.hspy", "2026-03-14 ZnO/b.hspy"}
    assert [Path(one.folder).name for one in result.sessions] == ["2026-03-14 ZnO"]
    whole = scan(first.url)
    assert (whole.totals.files, [one.kind for one in whole.archived]) == (0, ["package"])


def test_a_folder_that_only_looks_like_a_store_is_scanned(scan: Scanner, tmp_path: Path) -> None:
    (tmp_path / ".diadem").mkdir()
    (tmp_path / ".diadem" / "settings.txt").write_text("not a store")
    image(tmp_path / "a.hspy")
    assert not scan(tmp_path).archived
    assert "a.hspy" in by_name(scan(tmp_path))


def test_a_session_beside_a_package_does_not_take_it_in(scan: Scanner, tmp_path: Path) -> None:
    image(tmp_path / "ZnO" / "a.hspy")
    image(tmp_path / "ZnO" / "raw" / "b.hspy")
    (tmp_path / "ZnO" / "packed" / "diadem").mkdir(parents=True)
    (tmp_path / "ZnO" / "packed" / "bagit.txt").write_text("BagIt-Version: 1.0\n")
    (session,) = scan(tmp_path).sessions
    assert (Path(session.folder).name, session.parts) == ("ZnO", ("*", "raw/"))


@posix
def test_hostile_names(scan: Scanner, tmp_path: Path) -> None:
    names = [
        b"caf\xe9.hspy",
        b"new\nline.hspy",
        b"[bold]x.hspy",
        b"\x1b[31mred.hspy",
        b"=1+2.hspy",
        "\u202egnp.hspy".encode(),
    ]
    content = image(tmp_path / "x.hspy").read_bytes()
    for number, name in enumerate(names):
        (tmp_path / os.fsdecode(name)).write_bytes(content + bytes([number]))
    (tmp_path / "x.hspy").unlink()
    result = scan(tmp_path)
    assert len(result.datasets) == len(names)
    assert all(dataset.readable for dataset in result.datasets)
    assert r"caf\xe9.hspy" in by_name(result)
    json.dumps(result.to_dict(), ensure_ascii=False).encode("utf-8")
    second = scan(tmp_path)
    assert (second.effort.read, second.effort.cached) == (0, len(names))


@posix
def test_links_pipes_and_loops_are_said_and_not_followed(scan: Scanner, tmp_path: Path) -> None:
    image(tmp_path / "data" / "a.hspy")
    (tmp_path / "data" / "loop").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "out.hspy").symlink_to(tmp_path / "data" / "a.hspy")
    os.mkfifo(tmp_path / "data" / "pipe.mrc")
    result = scan(tmp_path / "data")
    assert set(by_name(result)) == {"a.hspy"}
    assert codes(result) == {"loop": {"symlink"}, "out.hspy": {"symlink"}, "pipe.mrc": {"fifo"}}
    assert result.complete
    assert {issue.concern for issue in result.issues} == {Concern.NOTE}


@posix
def test_what_vanishes_meanwhile_is_said(scan: Scanner, tmp_path: Path) -> None:
    write_small_images(tmp_path, 30)
    (tmp_path / "twin1.dat").write_bytes(b"0" * 100)
    (tmp_path / "twin2.dat").write_bytes(b"0" * 100)
    seen: list[str] = []

    def vanish(progress: Progress) -> None:
        if progress.stage == "read" and not seen:
            seen.append(progress.item)
            for name in ("frame_00029.tif", "twin2.dat"):
                (tmp_path / name).unlink()

    result = scan(tmp_path, listener=vanish)
    assert codes(result) == {"frame_00029.tif": {"vanished"}, "twin2.dat": {"vanished"}}
    assert not result.complete
    assert len(result.datasets) == 32


@posix
def test_a_socket_and_a_deep_folder(scan: Scanner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / "/".join("d" * 300)
    deep.mkdir(parents=True)
    image(deep / "a.hspy")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        result = scan(tmp_path)
    assert codes(result) == {"socket": {"socket"}}
    assert result.totals.readable == 1


def test_roots_that_mean_nothing_or_each_other(scan: Scanner, tmp_path: Path) -> None:
    image(tmp_path / "a" / "b" / "x.hspy")
    with pytest.raises(UsageError, match="no folder"):
        scan()
    with pytest.raises(NotFound):
        scan(tmp_path / "absent")
    with pytest.raises(UsageError, match="file"):
        scan(tmp_path / "a" / "b" / "x.hspy")
    result = scan(tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a")
    assert len(result.roots) == 1
    assert len(result.datasets) == 1
    assert "is inside another" in result.notices[0]


def test_an_empty_folder(scan: Scanner, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = scan(tmp_path / "empty")
    assert (result.totals.files, result.sessions, result.complete) == (0, [], True)


def test_no_output_in_a_scanned_folder(scan: Scanner, tmp_path: Path) -> None:
    image(tmp_path / "data" / "a.hspy")
    result = scan(tmp_path / "data")
    for name in ("t.csv", "t.xlsx", "t.html"):
        with pytest.raises(Refused):
            result.save(tmp_path / "data" / name)
        assert result.save(tmp_path / name).stat().st_size
    with pytest.raises(Refused):
        result.save_plan(tmp_path / "data" / "plan.csv")
    with pytest.raises(UsageError):
        result.save(tmp_path / "t.pdf")
    assert os.listdir(tmp_path / "data") == ["a.hspy"]


def test_progress_comes_to_its_end(scan: Scanner, tmp_path: Path) -> None:
    write_small_images(tmp_path, 20)
    heard: list[Progress] = []
    scan(tmp_path, listener=heard.append)
    read = [progress for progress in heard if progress.stage == "read"]
    assert [progress.done for progress in read] == list(range(1, 21))
    assert {progress.total for progress in read} == {20}


def test_many_small_files_of_one_size(scan: Scanner, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(3000):
        (folder / f"{number:05d}.dat").write_bytes(number.to_bytes(4, "big") * 4)
    (folder / "copy.dat").write_bytes((7).to_bytes(4, "big") * 4)
    result = scan(folder)
    assert result.totals.files == 3001
    assert [[Path(path).name for path in group.paths] for group in result.duplicates] == [["00007.dat", "copy.dat"]]
    assert [session.archive for session in result.sessions] == [False]


def test_a_data_frame_with_units_in_its_columns(scan: Scanner, tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    image(tmp_path / "2026-03-14 ZnO" / "a.hspy", sample="S-12")
    frame = scan(tmp_path).to_dataframe()
    row = frame.iloc[0]
    assert (row["voltage_kv"], row["kind"], row["shape"], row["sample"]) == (200.0, "image", "8 × 8", "S-12")
    assert row["pixel_size_nm"] == pytest.approx(0.02)
    assert str(frame["acquired"].dtype).startswith("datetime64")


@pytest.fixture
def many_issues(scan: Scanner, shared_data: Path) -> diadem.Scan:
    return scan(shared_data / "bad", shared_data / "tia")


def test_the_page_is_one_file_without_script(many_issues: diadem.Scan, tmp_path: Path) -> None:
    text = many_issues.save(tmp_path / "scan.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert "http" not in text.replace('http-equiv="Content-Security-Policy"', "")
    assert "trunc50.mrc" in text
    assert "datasets: cut short" in text


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
def test_names_cannot_break_the_page(scan: Scanner, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    image(tmp_path / "data" / "<script>alert(1)<").rename(tmp_path / "data" / "<script>alert(1)<.hspy")
    text = scan(tmp_path / "data").save(tmp_path / "scan.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_what_systems_keep_for_themselves_is_not_proposed(scan: Scanner, tmp_path: Path) -> None:
    image(tmp_path / "2026-03-14 ZnO" / "a.hspy")
    for name in ("$RECYCLE.BIN/S-1-5-21", "System Volume Information", ".Trash-1000/files", ".Trashes", "lost+found"):
        image(tmp_path / name / "deleted.hspy")
    found = scan(tmp_path)
    assert [session.title for session in found.sessions] == ["ZnO"]
    assert [(issue.concern, issue.code) for issue in found.issues] == [(Concern.NOTE, "system")] * 5
    if sys.platform != "win32" and os.geteuid():
        (tmp_path / "System Volume Information").chmod(0)
        assert not [issue for issue in scan(tmp_path).issues if issue.concern is Concern.UNSEEN]
        (tmp_path / "System Volume Information").chmod(0o700)


def test_a_folder_of_empty_and_cut_files_alone_is_not_proposed(scan: Scanner, tmp_path: Path) -> None:
    whole = image(tmp_path / "good" / "a.hspy").read_bytes()
    (tmp_path / "rubbish").mkdir()
    (tmp_path / "rubbish" / "empty.dm3").touch()
    (tmp_path / "rubbish" / "cut.hspy").write_bytes(whole[: len(whole) // 2])
    proposed = {session.title: session for session in scan(tmp_path).sessions}
    assert proposed["good"].archive
    assert not proposed["rubbish"].archive
    assert "empty or cut short" in proposed["rubbish"].why


def test_a_copy_in_which_a_file_differs_is_told(scan: Scanner, tmp_path: Path) -> None:
    for number in range(3):
        image(tmp_path / "d" / "2023-03-14 GaN" / f"{number}.hspy")
    shutil.copytree(tmp_path / "d", tmp_path / "nas")
    spoilt = tmp_path / "nas" / "2023-03-14 GaN" / "1.hspy"
    spoilt.write_bytes(b"x" * spoilt.stat().st_size)
    found = scan(tmp_path / "d", tmp_path / "nas")
    told = [session.why for session in found.sessions if "differ" in session.why]
    assert len(told) == 2
    assert all("2 of 3 files are equal to those of" in why and "1 of the same name differs" in why for why in told)
    assert any("differs" in line for item in attention(found) for line in (item.title, *map(str, item.lines)))
    page = tmp_path / "scan.html"
    found.save(page)
    assert "2 sessions that could be archived" in page.read_text("utf-8")
