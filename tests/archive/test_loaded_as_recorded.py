"""`Package.load` gives of every real file the signals that the record describes: sizes, types, axes in SI units."""

from __future__ import annotations

import gc
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from diadem.archive.package import Package
from diadem.errors import ReaderError
from diadem.model.record import Dataset
from diadem.terms.units import to_si
from tests.archive.load_sources import as_list

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]

#: Folders of the real files, and what must have been compared of them, so that no test is content with nothing:
#: signals, axes. Readers drop some axes of one element.
LEAST = {"dm": (19, 30), "emd": (45, 85), "ti": (21, 40), "": (95, 165)}
#: Real files that nobody can load: cut short, or without their data.
NOT_LOADED = {"bad/trunc50.mrc", "empad/EMPAD_v1.2.2_x32_y64_size0.8.xml"}


@pytest.mark.parametrize("folder", LEAST)
def test_every_loaded_signal_is_the_one_of_the_record(corpus: Package, folder: str) -> None:
    compared: Counter[str] = Counter()
    faults: list[str] = []
    for dataset in corpus.record.datasets:
        if next(one for one in LEAST if dataset.path.startswith(one)) == folder and dataset.signals:
            faults += _compare(corpus, dataset, compared)
    gc.collect()  # RosettaSciIO leaves lazy TIFFs open: they are closed while that is no fault
    assert faults == []
    assert compared["elements"] == compared["signals"]
    assert (compared["signals"] >= LEAST[folder][0], compared["axes"] >= LEAST[folder][1]) == (True, True), compared


def _compare(corpus: Package, dataset: Dataset, compared: Counter[str]) -> Iterator[str]:
    if dataset.path in NOT_LOADED:
        with pytest.raises(ReaderError):
            corpus.load(dataset.path)
        return
    loaded = as_list(corpus.load(dataset.path))
    if len(loaded) != len(dataset.signals):
        yield f"{dataset.path}: {len(loaded)} signals, the record has {len(dataset.signals)}"
        return
    for told, signal in zip(dataset.signals, loaded, strict=True):
        yield from (f"{dataset.path} {told.id}: {fault}" for fault in _faults(told.document, signal, compared))


def _faults(told: Mapping[str, Any], signal: Any, compared: Counter[str]) -> Iterator[str]:
    """Where a signal is not what the record says of it; HyperSpy may have its axes in another order."""
    compared["signals"] += 1
    left = list(signal.axes_manager._axes)
    for axis in told["axes"]:
        candidates = [one for one in left if one.size == axis["size"]]
        if not candidates:
            if axis["size"] > 1:  # readers drop those of one element
                yield f"no axis of size {axis['size']}"
            continue
        wrong = {id(one): list(_differences(axis, one)) for one in candidates}
        best = min(candidates, key=lambda one: len(wrong[id(one)]))
        yield from wrong[id(best)]
        left.remove(best)
        compared["axes"] += 1
    dtype = np.dtype(signal.data.dtype)
    if dtype.names is None and told["dtype"] not in ("object", dtype.str):
        yield f"type {dtype.str}, the record has {told['dtype']}"
    first = signal.data[(0,) * signal.data.ndim]
    compared["elements"] += np.asarray(first.compute() if hasattr(first, "compute") else first).size == 1


def _differences(told: Mapping[str, Any], axis: Any) -> Iterator[str]:
    if told["size"] > 1 and "navigate" in told and told["navigate"] != axis.navigate:
        yield f"{told['name']} is {'no ' * told['navigate']}position"
    if not axis.is_uniform:
        return
    unit, factor = to_si(str(axis.units))
    if told.get("unit", "") != unit and told.get("scale", 1.0) != 1:
        yield f"{told['name']} in {unit!r}, the record has {told.get('unit', '')!r}"
    for name in ("scale", "offset"):
        value = getattr(axis, name) * factor
        if name in told and not math.isclose(told[name], value, rel_tol=1e-6, abs_tol=1e-18):
            yield f"{name} of {told['name']} {value}, the record has {told[name]}"
