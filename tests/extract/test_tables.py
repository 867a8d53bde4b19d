"""Values of odd types: a table states what can be stated, and one value costs no other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from diadem.extract.tables import apply
from diadem.hooks.fields import Block, Rule
from diadem.hooks.tables import table

TWO = (Rule("instrument.serial", "serial", cite="made up"), Rule("person.operator", "operator", cite="made up"))


def said(tree: dict[str, Any], rules: Any = TWO) -> dict[str, Any]:
    return {value.field: value.value for value in apply(rules, Block("made-up", tree), "made-up").values}


@pytest.mark.parametrize("serial", [9922607, 9922607.0, np.int32(9922607), "9922607"])
def test_a_number_where_a_text_is_meant_is_its_text(serial: Any) -> None:
    assert said({"serial": serial, "operator": "me"}) == {"instrument.serial": "9922607", "person.operator": "me"}


def test_what_readers_of_tiff_have_made_numbers_of_is_a_text_still() -> None:
    tree = {"fei_metadata": {"System": {"Dnumber": 9922607}, "User": {"User": "me"}}}
    tree = {"FEI_HELIOS": tree["fei_metadata"], **tree}
    assert said(tree, table("diadem.plugins.thermofisher/thermofisher-tiff"))["instrument.serial"] == "9922607"


@pytest.mark.parametrize("odd", [b"bytes", np.bytes_(b"b"), np.arange(3), {1: 2}, True, 0, [b"x"]])
def test_an_odd_value_costs_no_other(odd: Any) -> None:
    assert said({"serial": odd, "operator": "me"}) == {"person.operator": "me"}
