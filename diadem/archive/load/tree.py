"""The record's values in a loaded signal's `metadata`, at HyperSpy's places and in its units.

`original_metadata` is not touched.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import time
from typing import Any

from diadem.extract.axes import tidy
from diadem.model.assertions import Assertion
from diadem.model.record import Dataset
from diadem.terms.crosswalk import Leaf, transmission_mode, written
from diadem.terms.units import convert

#: Relative difference up to which a reader's number is the record's.
_SAME = 1e-6
#: Beam energies of scanning microscopes end below, those of transmission microscopes begin here; in V. RosettaSciIO
#: draws the same line where a file does not say what the instrument is.
_TRANSMISSION = 60e3
_SCANNING_TECHNIQUES = frozenset({"SEM", "FIB", "HIM", "EBSD", "CL", "EBIC"})
_DIFFRACTION = frozenset({"diffraction", "SAED", "CBED", "NBED", "PED", "4D-STEM", "EBSD", "TKD", "ptychography"})
#: What readers call diffraction patterns.
_PATTERN_TYPES = ("diffraction", "electron_diffraction")
_SCANNING_KINDS = frozenset({"sem", "fib", "him"})


def leaves(metadata: Mapping[str, Any]) -> frozenset[str]:
    """Paths of what metadata say of the instrument."""
    return frozenset(_leaves(metadata.get("Acquisition_instrument"), "Acquisition_instrument"))


def _leaves(tree: Any, path: str) -> Iterator[str]:
    if not isinstance(tree, Mapping):
        yield path
        return
    for name, inner in tree.items():
        yield from _leaves(inner, f"{path}.{name}")


def take_defaults(signal: Any, before: frozenset[str]) -> dict[str, Any]:
    """Take numbers of the instrument out of a signal that were not there before it had its class, and give them.

    eXSpy's classes of spectra suppose a resolution of 130 eV and angles of 35 and 0 degrees where nothing is said;
    HyperSpy's own suppose nothing.
    """
    taken: dict[str, Any] = {}
    if type(signal).__module__.startswith("hyperspy."):
        return taken
    for path in sorted(leaves(signal.metadata.as_dictionary()) - before):
        value = signal.metadata.get_item(path)
        if isinstance(value, int | float):
            taken[path] = value
            parent, _, leaf = path.rpartition(".")
            delattr(signal.metadata.get_item(parent), leaf)
    return taken


class Tree:
    """The metadata of one signal, which are written to, and what of it is replaced.

    `name` is its id in the record; None where it is not certain: then what is said of the whole dataset counts.
    `assumed` is what the class that `fill` gives the signal supposes of the instrument, by path; not in the tree.
    """

    def __init__(self, signal: Any, dataset: Dataset, name: str | None) -> None:
        self._signal = signal
        self._metadata = signal.metadata
        self._dataset = dataset
        self._name = name
        self.replaced: list[str] = []
        self.assumed: dict[str, Any] = {}

    def fill(self) -> list[str]:
        """Write all that the record states, and give the leaves whose values were others: ``path: old → new``."""
        technique = self._value("signal.technique")
        instrument = self._instrument(technique)
        self._move(instrument)
        facts = self._facts(technique, instrument)
        found: dict[str, tuple[Any, str]] = {}
        leaves = [(leaf, path) for leaf in written() if (path := leaf.path(instrument))]
        for leaf, path in leaves:
            if leaf.place.signal in facts and (value := self._value(leaf.field.key)) is not None:
                found[path] = _scaled(value, leaf), leaf.unit if leaf.place.tagged else ""
        for path, (value, unit) in found.items():
            self._put(path, value, unit)
        for leaf in written():
            # Some readers give a scanning microscope the places of a transmission one.
            below = leaf.path_below("TEM") or leaf.path_below("SEM")
            places = [f"Acquisition_instrument.{kind}.{below}" for kind in ("TEM", "SEM")]
            for path in places if below else [leaf.place.path]:
                old = self._leaf(path)
                is_zero = isinstance(old, int | float) and not isinstance(old, bool) and old == 0
                if path not in found and not leaf.may_be_zero and is_zero:
                    self._delete(path)
                    self.replaced.append(f"{path}: 0 → unknown")
        # HyperSpy knows two modes of a transmission microscope; the vendor's text begins with one of them.
        if instrument == "TEM" and (mode := transmission_mode(str(self._value("beam.mode") or ""))):
            self._put("Acquisition_instrument.TEM.acquisition_mode", mode)
        self._put_time()
        self._put_type(facts, instrument)
        return self.replaced

    # -- what the record says --------------------------------------------------------------------------------------

    def _asserted(self, key: str) -> Assertion | None:
        """The preferred assertion about this signal."""
        if self._name is not None:
            return self._dataset.assertion(key, self._name)
        stated = [one for one in self._dataset.assertions(key) if not one.applies_to]
        return min(stated, key=lambda one: not one.preferred, default=None)

    def _value(self, key: str) -> Any:
        chosen = self._asserted(key)
        return None if chosen is None else chosen.value

    def _instrument(self, technique: Any) -> str:
        """TEM or SEM: by the record, by the reader, by the energy."""
        if (kind := self._value("instrument.kind")) is not None:
            return "SEM" if kind in _SCANNING_KINDS else "TEM"
        if technique in _SCANNING_TECHNIQUES:
            return "SEM"
        there = [name for name in ("TEM", "SEM") if self._metadata.has_item(f"Acquisition_instrument.{name}")]
        voltage = self._value("beam.acceleration_voltage")
        guessed = "TEM" if voltage is None or voltage >= _TRANSMISSION else "SEM"
        return there[0] if len(there) == 1 else guessed

    def _facts(self, technique: Any, instrument: str) -> frozenset[str]:
        """What holds of the signal: its instrument, and what kind of detector it comes from."""
        facts = {"", instrument}
        axes = self._signal.axes_manager.signal_axes
        if len(axes) == 1 and str(axes[0].units).strip().lower() in ("ev", "kev", "mev"):
            facts |= {technique} & {"EDS", "EELS"}
        elif len(axes) == 2:
            facts.add("image")
            if technique in _DIFFRACTION or self._leaf("Signal.signal_type") in _PATTERN_TYPES:
                facts.add("pattern")
        return frozenset(facts)

    # -- writing ---------------------------------------------------------------------------------------------------

    def _move(self, instrument: str) -> None:
        """Put under the right instrument what the reader took for the other's."""
        other = {"TEM": "SEM", "SEM": "TEM"}[instrument]
        wrong, right = f"Acquisition_instrument.{other}", f"Acquisition_instrument.{instrument}"
        if self._is_node(wrong) and not self._metadata.has_item(right):
            self._metadata.set_item(right, self._metadata.get_item(wrong).as_dictionary())
            self._delete(wrong)
            self.replaced.append(f"{wrong} → {right}")

    def _put(self, path: str, value: Any, unit: str = "") -> None:
        """Set a leaf; say so where it had another value."""
        old = self._leaf(path)
        self._make_way(path)
        if self._metadata.has_item(f"{path}_units"):
            self._delete(f"{path}_units")
        self._metadata.set_item(path, value)
        if unit:
            self._metadata.set_item(f"{path}_units", unit)
        if old is not None and not _same(old, value):
            self.replaced.append(f"{path}: {_short(old)} → {_short(value)}")

    def _leaf(self, path: str) -> Any:
        if not self._metadata.has_item(path) or self._is_node(path):
            return None
        value = self._metadata.get_item(path)
        return None if isinstance(value, str) and not value else value

    def _make_way(self, path: str) -> None:
        """Remove what stands where a node, or the leaf, is to be: what a file holds may have any shape."""
        parts = path.split(".")
        for depth in range(1, len(parts)):
            node = ".".join(parts[:depth])
            if self._metadata.has_item(node) and not self._is_node(node):
                self._delete(node)
        if self._is_node(path):
            self._delete(path)

    def _is_node(self, path: str) -> bool:
        return bool(self._metadata.has_item(path)) and hasattr(self._metadata.get_item(path), "as_dictionary")

    def _delete(self, path: str) -> None:
        parent, _, leaf = path.rpartition(".")
        delattr(self._metadata.get_item(parent) if parent else self._metadata, leaf)

    def _put_time(self) -> None:
        """Date, time and zone; without a known offset there is no zone, whatever the reader's machine had."""
        if (start := self._asserted("time.acquired_start")) is None:
            return
        day, _, clock = str(start.value).partition("T")
        zone = "UTC" if clock.endswith("Z") else clock[-6:] if clock[-6:-5] in ("+", "-") else ""
        clock = clock.removesuffix("Z").removesuffix(zone)
        self._put("General.date", day)
        if clock:
            self._put("General.time", clock)
        if zone:
            self._put("General.time_zone", zone)
        elif (old := self._leaf("General.time_zone")) is not None:
            self._delete("General.time_zone")
            self.replaced.append(f"General.time_zone: {_short(old)} → unknown")

    def _put_type(self, facts: frozenset[str], instrument: str) -> None:
        """The type that an installed package has a class for."""
        from hyperspy.extensions import ALL_EXTENSIONS

        if "EELS" in facts:
            wanted = "EELS"
        elif "EDS" in facts:
            wanted = f"EDS_{instrument}"
        elif "pattern" in facts and instrument == "TEM":
            wanted = "electron_diffraction"
        else:
            return
        if wanted not in {told["signal_type"] for told in ALL_EXTENSIONS["signals"].values()}:
            return
        old = str(self._signal.metadata.get_item("Signal.signal_type", default=""))
        if old == wanted:
            return
        before = leaves(self._metadata.as_dictionary())
        with suppress(ImportError):  # a package that is there, and lacks one of its own
            self._signal.set_signal_type(wanted)
            self.assumed = take_defaults(self._signal, before)
            if old:
                self.replaced.append(f"Signal.signal_type: {old} → {wanted}")


def _scaled(value: Any, leaf: Leaf) -> Any:
    """A number in the unit of a leaf, and anything else as it is."""
    if not isinstance(value, int | float) or leaf.unit == leaf.field.unit:
        return value
    one = convert(1.0, leaf.unit, leaf.field.unit)
    assert one is not None, leaf
    return tidy(value / one)


def _same(old: Any, new: Any) -> bool:
    """Whether a reader's value is the record's; readers write some numbers as texts, and some times with zeros."""
    try:
        if isinstance(new, int | float):
            return math.isclose(float(old), new, rel_tol=_SAME)
        if isinstance(new, list):
            return sorted(old) == sorted(new)
        if isinstance(new, str) and new.count(":") == 2:
            return time.fromisoformat(str(old)) == time.fromisoformat(new)
    except (TypeError, ValueError):
        return False
    return bool(str(old) == str(new))


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)[:80]
