"""What a person says of an instrument once, stated of each dataset of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import diadem
from diadem.errors import DocumentError
from diadem.model.record import Dataset
from tests.archive.scan_trees import image

BERLIN = {"instrument": {"time_zone": "Europe/Berlin"}}


def read(folder: Path, moment: str, metadata: dict[str, Any]) -> Dataset:
    """One image of a local time, with what is said of its instrument."""
    image(folder / "image.hspy", moment)
    return diadem.extract(folder / "image.hspy", metadata=metadata).datasets[0]


def test_a_local_time_gets_the_offset_of_the_site(tmp_path: Path) -> None:
    found = read(tmp_path, "2019-07-01T10:00:00", BERLIN)
    stated, assumed = found.assertions("time.acquired_start")
    assert (stated.value, stated.status, stated.offset_status) == ("2019-07-01T10:00:00", "stated", "unknown")
    assert (assumed.value, assumed.status, assumed.offset_status) == ("2019-07-01T10:00:00+02:00", "assumed", "assumed")
    assert assumed.source == stated.source
    assert assumed.by["rule"] == "site-zone/Europe/Berlin"
    assert stated.preferred
    assert not assumed.preferred
    assert found.value("time.utc_offset") == "+02:00"
    assert read(tmp_path, "2019-01-01T10:00:00", BERLIN).value("time.utc_offset") == "+01:00"


@pytest.mark.parametrize(
    ("zone", "moment", "offset"),
    [
        ("Asia/Kolkata", "2019-07-01T10:00:00", "+05:30"),
        ("America/St_Johns", "2019-01-01T10:00:00", "-03:30"),
        ("America/New_York", "2019-07-01T23:30:00", "-04:00"),
    ],
)
def test_offsets_have_minutes_and_signs(tmp_path: Path, zone: str, moment: str, offset: str) -> None:
    found = read(tmp_path, moment, {"instrument": {"time_zone": zone}})
    assert found.value("time.utc_offset") == offset
    assumed = [one.value for one in found.assertions("time.acquired_start") if one.status == "assumed"]
    assert assumed == [moment + offset]


@pytest.mark.parametrize("moment", ["2019-03-31T02:30:00", "2019-10-27T02:30:00"])
def test_an_hour_that_came_twice_or_never_stays_unknown(tmp_path: Path, moment: str) -> None:
    found = read(tmp_path, moment, BERLIN)
    (only,) = found.assertions("time.acquired_start")
    assert only.offset_status == "unknown"
    assert [one["code"] for one in found.issues if "Europe/Berlin" in one["message"]] == ["site-time-unclear"]


ULTRA: dict[str, Any] = {
    "model": "Ultra 55",
    "name": "Ultra, room 12",
    "owner_ror": "https://ror.org/01hcx6992",
    "pid": "https://doi.org/10.5442/NI000001",
    "time_zone": "Europe/Berlin",
    "vendor": "Carl Zeiss",
}
ZEISS = "tif-zeiss/test_tiff_Zeiss_SEM_512pix.tif"


@pytest.mark.parametrize("when", [{"serial": "ultra 55-*"}, {"vendor": "Carl Zeiss"}, {"folder": ""}])
def test_a_profile_says_what_the_file_does_not(unpacked_data: Path, when: dict[str, str]) -> None:
    if "folder" in when:
        when = {"folder": str(unpacked_data / "tif-zeiss")}
    found = diadem.extract(unpacked_data / ZEISS, metadata={"instruments": [{"when": when, "is": ULTRA}]}).datasets[0]
    for key in ("model", "name", "owner_ror", "pid"):
        (said,) = found.assertions(f"instrument.{key}")
        assert (said.value, said.status, said.preferred) == (ULTRA[key], "user", True)
    assert [(one.value, one.status) for one in found.assertions("instrument.vendor")] == [("Carl Zeiss", "derived")]
    assert [one.value for one in found.assertions("time.acquired_start")] == [
        "2018-09-25T08:20:42",
        "2018-09-25T08:20:42+02:00",
    ]
    assert not [one for one in found.issues if one["code"].startswith("site-")]


def test_the_first_profile_that_is_meant_counts_and_others_do_not(unpacked_data: Path) -> None:
    profiles = [
        {"when": {"serial": "another"}, "is": {"name": "no"}},
        {"when": {"folder": "elsewhere"}, "is": {"name": "no"}},
        {"when": {"serial": "ULTRA 55-36-06", "vendor": "JEOL"}, "is": {"name": "no"}},
        {"when": {"vendor": "*zeiss"}, "is": {"name": "yes"}},
        {"when": {"serial": "*"}, "is": {"name": "too late"}},
    ]
    found = diadem.extract(unpacked_data / ZEISS, metadata={"instruments": profiles}).datasets[0]
    assert [one.value for one in found.assertions("instrument.name")] == ["yes"]


def test_what_a_file_states_stays_and_the_contradiction_is_told(unpacked_data: Path) -> None:
    wrong = {"vendor": "JEOL", "model": "JEM-ARM200F", "time_zone": "Asia/Tokyo"}
    profiles = [{"when": {"folder": "."}, "is": wrong}]
    file = unpacked_data / "tif-gatan/test_loading_image_saved_with_DM.tif"
    found = diadem.extract(file, metadata={"instruments": profiles}).datasets[0]
    for key, stated in (("vendor", "Thermo Fisher Scientific (FEI)"), ("model", "FEI Tecnai")):
        assert found.value(f"instrument.{key}") == stated
        assert wrong[key] in [one.value for one in found.assertions(f"instrument.{key}")]
    told = [one["message"].partition(":")[0] for one in found.issues if one["code"] == "site-disagrees"]
    assert sorted(told) == ["instrument.model", "instrument.vendor", "time.acquired_start"]
    assert [one.value for one in found.assertions("time.acquired_start")] == ["2015-07-20T18:48:25+02:00"]


@pytest.mark.parametrize(
    ("profile", "told", "advice"),
    [
        ({"when": {"serial": "1"}, "is": {"time_zone": "Berlin"}}, "$.instruments[0].is.time_zone", "Europe/Berlin"),
        ({"when": {"serial": "1"}, "is": {"time_zone": "Europe"}}, "$.instruments[0].is.time_zone", "Europe/"),
        ({"when": {}, "is": {"name": "Titan"}}, "$.instruments[0].when", "serial"),
        ({"when": {"seriel": "1"}, "is": {}}, "the key 'seriel' is not known", "serial"),
        (
            {"when": {"serial": "1"}, "is": {"owner_ror": "HU Berlin"}},
            "$.instruments[0].is.owner_ror",
            "https://ror.org/",
        ),
    ],
)
def test_a_profile_that_is_none_is_refused(tmp_path: Path, profile: dict[str, Any], told: str, advice: str) -> None:
    with pytest.raises(DocumentError) as caught:
        read(tmp_path, "2019-07-01T10:00:00", {"instruments": [profile]})
    assert told in caught.value.message
    assert advice in (caught.value.next or "")


def test_a_package_keeps_it_and_reading_it_again_changes_nothing(unpacked_data: Path, tmp_path: Path) -> None:
    metadata = {"instruments": [{"when": {"folder": "."}, "is": ULTRA}]}
    package = diadem.pack(unpacked_data / "tif-zeiss", tmp_path / "store", metadata=metadata)
    assert package.record.datasets[0].value("instrument.pid") == ULTRA["pid"]
    assert "instruments" not in package.record.to_dict()
    assert diadem.open(package.url).reextract().changes == ()


#: A house that describes its instruments: what a file does not state, these profiles say. Names and zone are made up.
_FOLDERS = "arina blo bruker delmic dens dm empad hspy mib mrc protochips semper spc tif-tvips tif-zeiss trivista tvips"
HOUSE = [
    *(
        {"when": {"folder": folder}, "is": {"vendor": "A maker", "model": "A model", "time_zone": "Europe/Berlin"}}
        for folder in _FOLDERS.split()
    ),
    {"when": {"model": "*"}, "is": {"time_zone": "Europe/Berlin"}},
]


def complete(dataset: Dataset) -> bool:
    """Whether the values are there that NXem requires of a measurement: start with offset, vendor, model."""
    starts = [one for one in dataset.assertions("time.acquired_start") if one.offset_status != "unknown"]
    return bool(starts and dataset.assertions("instrument.vendor") and dataset.assertions("instrument.model"))


def test_what_nxem_requires(unpacked_data: Path) -> None:
    without = diadem.extract(unpacked_data).datasets
    assert sum(map(complete, without)) >= 26
    house = diadem.extract(unpacked_data, metadata={"instruments": HOUSE}).datasets
    assert sum(map(complete, house)) >= 60
