"""What a `formats.toml` says is cut out of TIFF files and side files."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from diadem.errors import PluginError
from diadem.hooks.cuts import cutter
from diadem.hooks.fields import Block
from diadem.hooks.manifest import document
from tests.hooks.distributions import fields_of
from tests.plugins.tiff.files import write

Cut = Callable[..., Iterator[Block]]
NUMBERS = itertools.count()
CODE = """
def bad(data):
    raise ValueError("no lab of ours")


def own(data):
    return {"length": len(data)}


def look(file, page, tree):
    tree["Place"] = file.data(page.tags[65002])[0]
    return ()
"""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Cut]]:
    """A family with such statements, and what it cuts out of a file."""
    package = tmp_path / "site" / f"cutting_lab_{next(NUMBERS)}"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "code.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))

    def make(*statements: str) -> Cut:
        cuts = "".join(f"[[fields.cut]]\n{one}\n" for one in statements)
        (package / "formats.toml").write_text(f'[[fields]]\nname = "lab"\nformats = ["tiff"]\n{cuts}')
        document.cache_clear()

        def cut(path: Path, files: Sequence[Path] = ()) -> Iterator[Block]:
            (offer,) = fields_of(package.name)
            assert offer.blocks == f"{package.name}/lab"
            for one in cutter(offer.blocks)(str(path), list(map(str, files))):
                assert isinstance(one, Block)
                yield one

        return cut

    yield make
    document.cache_clear()


def trees(blocks: Iterable[Block]) -> list[Any]:
    return [block.tree for block in blocks if block.tree]


def test_lines_of_a_tag(lab: Callable[..., Cut], tmp_path: Path) -> None:
    cut = lab("block = 'lab-tag'\ntag = [65000, 65001]\ncontains = 'our lab'")
    raw, tree = cut(write(tmp_path / "a.tif", {65000: b"by=our lab\nHV=5\0\xff\xfe", 65001: b"by=others"}))
    assert (raw.kind, raw.media_type, raw.place) == ("lab-tag", "text/plain", "page 1/ImageTags")
    assert tree.tree["ImageTags"] == {"by": "our lab", "HV": "5"}
    assert "65001" not in tree.tree
    assert list(cut(write(tmp_path / "b.tif", {}))) == []


def test_a_tag_whose_text_is_the_tree(lab: Callable[..., Cut], tmp_path: Path) -> None:
    _, tree = lab("block = 'lab-tag'\ntag = 65000\nflat = true")(write(tmp_path / "a.tif", {65000: b"HV=5"}))
    assert (tree.tree["HV"], tree.tree["ImageWidth"], tree.place) == ("5", 8, "page 1")


@pytest.mark.parametrize(
    ("said", "text", "tree"),
    [
        ("form = 'ini'", "[A]\nx=1\n", {"A": {"x": "1"}}),
        ("line = '(\\w+): (.*)'", "x: 1\nx: 2\nno line\n y:  3 ", {"x": "1", "y": "3"}),
        ("form = 'xml'\nroot = 'Lab'", "<Lab><x>1</x></Lab>", {"x": "1"}),
        ("form = 'xml'\nroot = 'Lab'", "<Other><x>1</x></Other>", None),
        ("form = '.code:own'", "four", {"length": 4}),
        ("form = '.code:own'\ncontains = 'five'", "four", None),
        ("form = 'ini'\ncoding = 'utf-16-le'", "[\0A\0]\0\n\0x\0=\x001\0", {"A": {"x": "1"}}),
    ],
)
def test_forms_of_side_files(lab: Callable[..., Cut], tmp_path: Path, said: str, text: str, tree: Any) -> None:
    cut = lab(f"block = 'lab-side'\nfile = '.lab'\n{said}")
    side = tmp_path / "a.LAB"
    side.write_bytes(text.encode("latin-1"))
    blocks = list(cut(write(tmp_path / "a.tif"), [tmp_path / "a.tif", side]))
    assert trees(blocks) == ([] if tree is None else [tree])
    assert [block.file for block in blocks] == [str(side)] * len(blocks)


def test_a_function_that_looks_at_a_page(lab: Callable[..., Cut], tmp_path: Path) -> None:
    cut = lab("block = 'lab-page'\nlook = '.code:look'")
    (tree,) = cut(write(tmp_path / "a.tif", {65002: b"*"}))
    assert (tree.tree["Place"], tree.tree["ImageWidth"]) == (42, 8)


def test_one_statement_that_fails_does_the_others_no_harm(lab: Callable[..., Cut], tmp_path: Path) -> None:
    cut = lab("block = 'one'\ntag = 65000\nform = '.code:bad'", "block = 'two'\ntag = 65001")
    path = write(tmp_path / "a.tif", {65000: b"bad", 65001: b"x=1"})
    kept: list[Block] = []
    with pytest.raises(ValueError, match="no lab of ours"):
        kept.extend(cut(path))
    assert [(block.kind, block.data) for block in kept if block.data] == [("one", b"bad"), ("two", b"x=1")]
    assert trees(kept)[-1]["65001"] == {"x": "1"}


def test_a_long_file_is_not_read_whole(lab: Callable[..., Cut], tmp_path: Path) -> None:
    cut = lab("block = 'lab-side'\nfile = '.lab'\nform = '.code:own'")
    side = tmp_path / "a.lab"
    side.write_bytes(bytes(20 << 20))
    assert trees(cut(write(tmp_path / "a.tif"), [side])) == [{"length": 16 << 20}]


def test_faults_are_told_with_line_and_key(lab: Callable[..., Cut], tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", {65000: b"x=1"})
    with pytest.raises(PluginError, match=r"line 7: fields\[0\]\.cut\[0\]\.contains: '\(' is not a regular expression"):
        list(lab("block = 'lab-tag'\ntag = 65000\ncontains = '('")(path))
    with pytest.raises(PluginError, match=r"fields\[0\]\.cut\[0\]"):
        list(lab("block = 'lab-tag'\ntag = 65000\nfile = '.txt'")(path))
    with pytest.raises(PluginError, match="does not say what is cut for 'other'"):
        cutter("diadem.plugins.zeiss/other")
