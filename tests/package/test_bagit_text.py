"""Tag files in canonical form: what is read is what would be written."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diadem.errors import PackageError
from diadem.model.names import illegal
from diadem.package.tags import bag_info_text, manifest_text, parse_bag_info, parse_manifest

DIGEST = "0123456789abcdef" * 4
digests = st.binary(min_size=32, max_size=32).map(bytes.hex)
names = st.text(min_size=1, max_size=12).filter(lambda name: "/" not in name and illegal(name) is None)
entries = st.lists(st.tuples(digests, names.map("data/{}".format)), max_size=8, unique_by=lambda entry: entry[1])
labels = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,20}", fullmatch=True)
values = st.text(max_size=30).map(str.strip).filter(lambda text: len(text.splitlines()) <= 1)


@given(entries)
@settings(derandomize=True, deadline=None)
def test_a_manifest_survives_the_round_trip(lines: list[tuple[str, str]]) -> None:
    data = manifest_text(lines)
    back = parse_manifest(data, "manifest-sha256.txt")
    assert back == sorted(lines, key=lambda line: line[1].encode())
    assert manifest_text(back) == data


@given(st.lists(st.tuples(labels, values), max_size=6))
@settings(derandomize=True, deadline=None)
def test_bag_info_survives_the_round_trip(fields: list[tuple[str, str]]) -> None:
    data = bag_info_text(fields)
    assert parse_bag_info(data) == fields


@pytest.mark.parametrize(
    "text",
    [
        f"{DIGEST}  data/a",
        f"{DIGEST} data/a\n",
        f"{DIGEST} *data/a\n",
        f"{DIGEST}\tdata/a\n",
        f"{DIGEST.upper()}  data/a\n",
        f"{DIGEST[:-1]}  data/a\n",
        f"{DIGEST}  data/a\r\n",
        f"{DIGEST}  data/a%25\n",
        f"{DIGEST}  data/b\n{DIGEST}  data/a\n",
        f"{DIGEST}  data/a\n{DIGEST}  data/a\n",
        f"{DIGEST}  data/a\n\n",
        f"\ufeff{DIGEST}  data/a\n",
        f"{DIGEST}  \n",
    ],
)
def test_no_other_form_of_a_manifest_is_read(text: str) -> None:
    with pytest.raises(PackageError, match=r"line"):
        parse_manifest(text.encode(), "manifest-sha256.txt")


def test_what_is_not_utf8_is_named() -> None:
    with pytest.raises(PackageError, match="not UTF-8 at byte 3"):
        parse_manifest(b"abc\xff", "m")


@pytest.mark.parametrize("path", ["data/a\nb", "data/a\rb", "data/50%"])
def test_no_manifest_is_written_that_cannot_be_read(path: str) -> None:
    with pytest.raises(PackageError, match="cannot be listed"):
        manifest_text([(DIGEST, path)])


@pytest.mark.parametrize("text", ["A:b\n", "A : b\n", "A: b", "A: b \n", "A: b\r\n", " c\n", "A: b\n c\n", "A\n"])
def test_no_other_form_of_bag_info_is_read(text: str) -> None:
    with pytest.raises(PackageError):
        parse_bag_info(text.encode())


@pytest.mark.parametrize("field", [("A:B", "x"), (" A", "x"), ("", "x"), ("A", "x\ny"), ("A", " x")])
def test_bag_info_fields_are_one_line(field: tuple[str, str]) -> None:
    with pytest.raises(PackageError):
        bag_info_text([field])
