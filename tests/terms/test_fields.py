"""The closed list of fields: whole, one unit each, and kind to people who misspell."""

from __future__ import annotations

import pytest

from diadem.errors import DiademError
from diadem.serialization.schemas import DATASET, schema
from diadem.terms import generate
from diadem.terms.crosswalk import NEXUS_UNITS, read_below_instrument, terms, written
from diadem.terms.fields import (
    UnknownField,
    all_fields,
    field,
    field_keys,
    ion_of,
    is_time,
    looked_for_first,
    symbols_of,
)

UNITS = {"", "1", "1/m", "1/s", "A", "K", "Pa", "V", "bit", "deg", "eV", "m", "rad", "s"}


def test_the_list_is_whole() -> None:
    wanted = {
        "instrument": "vendor model serial name pid owner_ror site kind software",
        "beam": "acceleration_voltage species source_type emission_current extraction_voltage current probe_current "
        "screen_current convergence_semi_angle spot_index mode",
        "optics": "magnification camera_length defocus energy_filter_slit working_distance field_of_view_x "
        "field_of_view_y",
        "scan": "dwell_time line_time frame_time flyback_time rotation frames",
        "detector": "name type serial elevation azimuth collection_inner collection_outer",
        "camera": "exposure binning frame_rate counter_depth",
        "eds": "live_time real_time resolution",
        "eels": "dispersion collection_semi_angle aperture",
        "stage": "x y z alpha beta tilt rotation holder temperature pressure",
        "image": "pixel_size_x pixel_size_y reciprocal_pixel_size_x reciprocal_pixel_size_y",
        "signal": "technique quantity",
        "time": "acquired_start acquired_end utc_offset offset_status",
        "sample": "identifier name elements thickness provider_ror parent prep_step preparation_date",
        "session": "identifier project proposal",
        "person": "operator name orcid role",
    }
    assert field_keys() == {f"{group}.{key}" for group, keys in wanted.items() for key in keys.split()}


def test_schema_and_page_are_made_from_the_dictionary() -> None:
    """After a change of `fields.toml`: ``python -m diadem.terms.generate``."""
    committed = generate.SCHEMA.read_text("utf-8")
    assert generate.with_fields(committed) == committed
    committed = generate.PAGE.read_text("utf-8")
    assert generate.page(committed) == committed


@pytest.mark.parametrize("key", sorted(field_keys()))
def test_a_field_says_what_it_is(key: str) -> None:
    known = field(key)
    assert known.label.strip()
    assert known.meaning.endswith(".")
    assert known.beware == "" or known.beware.endswith(".")
    assert known.unit in UNITS
    for term in terms(known):
        assert term.startswith(("https://purls.helmholtz-metadaten.de/emg/EMG_000000", "NXem:ENTRY/", "HyperSpy:"))
    assert known.emg in ("", *terms(known))


@pytest.mark.parametrize("key", [known.key for known in all_fields().values() if known.plausible])
def test_what_is_plausible_is_possible(key: str) -> None:
    known = field(key)
    assert known.plausible is not None
    assert known.plausible.least < known.plausible.most
    assert known.admits(known.plausible.most)


def test_a_unit_of_the_record_has_its_category_in_nexus() -> None:
    assert {known.unit for known in all_fields().values()} - {""} == set(NEXUS_UNITS)


def test_a_place_of_hyperspy_is_one_field_s_unless_another_counts_more() -> None:
    for instrument in ("TEM", "SEM"):
        strong = [leaf.path(instrument) for leaf in written() if leaf.path(instrument) and not leaf.place.weak]
        read = [path for leaf in read_below_instrument() if (path := leaf.path_below(instrument))]
        named = {leaf.field.key for leaf in written()}
        assert len({*strong}) == len(strong)
        assert len({*read}) == len(read)
        assert {"beam.current", "stage.tilt", "stage.alpha", "sample.elements"} <= named


def test_what_a_person_looks_for_first_are_fields() -> None:
    assert set(looked_for_first()) <= field_keys()
    assert [key for key in sorted(field_keys()) if is_time(key)] == [
        "sample.preparation_date", "time.acquired_end", "time.acquired_start",
    ]  # fmt: skip


@pytest.mark.parametrize("key", sorted(field_keys()))
def test_a_number_has_a_range_and_its_unit_is_fixed(key: str) -> None:
    node = schema(DATASET)["properties"]["fields"]["properties"][key]["items"]["properties"]
    if node["value"].get("type") in ("number", "integer"):
        assert node["value"].keys() & {"minimum", "exclusiveMinimum"}
        assert node["unit"]["const"] == field(key).unit != ""
    else:
        assert node["unit"] == {"not": {}, "description": "This field has no unit."}
        assert field(key).unit == ""


def test_known_facts() -> None:
    assert field("beam.acceleration_voltage").label == "Acceleration voltage"
    assert field("beam.convergence_semi_angle").unit == "rad"
    assert field("stage.alpha").unit == "deg"
    assert field("beam.acceleration_voltage").emg.endswith("EMG_00000004")
    assert field("stage.x").emg == ""
    assert field("optics.defocus").beware.startswith("Negative is underfocus")


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("beam.aceleration_voltage", "beam.acceleration_voltage"),
        ("stage.tilt_x", "stage.tilt"),
        ("Beam.Current", "beam.current"),
        ("scan.exposure", "camera.exposure"),
    ],
)
def test_a_misspelt_key_names_what_comes_close(wrong: str, near: str) -> None:
    with pytest.raises(UnknownField) as caught:
        field(wrong)
    assert near in str(caught.value)
    assert isinstance(caught.value, KeyError)
    assert isinstance(caught.value, DiademError)
    assert str(caught.value).startswith(f"there is no field '{wrong}'")


def test_a_key_like_no_other_says_where_the_list_is() -> None:
    with pytest.raises(UnknownField, match=r"docs/fields\.md"):
        field("qqqqqqqq.wwwwwwww")


def test_symbols_of_atomic_numbers() -> None:
    assert symbols_of([30, 8, 30]) == ["Zn", "O"]
    assert symbols_of([118]) == ["Og"]
    assert symbols_of([]) == symbols_of([0]) == symbols_of([26, 119]) == symbols_of([101], last=100) == []


@pytest.mark.parametrize(
    ("source", "ion"), [("Xe/Ga column", "Ga"), ("Xenon plasma", "Xe"), ("LMIS", "Ga"), ("electrons", "")]
)
def test_ions_of_sources(source: str, ion: str) -> None:
    assert ion_of(source) == ion
