"""Which values of TriVista's ``.tvf`` files are which fields.

The files have two times, that of the record and that of the file, which may be years apart (linescan.tvf); neither is
stated to be when the acquisition began, so none is taken.
"""

from __future__ import annotations

from diadem.hooks.fields import Rule, Table

_DETECTOR = "Document/InfoSerialized/Detector"

TABLE: Table = (
    Rule("camera.exposure", f"{_DETECTOR}/Exposure_Time_(ms)", "ms", cite="the unit stands in the name"),
    Rule("detector.name", f"{_DETECTOR}/Name", cite="the detector as the user has called it: Camera1"),
    Rule("detector.serial", f"{_DETECTOR}/Serialnumber", "", str, drop=("None",), cite="serial number of the detector"),
)
