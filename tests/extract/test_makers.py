"""`instrument.vendor`: stated, told by the format or by the model's own name, else absent."""

from __future__ import annotations

from pathlib import Path

import pytest

import diadem


@pytest.mark.parametrize(
    ("file", "vendor", "rule"),
    [
        ("tif-zeiss/test_tiff_Zeiss_SEM_512pix.tif", "Carl Zeiss", "maker-of-format"),
        ("tif-fei/FEI-Helios-navcam.tif", "Thermo Fisher Scientific (FEI)", "maker-of-format"),
        ("mrc/HAADFscan.mrc", "Thermo Fisher Scientific (FEI)", "maker-of-format"),
        ("tia/64x64_TEM_images_acquire.emi", "Thermo Fisher Scientific (FEI)", "maker-of-model"),
        ("app5/topspin_test_A.app5", "Thermo Fisher Scientific (FEI)", "maker-of-model"),  # Talos 200keV
        ("dm/Titan_survey_image_dataZeroed.dm3", "Thermo Fisher Scientific (FEI)", "maker-of-model"),  # TEST Titan
        ("dm/multi_signal.dm3", "Thermo Fisher Scientific (FEI)", "gatan/instrument.vendor"),  # by FEI Tecnai Remote
        ("dm/test-MonarcCL_spectrum-ccd.dm4", "Carl Zeiss", "gatan/instrument.vendor"),  # by Zeiss SEM COM
        ("jeol_single/met03.EDS", "JEOL", "maker-of-model"),
        ("dm/JEOL3010_TEM_diffraction_dataZeroed.dm3", "JEOL", "maker-of-model"),  # JEM3010 UHR
    ],
)
def test_a_format_of_one_maker_and_a_model_that_names_it(
    unpacked_data: Path, file: str, vendor: str, rule: str
) -> None:
    (assertion,) = diadem.extract(unpacked_data / file).datasets[0].assertions("instrument.vendor")
    assert (assertion.value, assertion.status, assertion.by["rule"]) == (vendor, "derived", rule)


def test_what_a_file_states_stands_alone(unpacked_data: Path) -> None:
    (assertion,) = (
        diadem.extract(unpacked_data / "tif-fei/scios_xml_metadata.tif").datasets[0].assertions("instrument.vendor")
    )
    assert (assertion.value, assertion.status) == ("FEI Company", "stated")


@pytest.mark.parametrize(
    "file",
    [
        "dm/test-1.dm3",
        "bruker/bcf-edx-ebsd.bcf",
        "spc/leo_edax_test.spc",
        "tif-tvips/TVIPS_bin4.tif",
        "delmic/sparc-hyperspectral.h5",
        "mib/Single_1_Frame_CounterDepth_12_Rows_256.mib",
    ],
)
def test_a_camera_or_detector_says_nothing_of_the_microscope(unpacked_data: Path, file: str) -> None:
    assert not diadem.extract(unpacked_data / file).datasets[0].assertions("instrument.vendor")
