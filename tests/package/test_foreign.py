"""Bags of others: what the conformance suite and bagit-python make is judged right, what is hostile is refused."""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import bagit
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from diadem.model.report import Level, Report, Severity
from diadem.package.verify import verify
from diadem.store.bags import LocalBundle
from tests import zygote
from tests.package.sample_bags import FailingDisk, manifest, write, write_bag

PAYLOAD = {"a.txt": b"hello\n", "dir/b.bin": bytes(5000), "empty": b""}
REFUSED = {"invalid", "linux-only", "windows-only"}
# Its manifest lists data/.DS_Store, which is missing from the published suite: no honest verifier can accept it.
BROKEN = "special-system-files"


def check(folder: Path) -> Report:
    return verify(LocalBundle(folder), level=Level.QUICK, workers=2)


def found(report: Report, severity: Severity) -> set[str]:
    return {finding.code for finding in report.findings if finding.severity is severity}


def test_the_conformance_suite(bagit_suite: Path) -> None:
    bags = [bag for bag in sorted(bagit_suite.glob("v*/*/*")) if bag.is_dir()]
    assert len(bags) == 60
    for bag in bags:
        report = check(bag)
        assert report.level is Level.FULL
        kind = bag.parent.name
        expected = kind == "valid" or (kind == "warning" and bag.name != BROKEN)
        assert report.ok is expected, (bag, report.findings)
        assert kind in REFUSED | {"valid"} or found(report, Severity.WARNING), bag


@pytest.mark.parametrize("algorithms", [["md5"], ["sha1", "sha512"], ["sha256"], ["sha3_256"], ["blake2b"]])
def test_what_bagit_python_writes_is_accepted(tmp_path: Path, algorithms: list[str]) -> None:
    write(tmp_path, PAYLOAD)
    bagit.make_bag(str(tmp_path), {"Contact-Name": "Ü. Müller"}, checksums=algorithms)
    report = check(tmp_path)
    assert report.ok, report.findings
    assert report.checked["files"] == 3
    assert not {"algorithm-unknown", "manifest-missing"} & found(report, Severity.WARNING)
    (tmp_path / "data/dir/b.bin").write_bytes(bytes(4999) + b"x")
    assert found(check(tmp_path), Severity.ERROR) == {"digest-mismatch"}


@pytest.mark.parametrize("version", ["0.93", "0.94", "0.95", "0.96", "0.97", "1.0"])
def test_every_version_is_known(tmp_path: Path, version: str) -> None:
    write_bag(tmp_path, PAYLOAD, version=version)
    assert check(tmp_path).ok


@pytest.mark.parametrize("text", ["2.0", "1.1", ".97", "0.9", "one", "1.0.0", ""])
def test_other_versions_are_refused(tmp_path: Path, text: str) -> None:
    write_bag(tmp_path, PAYLOAD, version=text)
    assert found(check(tmp_path), Severity.ERROR) == {"bagit-version"}


@pytest.mark.parametrize("codec", ["idna", "rot13", "zip", "unicode_escape", "nonsense", "\u0661", "utf-8\0x"])
def test_only_character_encodings_are_taken(tmp_path: Path, codec: str) -> None:
    write_bag(tmp_path, PAYLOAD)
    (tmp_path / "tagmanifest-sha256.txt").unlink()
    text = f"BagIt-Version: 1.0\nTag-File-Character-Encoding: {codec}\n"
    (tmp_path / "bagit.txt").write_text(text, encoding="utf-8", newline="\n")
    assert found(check(tmp_path), Severity.ERROR) == {"bagit-encoding"}


def test_an_unknown_algorithm_is_a_warning_and_alone_not_enough(tmp_path: Path) -> None:
    write_bag(tmp_path, PAYLOAD)
    (tmp_path / "manifest-xyz9.txt").write_bytes(b"00  data/a.txt\n")
    report = check(tmp_path)
    assert report.ok
    assert "algorithm-unknown" in found(report, Severity.WARNING)
    (tmp_path / "manifest-sha256.txt").unlink()
    (tmp_path / "tagmanifest-sha256.txt").unlink()
    assert found(check(tmp_path), Severity.ERROR) == {"manifest-missing"}


def test_since_1_0_every_manifest_lists_every_file(tmp_path: Path) -> None:
    for version, severity in (("0.97", Severity.WARNING), ("1.0", Severity.ERROR)):
        folder = tmp_path / version
        write_bag(folder, PAYLOAD, version=version)
        (folder / "manifest-md5.txt").write_bytes(manifest({"data/a.txt": PAYLOAD["a.txt"]}, "md5"))
        assert "manifest-incomplete" in found(check(folder), severity)


def test_percent_signs_are_read_as_the_version_has_it(tmp_path: Path) -> None:
    for version, listed, warned in (
        ("1.0", "data/50%25.txt", False),
        ("1.0", "data/50%.txt", False),
        ("0.97", "data/50%.txt", False),
        ("0.97", "data/50%25.txt", True),
    ):
        folder = tmp_path / f"{version}-{len(listed)}"
        write_bag(folder, {"50%.txt": b"x"}, version=version)
        (folder / "tagmanifest-sha256.txt").unlink()
        (folder / "manifest-sha256.txt").write_bytes(manifest({listed: b"x"}))
        report = check(folder)
        assert report.ok
        assert ("percent-encoding" in found(report, Severity.WARNING)) is warned


def test_an_escape_cannot_hide_a_path(tmp_path: Path) -> None:
    write_bag(tmp_path, PAYLOAD)
    with (tmp_path / "manifest-sha256.txt").open("ab") as file:
        file.write(manifest({"data/%2e%2e/x": b"", "data/..%0A/../../x": b""}))
    report = check(tmp_path)
    assert not report.ok
    assert {"file-missing", "unsafe-path"} <= found(report, Severity.ERROR)


@pytest.mark.parametrize(
    "path",
    [
        *["../outside.txt", "/etc/hostname", "~/x", "data/../../outside.txt"],
        *["C:/Windows/x", "\\\\host\\share\\x", "data/con"],
    ],
)
@pytest.mark.parametrize("name", ["manifest-sha256.txt", "tagmanifest-sha256.txt", "fetch.txt"])
def test_no_list_leads_outside(tmp_path: Path, path: str, name: str) -> None:
    (tmp_path / "outside.txt").write_bytes(b"secret")
    write_bag(tmp_path / "bag", PAYLOAD)
    line = f"http://127.0.0.1:9/x - {path}\n".encode() if name == "fetch.txt" else manifest({path: b"secret"})
    with (tmp_path / "bag" / name).open("ab") as file:
        file.write(line)
    report = check(tmp_path / "bag")
    assert "unsafe-path" in found(report, Severity.ERROR)
    assert path in {finding.path for finding in report.findings}


def test_what_would_have_to_be_fetched_is_missing(tmp_path: Path) -> None:
    write_bag(tmp_path, PAYLOAD)
    (tmp_path / "data/a.txt").unlink()
    (tmp_path / "fetch.txt").write_bytes(b"http://127.0.0.1:9/a 6 data/a.txt\n")
    report = check(tmp_path)
    assert found(report, Severity.ERROR) == {"not-fetched"}
    assert "fetch-ignored" in found(report, Severity.WARNING)


@pytest.mark.skipif(os.name != "posix", reason="links need a right on Windows")
def test_links_are_refused(tmp_path: Path) -> None:
    write_bag(tmp_path / "bag", PAYLOAD)
    (tmp_path / "a.txt").write_bytes(PAYLOAD["a.txt"])
    (tmp_path / "bag/data/a.txt").unlink()
    (tmp_path / "bag/data/a.txt").symlink_to(tmp_path / "a.txt")
    assert found(check(tmp_path / "bag"), Severity.ERROR) == {"irregular-file"}


def test_the_oxum_is_compared(tmp_path: Path) -> None:
    write_bag(tmp_path, PAYLOAD)
    info = tmp_path / "bag-info.txt"
    info.write_bytes(b"Payload-Oxum: 5006.3\nSource: a\n  continued\n")
    assert check(tmp_path).ok
    info.write_bytes(b"payload-oxum: 5007.3\n")
    assert found(check(tmp_path), Severity.ERROR) == {"oxum-mismatch"}
    info.write_bytes(b"Payload-Oxum: many\n")
    assert found(check(tmp_path), Severity.ERROR) == {"oxum-malformed"}


def test_a_twin_with_other_content_is_missing(tmp_path: Path) -> None:
    write_bag(tmp_path, PAYLOAD, version="0.97")
    (tmp_path / "tagmanifest-sha256.txt").unlink()
    with (tmp_path / "manifest-sha256.txt").open("ab") as file:
        file.write(manifest({"data/A.TXT": b"other\n"}))
    report = check(tmp_path)
    assert not report.ok
    assert "name-twins" in found(report, Severity.WARNING)


@pytest.mark.skipif(sys.platform != "linux", reason="other file systems refuse such names")
def test_names_cannot_command_a_terminal(tmp_path: Path) -> None:
    write_bag(tmp_path, PAYLOAD)
    for name in (b"\x1b]0;owned\x07", b"not utf-8 \xff"):
        (tmp_path / "data" / os.fsdecode(name)).write_bytes(b"")
    report = check(tmp_path)
    assert [finding.path for finding in report.findings] == ["data/\\u001b]0;owned\\u0007", "data/not utf-8 \\udcff"]
    json.dumps(report.to_dict()).encode()


def test_a_bad_disk_is_a_finding(tmp_path: Path) -> None:
    write_bag(tmp_path, PAYLOAD)
    for path in ("bagit.txt", "manifest-sha256.txt", "data/dir/b.bin"):
        report = verify(FailingDisk(tmp_path, {path: 0}), level=Level.FULL)
        assert path in {finding.path for finding in report.findings if finding.severity is Severity.ERROR}


HOSTILE: dict[str, Callable[[], bytes]] = {
    "one endless line": lambda: b"0" * (70 << 20),
    "a line without end after good ones": lambda: b"%s  data/a\n" % (b"0" * 64) + b"x" * (2 << 20),
    "millions of lines": lambda: b"0\n" * (3 << 20),
    "millions of ends of lines": lambda: b"\r" * (64 << 20),
    "larger than allowed": lambda: bytes(129 << 20),
    "not the declared encoding": lambda: b"\xff\xfe" * 1000,
}
VERIFY = """
import sys
from diadem.model.report import Level
from diadem.package.verify import verify
from diadem.store.bags import LocalBundle
report = verify(LocalBundle(sys.argv[1]), level=Level.FULL)
peak = 0
if sys.platform == "linux":
    with open("/proc/self/status") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
print(report.ok, len(report.findings), peak)
"""


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.sweep(2)
def test_hostile_manifests_are_refused_in_bounded_memory(tmp_path: Path, kind: str) -> None:
    write_bag(tmp_path, PAYLOAD)
    (tmp_path / "manifest-sha256.txt").write_bytes(HOSTILE[kind]())
    command = [sys.executable, "-c", VERIFY, str(tmp_path)]
    done = zygote.run(command, timeout=60, check=True)
    ok, count, peak_kib = done.stdout.split()
    assert ok == "False"
    assert int(count) < 2000
    assert int(peak_kib) < 250 * 1024, peak_kib


def _same_path() -> dict[str, bytes]:
    return {"manifest-md5.txt": b"".join(b"%032x  data/a.txt\n" % number for number in range(60_000))}


def _same_name_composed_otherwise() -> dict[str, bytes]:
    forms = itertools.islice(itertools.product(("\u00e9", "e\u0301"), repeat=15), 30_000)
    lines = [f"{number:032x}  data/{''.join(form)}.txt\n" for number, form in enumerate(forms)]
    return {"manifest-md5.txt": "".join(lines).encode()}


def _one_field_continued() -> dict[str, bytes]:
    return {"bag-info.txt": b"Contact: x\n" + b" y\n" * 330_000}


def _many_manifests() -> dict[str, bytes]:
    spelled = itertools.islice(itertools.product(*("mM", "aA", "nN", "iI", "fF", "eE", "sS", "tT", "mM", "dD")), 1, 600)
    files = {f"data/{number}": b"" for number in range(5000)}
    names = ["".join(one) for one in spelled]
    return files | {f"{name[:8]}-{name[8:]}5.txt": b"" for name in names} | {"manifest-sha256.txt": manifest(files)}


@pytest.mark.parametrize("spoilt", [_same_path, _same_name_composed_otherwise, _one_field_continued, _many_manifests])
@pytest.mark.program("time is measured")
def test_the_time_grows_as_the_tag_files_do(tmp_path: Path, spoilt: Callable[[], dict[str, bytes]]) -> None:
    write_bag(tmp_path, {**PAYLOAD, "\u00e9" * 15 + ".txt": b"a"}, algorithm="md5")
    write(tmp_path, spoilt())
    command = [sys.executable, "-m", "diadem", "verify", str(tmp_path), "--json"]
    done = zygote.run(command, timeout=30)
    assert done.returncode == (0 if spoilt is _one_field_continued else 1)
    assert ("listed-twice" in done.stdout) == (spoilt is _same_path)


tag_names = st.sampled_from(["bagit.txt", "bag-info.txt", "manifest-sha256.txt", "tagmanifest-sha256.txt", "fetch.txt"])
WORDS = [b"BagIt-Version: 1.0", b"0" * 64, b" ", b"  ", b"*", b"./", b"data/a.txt", b":", b"\n", b"\r", b"%0A", b"\xff"]
junk = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=80).map(str.encode),
    st.lists(st.sampled_from(WORDS), max_size=20).map(b"".join),
)


@given(tag_names, junk)
@settings(
    max_examples=150, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_tag_file_makes_it_raise(tmp_path: Path, name: str, content: bytes) -> None:
    write_bag(tmp_path, PAYLOAD)
    (tmp_path / name).write_bytes(content)
    report = check(tmp_path)
    report.to_dict()
    if name in {"bagit.txt", "manifest-sha256.txt"}:
        assert not report.ok
    (tmp_path / name).unlink()
