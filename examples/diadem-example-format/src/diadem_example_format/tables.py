"""What the header states, as fields of the record: where it stands, its unit, and how the unit is proven."""

from collections.abc import Iterator
from datetime import datetime

from diadem.hooks.fields import Derived, Found, Rule, Tree
from diadem.hooks.times import moments

_CITE = "XYF 1, README.md of this distribution: every number is followed by its unit"


def _started(tree: Tree) -> Iterator[Found]:
    """The moment at which the scan began. The file states the offset from UTC."""
    text = tree["Started"]
    yield from moments("time.acquired_start", "Started", text, local=datetime.fromisoformat(text))


HEADER = (
    Rule("instrument.model", "Instrument", drop=("unknown",), cite="XYF 1, README.md of this distribution"),
    Rule("person.operator", "Operator", cite="XYF 1, README.md of this distribution"),
    Rule("beam.acceleration_voltage", "Voltage/value", unit_key="Voltage/unit", cite=_CITE),
    Rule("scan.dwell_time", "Dwell time/value", unit_key="Dwell time/unit", cite=_CITE),
    Rule("stage.x", "Stage X/value", unit_key="Stage X/unit", cite=_CITE),
    Rule("stage.y", "Stage Y/value", unit_key="Stage Y/unit", cite=_CITE),
    Derived("start", _started, cite="XYF 1, README.md of this distribution: ISO 8601 with the offset from UTC"),
)
