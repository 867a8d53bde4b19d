"""The index: strict, canonical, and in step with the manifest."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diadem.errors import PackageError
from diadem.model.manifest import FileEntry, Manifest, leaf_count
from diadem.model.names import illegal
from diadem.package.tags import index_text, parse_index

HEAD = "#diadem-index/1\tleaf=1048576\tblake3\n"
names = st.text(min_size=1, max_size=10).filter(lambda name: "/" not in name and illegal(name) is None)
facts = st.tuples(
    st.integers(0, 1 << 45),
    st.binary(min_size=32, max_size=32).map(bytes.hex),
    st.integers(-(10**18), 4 * 10**18),
    st.none() | st.binary(min_size=1, max_size=12),
)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    paths = draw(st.lists(names.map("data/{}".format), max_size=6, unique=True))
    leaf_size = 1 << draw(st.integers(10, 22))
    entries, first = [], 0
    for path in sorted(paths, key=str.encode):
        size, digest, mtime, original = draw(facts)
        entries.append(FileEntry(path, size, digest, mtime, original, first))
        first += leaf_count(size, leaf_size)
    return Manifest(tuple(entries), leaf_size)


@given(manifests())
@settings(derandomize=True, deadline=None)
def test_an_index_survives_the_round_trip(manifest: Manifest) -> None:
    data = index_text(manifest)
    back = parse_index(data, [(entry.sha256, entry.path) for entry in manifest])
    assert back == manifest
    assert index_text(back) == data


@given(manifests(), st.data())
@settings(max_examples=200, derandomize=True, deadline=None)
def test_a_changed_byte_is_refused_or_means_something_else(manifest: Manifest, data: st.DataObject) -> None:
    text = bytearray(index_text(manifest))
    place = data.draw(st.integers(0, len(text) - 1))
    text[place] ^= data.draw(st.integers(1, 255))
    try:
        index = parse_index(bytes(text))
    except PackageError:
        return
    assert index_text(index) == bytes(text)


def test_times_have_nine_decimals_and_names_are_escaped() -> None:
    entry = FileEntry("data/a b", 5, "0" * 64, -1_500_000_000, b"\xff a/b%~.-_", 0)
    assert index_text(Manifest((entry,))).decode() == HEAD + "data/a b\t5\t0\t-1.500000000\t%FF%20a/b%25~.-_\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "data/a\t1\t0\t0.000000000\t\n",
        HEAD.replace("1048576", "1000000"),
        HEAD.replace("1048576", "512"),
        HEAD.replace("1048576", "8388608"),
        HEAD.replace("/1", "/2"),
        HEAD[:-1],
        HEAD + "data/a\t1\t0\t0.000000000\n",
        HEAD + "data/a\t1\t0\t0.000000000\t",
        HEAD + "data/a\t01\t0\t0.000000000\t\n",
        HEAD + "data/a\t-1\t0\t0.000000000\t\n",
        HEAD + "data/a\t1\t0\t0.0\t\n",
        HEAD + "data/a\t1\t0\t-0.000000000\t\n",
        HEAD + "data/a\t1\t0\t1e3\t\n",
        HEAD + "data/a\t1\t0\t0.000000000\t%ff\n",
        HEAD + "data/a\t1\t0\t0.000000000\t%41\n",
        HEAD + "data/a\t1\t0\t0.000000000\t%zz\n",
        HEAD + "data/a\t1\t0\t0.000000000\ta b\n",
        HEAD + "data/a\t1\t0\t0.000000000\t\r\n",
        HEAD + "\n",
    ],
)
def test_no_other_form_is_read(text: str) -> None:
    with pytest.raises(PackageError, match="the index"):
        parse_index(text.encode())


def test_manifest_and_index_must_list_the_same() -> None:
    digests = [("0" * 64, "data/a"), ("1" * 64, "data/b")]
    index = (HEAD + "data/a\t1048577\t0\t0.000000000\t\ndata/b\t1\t2\t0.000000000\t\n").encode()
    assert [entry.sha256 for entry in parse_index(index, digests)] == ["0" * 64, "1" * 64]
    for others in ([], digests[:1], [*digests, ("2" * 64, "data/c")], [digests[0], ("1" * 64, "data/c")]):
        with pytest.raises(PackageError, match="same files"):
            parse_index(index, others)
    wrong = (HEAD + "data/a\t1048577\t0\t0.000000000\t\ndata/b\t1\t1\t0.000000000\t\n").encode()
    with pytest.raises(PackageError, match="first leaf 1, not 2"):
        parse_index(wrong, digests)
