r"""Paths and commands of Windows, on every system: drives, shares, ``\\?\``, and the shells' quotation marks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from diadem.advice import in_python, unquoted
from diadem.cli.main import at_home
from diadem.errors import UsageError, cause_of, machine_error
from diadem.model.plain_text import quoted
from diadem.model.system_paths import drive_of, folder_of_url, long_form, path_within


@pytest.mark.parametrize(
    ("path", "long"),
    [
        ("D:\\em\\x", "\\\\?\\D:\\em\\x"),
        ("D:/em/./x/../y", "\\\\?\\D:\\em\\y"),
        ("D:\\" + "a" * 300, "\\\\?\\D:\\" + "a" * 300),
        ("\\\\nas\\share\\x", "\\\\?\\UNC\\nas\\share\\x"),
        ("//nas/share/x", "\\\\?\\UNC\\nas\\share\\x"),
        ("\\\\?\\D:\\x", "\\\\?\\D:\\x"),
        ("\\\\?\\D:\\x/data/y", "\\\\?\\D:\\x\\data\\y"),  # there a slash would be part of a name
        ("\\\\.\\PhysicalDrive0", "\\\\.\\PhysicalDrive0"),
    ],
)
def test_long_paths(path: str, long: str) -> None:
    assert long_form(path) == long
    assert long_form(long) == long


@pytest.mark.parametrize(
    ("path", "drive"),
    [
        ("D:\\em", "D:"),
        ("\\\\?\\D:\\em", "D:"),
        ("\\\\nas\\share\\x", "\\\\nas\\share"),
        ("\\\\?\\UNC\\nas\\share\\x", "\\\\nas\\share"),
        ("//nas/share/x", "\\\\nas\\share"),
        ("C:rel", "C:"),
        ("\\em", ""),
        ("rel", ""),
    ],
)
def test_the_disk_or_share_of_a_path(path: str, drive: str) -> None:
    assert drive_of(path) == drive


@pytest.mark.parametrize(
    ("url", "folder"),
    [
        ("file:///D:/em/a%20b", "D:\\em\\a b"),
        ("file:///D:/", "D:\\"),
        ("file:///D:", "D:\\"),
        ("file:///d|/em", "d:\\em"),
        ("file://localhost/D:/em", "D:\\em"),
        ("file:///D%3A/em", "D:\\em"),
        ("file://nas/share/x", "\\\\nas\\share\\x"),
        ("file:////nas/share/x", "\\\\nas\\share\\x"),
        ("file://///nas/share/x/", "\\\\nas\\share\\x"),
        ("drop:///G:/exchange", "G:\\exchange"),
        ("drop://nas/share", "\\\\nas\\share"),
    ],
)
def test_addresses_of_folders_on_windows(url: str, folder: str) -> None:
    assert folder_of_url(url, windows=True) == folder


@pytest.mark.parametrize(
    ("url", "windows", "advice"),
    [
        ("file://D:/em", True, "file:///D:/em"),
        ("file:///em", True, "file:///D:/"),  # which disk that is depends on where one stands
        ("file:///C:rel", True, "file:///D:/"),
        ("file://", True, "file:///path"),
        ("file://nas/share", False, "file:///mnt/group"),
        ("drop://nas/share", False, "drop:///mnt/group"),
    ],
)
def test_addresses_that_name_no_folder_say_what_to_write(url: str, windows: bool, advice: str) -> None:
    with pytest.raises(UsageError) as caught:
        folder_of_url(url, windows=windows)
    assert advice in str(caught.value.next)


@pytest.mark.parametrize(
    ("root", "path", "windows", "below"),
    [
        ("E:\\", "E:\\2026\\x", True, "2026/x"),  # a stick: what stands before is no folder of its disk
        ("E:\\em", "e:\\EM\\2026\\x", True, "2026/x"),
        ("\\\\nas\\share", "\\\\NAS\\share\\2026\\x", True, "2026/x"),
        ("/", "/2026/x", False, "2026/x"),
        ("/srv/em/", "/srv/em/2026/x", False, "2026/x"),
        ("s3://bucket/em", "s3://bucket/em/2026/x", False, "2026/x"),
        ("s3://bucket/em", "s3://bucket/em/2026/x", True, "2026/x"),
    ],
)
def test_where_a_package_lies_in_its_store(root: str, path: str, windows: bool, below: str) -> None:
    assert path_within(root, path, windows=windows) == below


@pytest.mark.parametrize(
    ("root", "path", "windows"),
    [
        ("D:\\em", "E:\\em\\x", True),
        ("D:\\em", "D:\\emm\\x", True),
        ("/em", "/EM/x", False),
        ("s3://b", "s3://bb/x", True),
    ],
)
def test_what_lies_elsewhere_has_no_path_there(root: str, path: str, windows: bool) -> None:
    with pytest.raises(ValueError, match=r"emm|subpath|below"):
        path_within(root, path, windows=windows)


#: An argument, and as PowerShell and cmd take it.
ARGUMENTS = [
    ("D:\\data\\x.tif", "D:\\data\\x.tif"),
    ("\\\\nas\\share", "\\\\nas\\share"),
    ("D:\\my data", '"D:\\my data"'),
    ("D:\\my data\\", '"D:\\my data\\\\"'),  # else the last backslash takes the mark's place as an end
    ("\\\\nas\\d$\\my data", '"\\\\nas\\d$\\my data"'),
    ("D:\\$batch 1", "'D:\\$batch 1'"),  # PowerShell would fill in the variable
    ("D:\\Anna's $batch", "'D:\\Anna''s $batch'"),
    ("D:\\a&b", '"D:\\a&b"'),
    ("voltage<=300 kV", '"voltage<=300 kV"'),
    ('sample:"S 12"', '"sample:""S 12"""'),
    ('a\\"b', '"a\\\\""b"'),
    ("", '""'),
]


@pytest.mark.parametrize(("argument", "written"), ARGUMENTS)
def test_arguments_for_the_shells_of_windows(argument: str, written: str) -> None:
    assert quoted(argument, windows=True) == written
    assert unquoted(f"diadem get {written} x", windows=True) == ["diadem", "get", argument, "x"]


def test_the_home_is_filled_in_where_the_shell_does_not() -> None:
    """What examples say, such as ``diadem init ~/diadem-node``, would make a folder called ``~`` else."""
    home = str(Path.home())
    given = ["init", "~/diadem-node", "~", "~\\x", "~anna/x", "a~/b", "S~12"]
    assert at_home(given, windows=True) == [
        "init",
        f"{home}/diadem-node",
        home,
        f"{home}\\x",
        "~anna/x",
        "a~/b",
        "S~12",
    ]
    assert at_home(given, windows=False) == given


def test_a_mark_that_is_open_is_prose() -> None:
    for windows in (True, False):
        with pytest.raises(ValueError, match="quotation"):
            unquoted("the group's disk", windows=windows)


def test_advice_in_python_keeps_backslashes() -> None:
    """On Windows a command's path is bare; as a call it is a text of Python."""
    text = "Where it is elsewhere now: diadem store move main D:\\new\\archive"
    assert in_python(text, windows=True).endswith('node.stores.move("main", "D:\\\\new\\\\archive")')


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (32, "another program has the file open"),
        (33, "another program has the file open"),
        (21, "the disk reports an input/output error"),
        (23, "the disk reports an input/output error"),
        (19, "read-only"),
        (112, "the disk is full"),
        (53, "the share does not answer"),
        (64, "the share does not answer"),
        (206, "too long"),
        (5, "it may not be written or read here"),
    ],
)
def test_numbers_of_windows_say_what_happened(code: int, words: str) -> None:
    """Python makes EACCES of most of them, and of a server that is away the error for a file that is not there."""
    error: Any = FileNotFoundError(2, "x", "D:\\x") if code == 53 else PermissionError(13, "x", "D:\\x")
    error.winerror = code
    said, found = cause_of(error), machine_error(error)
    assert said is not None
    assert found is not None
    assert words in said[0]
    assert words in found.message
