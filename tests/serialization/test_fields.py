"""The closed list of fields: whole, one unit each, and kind to people who misspell."""

from __future__ import annotations

import pytest

from diadem.errors import DiademError
from diadem.model.fields import UnknownField
from diadem.serialization.fields import field_keys, label, term_iri, terms, unit
from diadem.serialization.schemas import DATASET, schema

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


@pytest.mark.parametrize("key", sorted(field_keys()))
def test_a_field_has_a_label_one_unit_and_well_formed_terms(key: str) -> None:
    assert label(key).strip()
    assert unit(key) in UNITS
    for term in terms(key):
        assert term.startswith(("https://purls.helmholtz-metadaten.de/emg/EMG_000000", "NXem:ENTRY/", "HyperSpy:"))
    assert len(set(terms(key))) == len(terms(key))
    assert term_iri(key) in ("", *terms(key))


@pytest.mark.parametrize("key", sorted(field_keys()))
def test_a_number_has_a_range_and_its_unit_is_fixed(key: str) -> None:
    node = schema(DATASET)["properties"]["fields"]["properties"][key]["items"]["properties"]
    if node["value"].get("type") in ("number", "integer"):
        assert node["value"].keys() & {"minimum", "exclusiveMinimum"}
        assert node["unit"]["const"] == unit(key) != ""
    else:
        assert node["unit"] is False
        assert unit(key) == ""


def test_known_facts() -> None:
    assert label("beam.acceleration_voltage") == "Acceleration voltage"
    assert unit("beam.convergence_semi_angle") == "rad"
    assert unit("stage.alpha") == "deg"
    assert term_iri("beam.acceleration_voltage").endswith("EMG_00000004")
    assert term_iri("stage.x") == ""


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
        unit(wrong)
    assert near in str(caught.value)
    assert isinstance(caught.value, KeyError)
    assert isinstance(caught.value, DiademError)
    assert str(caught.value).startswith(f"there is no field '{wrong}'")


def test_a_key_like_no_other_says_where_the_list_is() -> None:
    with pytest.raises(UnknownField, match="field_keys"):
        label("qqqqqqqq.wwwwwwww")
