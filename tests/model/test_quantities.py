"""Values in other units, and what a dataset states as a table."""

from __future__ import annotations

import pytest

from diadem.errors import UsageError
from diadem.model.assertions import Quantity


@pytest.mark.parametrize(
    ("value", "unit", "wanted", "told"),
    [
        (200_000, "V", "kV", 200.0),
        (1e-11, "m", "pm", 10.0),
        (2.48e-10, "m", "Å", 2.48),
        (2.48e-10, "m", "nm", 0.248),
        (5e9, "1/m", "1/nm", 5.0),
        (0.02, "rad", "mrad", 20.0),
        (300.0, "K", "°C", 26.85),
        (1.0, "Pa", "mbar", 0.01),
        (200_000, "V", "megavolt", 0.2),
        (3.0, "m", "inch", 118.11023622),
    ],
)
def test_a_quantity_in_another_unit(value: float, unit: str, wanted: str, told: float) -> None:
    found = Quantity(value, unit).to(wanted)
    assert found.unit == wanted
    assert found.value == pytest.approx(told, rel=1e-9)


def test_pint_has_the_same() -> None:
    assert Quantity(200_000, "V").to_pint().to("kilovolt").magnitude == pytest.approx(200)


def test_a_quantity_reads_as_people_write_it() -> None:
    assert str(Quantity(200_000.0, "V")) == "200 kV"
    assert "200 kV" in repr(Quantity(200_000.0, "V"))


@pytest.mark.parametrize(("value", "unit", "wanted"), [("STEM", "", "kV"), (1.0, "V", "m"), (1.0, "V", "furlongs^x")])
def test_what_has_no_such_unit_is_refused(value: object, unit: str, wanted: str) -> None:
    with pytest.raises(UsageError, match=r"next:"):
        Quantity(value, unit).to(wanted)
