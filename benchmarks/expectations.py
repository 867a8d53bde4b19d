"""What `expected.json` says of a file, and whether a record agrees: right, absent or contradicted.

The record is asked as a user asks it: for the dataset, and for each of its signals. An expectation is *right* if one
of these answers equals it, *absent* if the record states nothing of the kind, and otherwise *contradicted*. An equal
assertion that comes second to another one about the same signals does not count.

- Numbers agree within 0.2 %, in the field's unit. Texts agree without regard to case and surrounding space. A mode of
  the beam may be the first word of the vendor's text.
- A time in UTC is compared with assertions that have an offset, and agrees within one second. If the offset is
  *derived*, two minutes are allowed, because the record then has the seconds of the file's other clock. A local time
  is compared with assertions that have one, with or without an offset: the time on the wall clock must be the same
  text.
- If a field cannot hold the value (a live time of zero: nobody measured), silence of the record is right. The same
  holds for a value that is in the file but belongs to another dataset (`NOT_OF_IT`).
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from diadem.model.record import Assertion, Dataset
from diadem.terms import fields

#: Relative difference up to which two numbers are one.
TOLERANCE = 2e-3
_SECOND = dt.timedelta(seconds=1)
#: Up to this far apart two clocks of one file mean the same moment (see `diadem.hooks.times.offset_of`).
_CLOCKS = dt.timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Question:
    """One key of `expected.json`: the field that answers it, and how the answer is compared.

    `compare` gets an assertion and the expected value; `asks` says whether an assertion is an answer at all. Where the
    key does not say which of two fields is meant, a current or a tilt, `other` is asked where `field` is not stated.
    """

    field: str
    compare: Callable[[Assertion, Any], bool]
    asks: Callable[[Assertion], bool] = lambda _: True
    factor: float | None = None
    other: str = ""


def number(field: str, factor: float = 1.0, *, other: str = "") -> Question:
    """A number that times `factor` is in the field's unit."""

    def compare(one: Assertion, expected: Any) -> bool:
        return math.isclose(float(one.value), float(expected) * factor, rel_tol=TOLERANCE, abs_tol=1e-15)

    return Question(field, compare, factor=factor, other=other)


def word(field: str, names: Mapping[str, str] | None = None) -> Question:
    """A text; `names` turns the file's word into the field's."""

    def compare(one: Assertion, expected: Any) -> bool:
        return _folded(one.value) == _folded((names or {}).get(_folded(expected), expected))

    return Question(field, compare)


def beginning(field: str) -> Question:
    """A text, or its first word."""
    return Question(
        field, lambda one, expected: _folded(one.value) in (_folded(expected), _folded(expected).split()[0])
    )


def _folded(text: Any) -> str:
    return str(text).strip().casefold()


# -- times ---------------------------------------------------------------------------------------------------------


def utc(field: str) -> Question:
    """An instant; assertions without an offset do not answer."""

    def compare(one: Assertion, expected: Any) -> bool:
        apart = abs(moment(str(one.value)) - moment(str(expected)))
        return apart <= (_CLOCKS if one.offset_status == "derived" else _SECOND)

    return Question(field, compare, asks=lambda one: moment(str(one.value)).tzinfo is not None)


def local(field: str, read: Callable[[str], Sequence[dt.datetime]] | None = None) -> Question:
    """The clock on the wall; a time of which only the instant is known does not answer.

    `read` gives what a text that is not ISO 8601 may mean.
    """

    def compare(one: Assertion, expected: Any) -> bool:
        ours = moment(str(one.value)).replace(tzinfo=None)
        text = str(expected)
        if text.count(":") == 1:  # the minute is all that is known
            ours = ours.replace(second=0, microsecond=0)
        meant = read(text) if read else [moment(text)]
        return any(abs(ours - one_of.replace(tzinfo=None)) < _SECOND for one_of in meant)

    return Question(field, compare, asks=lambda one: not str(one.value).endswith("Z"))


def moment(text: str) -> dt.datetime:
    """A time as RFC 3339 writes it; fractions of any length."""
    shortened = re.sub(r"(\.\d{6})\d+", r"\1", text.strip().replace("Z", "+00:00"))
    return dt.datetime.fromisoformat(shortened)


def as_stored(text: str) -> list[dt.datetime]:
    """What a time of another form may mean, both orders of day and month among it."""
    forms = ("%Y-%m-%dT%H:%M:%S", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%d-%m-%Y %H:%M:%S", "%m-%d-%Y %H:%M:%S")
    found = []
    for form in (*forms, "%d-%b-%y %H:%M:%S", "%d.%m.%Y %H:%M"):
        try:
            found.append(dt.datetime.strptime(" ".join(text.split()), form))  # noqa: DTZ007 - the text has no zone
        except ValueError:
            continue
    return found


def hours(field: str) -> Question:
    """An offset from UTC in hours, which the record writes as ``+01:00``."""

    def compare(one: Assertion, expected: Any) -> bool:
        sign, hour, minute = one.value[0], int(one.value[1:3]), int(one.value[4:6])
        return (hour + minute / 60) * (-1 if sign == "-" else 1) == float(expected)

    return Question(field, compare)


_TECHNIQUES = {"els": "EELS", "x-ray": "EDS", "eds_tem": "EDS", "eds_sem": "EDS", "digiscan": "STEM"}
_SPECIES = {"helium": "He", "neon": "Ne", "gallium": "Ga", "xenon": "Xe"}

#: Key of `expected.json` to the field of metadata.md 2.2 that holds it.
QUESTIONS: Mapping[str, Question] = {
    "beam_energy_keV": number("beam.acceleration_voltage", 1e3),
    "raw_acc": number("beam.acceleration_voltage", 1e3),
    "raw_AccelerationVoltage": number("beam.acceleration_voltage"),
    "raw_AccVoltage": number("beam.acceleration_voltage"),
    "beam_species": word("beam.species", _SPECIES),
    "beam_current_A": number("beam.current", other="beam.probe_current"),
    "emission_current_A": number("beam.emission_current"),
    "screen_current_A": number("beam.screen_current"),
    "convergence_semi_angle_mrad": number("beam.convergence_semi_angle", 1e-3),
    "mode": beginning("beam.mode"),
    "magnification": number("optics.magnification"),
    "camera_length_m": number("optics.camera_length"),
    "camera_length_mm_as_stored": number("optics.camera_length", 1e-3),
    "working_distance_m": number("optics.working_distance"),
    "horizontal_field_width_m": number("optics.field_of_view_x"),
    "dwell_time_s": number("scan.dwell_time"),
    "exposure_s": number("camera.exposure"),
    "counter_depth_bits": number("camera.counter_depth"),
    "detector": word("detector.name"),
    "detector_serial": word("detector.serial"),
    "eds_elevation_deg": number("detector.elevation"),
    "rpl_elevation-angle": number("detector.elevation"),
    "eds_azimuth_deg": number("detector.azimuth"),
    "rpl_azimuth-angle": number("detector.azimuth"),
    "rpl_detector-peak-width-ev": number("eds.resolution"),
    "live_time_s": number("eds.live_time"),
    "real_time_s": number("eds.real_time"),
    "collection_semi_angle_mrad": number("eels.collection_semi_angle", 1e-3),
    "stage_x_m": number("stage.x"),
    "stage_y_m": number("stage.y"),
    "stage_z_m": number("stage.z"),
    "stage_alpha_deg": number("stage.alpha", other="stage.tilt"),
    "raw_TX": number("stage.alpha"),
    "stage_beta_deg": number("stage.beta"),
    "raw_TY": number("stage.beta"),
    "stage_tilt_deg": number("stage.tilt"),
    "stage_rotation_deg": number("stage.rotation"),
    "pixel_size": number("image.pixel_size_x"),
    "pixel_size_x_m": number("image.pixel_size_x"),
    "pixel_size_y_m": number("image.pixel_size_y"),
    "signal": word("signal.technique", _TECHNIQUES),
    "rpl_signal": word("signal.technique", _TECHNIQUES),
    "acquisition_local": local("time.acquired_start"),
    "acquisition_as_stored": local("time.acquired_start", as_stored),
    "raw_date": local("time.acquired_start", as_stored),
    "acquisition_utc": utc("time.acquired_start"),
    "acquisition_iso": utc("time.acquired_start"),
    "utc_offset_h": hours("time.utc_offset"),
    "microscope": word("instrument.model"),
    "manufacturer": word("instrument.vendor"),
    "instrument_serial": word("instrument.serial"),
    "operator": word("person.operator"),
    "sample": word("sample.name"),
    "sample_thickness_m": number("sample.thickness"),
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the record says to one expectation. `verdict` is right, absent or contradicted."""

    file: str
    format: str
    key: str
    field: str
    expected: Any
    got: Any
    verdict: str
    locator: str


#: What stands in a file and is of something else: file and key, and of what.
NOT_OF_IT: Mapping[tuple[str, str], str] = {
    ("emd-velox/1532 Camera Ceta.emd", "camera_length_m"): "the projector makes an image",
    ("emd-velox/fei_example_tem_stack.emd", "camera_length_m"): "the projector makes an image",
    ("emd-velox/fei_example_tem_stack.emd", "convergence_semi_angle_mrad"): "the beam is parallel",
    ("mdoc/TS_41.mrc.mdoc", "stage_alpha_deg"): "of the first section of a tilt series",
    ("msa/leo_edax_test.msa", "operator"): "a program's name",
}


def judge(dataset: Dataset | None, file: str, format_: str, expected: Mapping[str, Any]) -> Iterable[Verdict]:
    """A verdict on each expectation that a field can hold; a file without dataset has said nothing."""
    for key, told in expected.items():
        if (question := QUESTIONS.get(key)) is None:
            continue
        value = told["value"]
        answers = [] if dataset is None else _answers(dataset, question)
        best = next((one for one in answers if question.compare(one, value)), None)
        verdict = "right" if best is not None else "contradicted" if answers else "absent"
        cannot_be = question.factor is not None and not fields.field(question.field).admits(
            float(value) * question.factor
        )
        if not answers and (cannot_be or (file, key) in NOT_OF_IT):
            verdict = "right"
        shown = best or (answers[0] if answers else None)
        got = None if shown is None else [one.value for one in answers] if best is None else shown.value
        locator = "" if shown is None else str(shown.source.get("locator", ""))
        yield Verdict(file, format_, key, question.field, value, got, verdict, locator)


def _answers(dataset: Dataset, question: Question) -> list[Assertion]:
    """What the record answers for the dataset and for each signal, each answer once."""
    asserted = dataset.assertions(question.field) or (dataset.assertions(question.other) if question.other else ())
    stated = [one for one in asserted if question.asks(one)]
    answers: list[Assertion] = []
    for signal in (None, *(one.id for one in dataset.signals)):
        ranked = sorted(
            (one for one in stated if signal is None or signal in one.applies_to or not one.applies_to),
            key=lambda one: (not one.preferred, signal is not None and not one.applies_to),
        )
        if ranked and ranked[0] not in answers:
            answers.append(ranked[0])
    return answers
