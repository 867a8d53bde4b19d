"""Grouping by names: every file in exactly one dataset, known sets together, in linear time."""

from __future__ import annotations

import gc
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diadem.extract.survey import DatasetPlan, missing_parts, survey
from diadem.hooks.manager import collect
from diadem.hooks.offers import Group, ReaderOffer

READERS = collect().readers
TABLE = {offer.name: offer for offer in READERS}


def plans(*paths: str) -> list[DatasetPlan]:
    """Survey of files of one byte."""
    return survey([(path, 1) for path in paths], READERS)


def sets(*paths: str) -> list[list[tuple[str, str]]]:
    """Paths and roles of each dataset."""
    return [[(file.path, file.role) for file in plan.files] for plan in plans(*paths)]


@pytest.mark.parametrize(
    ("primary", "members"),
    [
        ("a/x.emi", {"a/x_1.ser": "part", "a/x_2.ser": "part"}),
        ("x.mib", {"x.hdr": "sidecar"}),
        ("x.rpl", {"x.raw": "part"}),
        ("s/acquisition.xml", {"s/scan_x64_y32.raw": "part"}),
        ("t_master.h5", {"t_data_000001.h5": "part", "t_data_000002.h5": "part", "t.h5": "part"}),
        ("TS_41.mrc", {"TS_41.mrc.mdoc": "sidecar"}),
        ("p/rawdata.ASW", {"p/Sample/00_View000/View000_0.img": "part", "p/Sample/00_View000/View000_1.pts": "part"}),
        ("x.zspy/.zattrs", {"x.zspy/.zgroup": "part", "x.zspy/Experiments/a/data/0.0": "part"}),
        ("20241021_5_movie.mrc", {"20241021_5_0_Virt 0_sum.mrc": "part", "20241021_5_info.txt": "sidecar"}),
        ("Stub_Heat raw.csv", {"Stub_Metadata.log": "sidecar"}),
        ("fib.tif", {"fib.hdr": "sidecar"}),
        ("c_000.tvips", {"c_001.tvips": "part", "c_002.tvips": "part"}),
        ("X.EMI", {"X_1.SER": "part"}),
    ],
)
def test_known_sets(primary: str, members: dict[str, str]) -> None:
    found = sets(primary, *members, "notes.txt")
    assert [(primary, "primary"), *sorted(members.items())] in found
    assert [("notes.txt", "primary")] in found
    assert len(found) == 2


def test_the_longer_stem_takes_its_own() -> None:
    assert sets("a.emi", "a_1.emi", "a_1.ser", "a_1_1.ser") == [
        [("a.emi", "primary"), ("a_1.ser", "part")],
        [("a_1.emi", "primary"), ("a_1_1.ser", "part")],
    ]


def test_orphans_are_datasets_of_their_own() -> None:
    assert [plan.offers for plan in plans("x_1.ser", "x.hdr", "x.raw")] == [(), (), ("tia-ser",)]


def test_sets_do_not_cross_folders() -> None:
    assert len(plans("a/x.emi", "b/x_1.ser")) == 2


def test_raw_files_without_a_stem_belong_to_the_only_description() -> None:
    assert len(plans("one.xml", "scan_x4_y4.raw")) == 1
    assert len(plans("one.xml", "two.xml", "scan_x4_y4.raw")) == 3


def test_entry_and_ids() -> None:
    first, second = plans("b/x.zspy/.zgroup", "a.tif")
    assert (first.id, first.entry, first.offers) == ("d1", "a.tif", ("tiff",))
    assert (second.id, second.entry, second.offers) == ("d2", "b/x.zspy", ("zspy",))
    assert [file.id for file in second.files] == ["f1"]


def test_missing_parts_are_named() -> None:
    (plan,) = plans("Scan.emi")
    assert missing_parts(plan, TABLE["tia"]) == "Scan_[0-9]*.ser"
    (plan,) = plans("scan.emi", "scan_1.ser")
    assert missing_parts(plan, TABLE["tia"]) is None


def test_priority_and_the_longest_suffix_decide_the_rank() -> None:
    readers = [
        ReaderOffer(name="plain", suffixes=(".h5",), load="m:f"),
        ReaderOffer(name="eager", suffixes=(".h5",), load="m:f", priority=2),
        ReaderOffer(name="special", suffixes=(".scan.h5",), load="m:f"),
    ]
    assert survey([("a.scan.h5", 1)], readers)[0].offers == ("special", "eager", "plain")
    assert survey([("a.b.h5", 1)], readers)[0].offers == ("eager", "plain")


def test_plain_side_files_of_an_offer() -> None:
    readers = [ReaderOffer(name="x", suffixes=(".x",), load="m:f", sidecars=("{stem}.txt", "{stem}_*.log"))]
    (plan,) = survey([("a[1].x", 1), ("a[1].txt", 1), ("a[1]_2.log", 1)], readers)
    assert [file.role for file in plan.files] == ["primary", "sidecar", "sidecar"]


PARTS = st.lists(
    st.sampled_from(["a", "a_1", "_1", "_data_000001", "_master", "_movie", "_000", ".zspy", "Sample", "[0]", "*"]),
    min_size=1,
    max_size=3,
).map("".join)
SUFFIX = st.sampled_from(
    [".emi", ".ser", ".mib", ".hdr", ".rpl", ".raw", ".xml", ".h5", ".mrc", ".mdoc", ".asw", ".img", ".tif", ".txt", ""]
)
PATHS = st.tuples(st.lists(PARTS, max_size=2), PARTS, SUFFIX).map(lambda made: "/".join([*made[0], made[1] + made[2]]))


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.lists(PATHS, unique=True, max_size=25), st.randoms(use_true_random=False))
def test_every_file_is_in_exactly_one_dataset(paths: list[str], order: random.Random) -> None:
    made = plans(*paths)
    assert sorted(file.path for plan in made for file in plan.files) == sorted(paths)
    assert [plan.primary.path for plan in made] == sorted(plan.primary.path for plan in made)
    assert all([file.role for file in plan.files].count("primary") == 1 for plan in made)
    assert [plan.id for plan in made] == [f"d{number}" for number in range(1, len(made) + 1)]
    shuffled = list(paths)
    order.shuffle(shuffled)
    assert plans(*shuffled) == made


@pytest.mark.parametrize(
    "name",
    [lambda n: f"a/f{n:06d}.tif", lambda n: f"a/f{n // 2:06d}" + ("_1.ser" if n % 2 else ".emi"), lambda n: f"f.{n}"],
)
@pytest.mark.program("time is measured")
def test_time_grows_with_the_number_of_files(name: object) -> None:
    assert callable(name)
    times = []
    gc.disable()  # what other tests have left in this process is not to be looked through here
    try:
        for count in (5_000, 40_000):
            files = [(name(number), 1) for number in range(count)]
            started = time.process_time()
            survey(files, READERS)
            times.append(time.process_time() - started)
    finally:
        gc.enable()
    assert times[1] < 8 * 3 * max(times[0], 0.01)


def test_a_group_of_another_plugin() -> None:
    group = Group("{stem}.head", ("{stem}.[0-9][0-9]",), ("log/**",), required=True)
    readers = [ReaderOffer(name="x", suffixes=(".head",), load="m:f", groups=(group,))]
    (plan,) = survey([("s/a.head", 1), ("s/a.01", 1), ("s/log/deep/b.txt", 1)], readers)
    assert [file.role for file in plan.files] == ["primary", "part", "sidecar"]
