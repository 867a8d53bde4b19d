"""What every exporter promises: the same twice, nothing half-written, and it can be stopped."""

from diadem.testing import check_plugin

SPECTRUM = """#FORMAT      : EMSA/MAS Spectral Data File
#VERSION     : 1.0
#TITLE       : spectrum
#NPOINTS     : 4
#NCOLUMNS    : 1
#XUNITS      : eV
#YUNITS      : counts
#DATATYPE    : Y
#XPERCHAN    : 10.0
#OFFSET      : 0.0
#BEAMKV   -kV: 200.0
#SPECTRUM    : Spectral Data Starts Here
1.0
20.0
300.0
4.0
#ENDOFDATA   :
"""


def test_it_keeps_its_promises(tmp_path):
    (tmp_path / "spectrum.msa").write_text(SPECTRUM)
    report = check_plugin("diadem_example_exporter", examples=[tmp_path / "spectrum.msa"])
    assert report.checked["exports"] == 5, report
