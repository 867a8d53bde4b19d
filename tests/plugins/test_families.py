"""What every family of formats is asked alike: what real files state, and that other files say nothing."""

from __future__ import annotations

import contextlib
import csv
import json
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diadem.errors import ReaderError
from diadem.hooks.binary import Cursor
from diadem.model.record import Dataset
from diadem.plugins.bruker.files import read_xml
from diadem.plugins.hamamatsu.files import parse as hamamatsu
from diadem.plugins.jeol.headers import read_tree
from diadem.plugins.merlin.files import parse as merlin
from diadem.plugins.optical.trees import attolight_settings
from diadem.plugins.others.files import settings
from diadem.plugins.pantarhei.files import values_of
from diadem.plugins.tescan.header import records
from diadem.plugins.tvips.structure import parse as tvips
from diadem.plugins.zeiss.blocks import parse_smartsem
from tests.plugins.nanomegas.test_blockfile import header as blockfile
from tests.plugins.opened import Bytes, blocks
from tests.plugins.tvips_movie.test_tvips_movie import head as movie

#: (file, field) to what is stated, if anything: value, unit, what is known of a time's offset, the signals concerned if
#: not all. The values come from elsewhere: from other programs, from the authors of a file, from its bytes, with which
#: the tests of a family compare them.
STATED: dict[tuple[str, str], list[tuple[Any, str, str, str]]] = {}
with Path(__file__).with_name("expected.tsv").open(encoding="utf-8", newline="") as _file:
    for _row in csv.DictReader(_file, delimiter="\t", quoting=csv.QUOTE_NONE):
        _stated = STATED.setdefault((_row["file"], _row["field"]), [])
        if _row["value"]:
            _stated.append((json.loads(_row["value"]), _row["unit"], _row["offset"], _row["signals"]))


@pytest.mark.parametrize(("name", "field"), STATED)
def test_what_a_real_file_states(real: Mapping[str, Dataset], name: str, field: str) -> None:
    found = real[name].assertions(field)
    assert [(one.value, one.unit or "", one.offset_status, " ".join(one.applies_to)) for one in found] == [
        (pytest.approx(value, rel=1e-12) if isinstance(value, float) else value, *others)
        for value, *others in STATED[name, field]
    ]


#: Of a family: any input, what holds of it, and the errors by which it may end in place of an answer.
ANYTHING: Mapping[str, tuple[st.SearchStrategy[Any], Callable[[Any], bool], tuple[type[Exception], ...]]] = {
    "attolight": (st.text(max_size=300), lambda text: all(len(one) == 4 for one in attolight_settings(text)), ()),
    "bruker": (
        st.binary(max_size=200),
        lambda data: isinstance(read_xml(b"<a>" + data + b"</a>"), dict),
        (ParseError, ValueError, LookupError),
    ),
    "hamamatsu": (st.binary(max_size=300), lambda data: isinstance(hamamatsu(data), dict), ()),
    "jeol": (
        st.binary(max_size=400),
        lambda data: isinstance(read_tree(Cursor(Bytes(b"\x01" + data), "a.pts")), dict),
        (ReaderError,),
    ),
    "merlin": (st.binary(max_size=800), lambda data: merlin(data) is None or data.startswith(b"MQ1,"), ()),
    "nordif": (st.text(max_size=400), lambda text: isinstance(settings(text), dict), ()),
    "pantarhei": (
        st.binary(max_size=200),
        lambda data: isinstance(values_of(data), (str, bytes, int, float, list, dict, type(None))),
        (pickle.UnpicklingError, EOFError, LookupError, TypeError, ValueError, AttributeError, OverflowError),
    ),
    "tescan": (st.binary(max_size=300), lambda data: isinstance(records(data), dict), ()),
    "tvips": (st.binary(max_size=7000), lambda data: isinstance(tvips(data), dict), ()),
    "zeiss": (st.binary(max_size=300), lambda data: isinstance(parse_smartsem(data), dict), ()),
}


@pytest.mark.parametrize("family", ANYTHING)
@given(source=st.data())
def test_anything_has_an_answer(family: str, source: st.DataObject) -> None:
    anything, holds, errors = ANYTHING[family]
    given_ = source.draw(anything)
    with contextlib.suppress(*errors):
        assert holds(given_)


#: Where a family's files are opened, and files that are none of them: name and bytes.
OTHERS = [
    ("bruker.files:open", "a.bcf", b""),
    ("bruker.files:open", "b.spx", b"<?xml version='1.0'?><other/>"),
    ("bruker.files:open", "c.bcf", b"AAMVHFS"),
    ("edax.files:open", "b.spc", b"\x00\x4b" + bytes(5000)),  # of Galactic
    ("edax.files:open", "c.spd", b"MAP"),
    ("edax.files:open", "d.ipr", bytes(202)),
    ("edax.files:open", "e.lsd", bytes(168)),
    ("edax.files:open", "f.csv", b"a,b"),
    ("empad.files:open", "a.xml", b"<root><sensor/></root>"),
    ("hamamatsu.files:open", "a.img", b"IM" + bytes(100)),
    ("hamamatsu.files:open", "b.img", b""),
    ("insitu.files:open_dens", "a.dens", b""),
    ("insitu.files:open_dens", "b.dens", b"\n" * 100_000),
    ("insitu.files:open_dens", "c.dens", b"x" * (8 << 20)),  # an endless line is not read whole
    ("insitu.files:open_protochips", "c.csv", b"Time,Volt\n1,2\n"),
    ("insitu.files:open_protochips", "d.csv", b""),
    ("insitu.files:open_impulse", "c.csv", b"Time,Volt\n1,2\n"),
    ("msa.blocks:open", "a.msa", b""),
    *(
        ("nanomegas.blockfile:open", "a.blo", data)
        for data in (b"", b"IMGBLO", blockfile(id=b"OTHERS"), blockfile(magic=1), blockfile(image=10), b"t" * 999)
    ),
    ("ripple.files:open", "a.rpl", b""),
    *(
        ("tvips_movie.files:open", "a_000.tvips", data)
        for data in (b"", b"x" * 300, movie(3), movie(size=12), movie(bits=32), movie(x=0))
    ),
    *(("tvips_movie.files:open", "a_000.tvips", movie(header=size)) for size in (4, 1 << 30)),
]


def _id(one: str | bytes) -> str:
    return one if isinstance(one, str) else f"{len(one)} bytes"


@pytest.mark.parametrize(("opened", "name", "data"), OTHERS, ids=_id)
def test_other_files_have_no_blocks(tmp_path: Path, opened: str, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    assert blocks(f"diadem.plugins.{opened}", tmp_path / name) == []
