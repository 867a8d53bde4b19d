"""What a program writes where nobody said anything is no value of the record, whatever the family."""

from __future__ import annotations

from pathlib import Path

import pytest

import diadem

SPECTRUM = """#FORMAT      : EMSA/MAS Spectral Data File
#VERSION     : 1.0
#TITLE       : t
#NPOINTS     : 2.
#NCOLUMNS    : 1.
#XUNITS      : keV
#YUNITS      : counts
#DATATYPE    : Y
#XPERCHAN    : 0.01
#OFFSET      : 0.
#SIGNALTYPE  : EDS_SEM
#OWNER       : {owner}
#MAGCAM      : {magnification}
#SPECTRUM    :
1.
2.
#ENDOFDATA   :
"""


@pytest.mark.parametrize(
    ("owner", "operator"),
    [("Bruker Nano", None), ("EDAX TEAM EDS/block", None), ("EMSA/MAS TASK FORCE",) * 2, ("gatan",) * 2],
)
def test_a_program_is_no_operator(tmp_path: Path, owner: str, operator: str | None) -> None:
    (tmp_path / "a.msa").write_text(SPECTRUM.format(owner=owner, magnification="500."))
    (dataset,) = diadem.extract(tmp_path / "a.msa").datasets
    assert dataset.value("person.operator") == operator
    assert (dataset.value("signal.technique"), dataset.value("optics.magnification")) == ("EDS", 500.0)


def test_a_magnification_of_one_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.msa").write_text(SPECTRUM.format(owner="", magnification="1.0"))
    (dataset,) = diadem.extract(tmp_path / "a.msa").datasets
    assert dataset.value("optics.magnification") is None
    assert not dataset.issues
