"""A package, or one of its datasets, as a NeXus file of the definition NXem: one entry for each dataset."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from diadem.errors import Refused
from diadem.hooks.exporters import ExportedPackage, ExportSource, ExportTarget
from diadem.model.plain_text import first_of
from diadem.model.record import Dataset
from diadem.model.signals import Signal
from diadem.plugins.nxem.data import MOST_DIMENSIONS, plot_of, write_plot
from diadem.plugins.nxem.facts import CLASSES, UNKNOWN, Entry, Value, entry_of

#: How each fact that NXem requires is supplied: as an option, and as a correction of the record.
_SUPPLY: Mapping[str, tuple[str, str]] = {
    "start_time": ("start_time=2026-03-01T10:30:00+01:00", "time.acquired_start=2026-03-01T10:30:00+01:00"),
    "sample/atom_types": ("atom_types=Zn,O", "sample.elements=Zn,O"),
    "sample/preparation_date": (
        "preparation_date=2026-02-27T16:00:00+01:00",
        "sample.preparation_date=2026-02-27T16:00:00+01:00",
    ),
    "sample/is_simulation": ("is_simulation=false", ""),
    "measurement/instrument/fabrication/vendor": ("vendor=JEOL", "instrument.vendor=JEOL"),
    "measurement/instrument/fabrication/model": ("model=JEM-ARM200F", "instrument.model=JEM-ARM200F"),
}


def export(source: ExportSource, target: ExportTarget, **options: Any) -> dict[str, str]:
    """Write a package's datasets, of which anything is known, as entries of one file.

    Parameters
    ----------
    source : ExportSource
        One package.
    target : ExportTarget
        A file that is not there yet.
    **options : Any
        What NXem requires and the record does not state; see `formats.toml` beside this module.

    Raises
    ------
    Refused
        NXem requires what nobody states: all of it is named, with how to supply it.
    """
    import h5py

    package = source.package
    known = [one for one in package.datasets if one.signals or one.fields]
    entries = {one.id: entry_of(package, one, options) for one in known}
    _require(package, known, entries)
    done, total = 0, sum(map(_bytes, known))

    def read(count: int) -> None:
        nonlocal done
        done += count
        source.progress(min(done, total), total, package.facts.name)

    with h5py.File(target.path, "x") as file:
        file.attrs["NX_class"] = "NXroot"
        file.attrs["file_time"] = source.moment.isoformat()
        file.attrs["creator"] = source.software or "DIADEM"
        file.attrs["default"] = known[0].id
        for dataset in known:
            _write_entry(file.create_group(dataset.id), package, dataset, entries[dataset.id], source.software, read)
    told = {"entries": str(len(known))}
    if left := [one.path for one in package.datasets if one not in known]:
        told["left out, for nothing is known of it"] = first_of(left, 5)
    return told


def _require(package: ExportedPackage, known: Sequence[Dataset], entries: Mapping[str, Entry]) -> None:
    """Raise `Refused` with all that is missing; also where an array has too many dimensions."""
    if not known:
        raise Refused(
            "nothing is known of these files that NXem could say",
            where=package.id,
            next=f"Export the files themselves: diadem export {package.id} OUT",
        )
    large = [f"{one.path} {s.id}" for one in known for s in one.signals if not 0 < len(s.shape) <= MOST_DIMENSIONS]
    if large:
        raise Refused(
            f"NXem has arrays of one to {MOST_DIMENSIONS} dimensions; others are {first_of(large, 3)}",
            where=package.id,
            next=f"Export another dataset alone: diadem export {package.id} OUT.nxs --as nxem --dataset PATH",
        )
    missing: dict[str, dict[str, list[str]]] = {}
    for one in known:
        for path, why in entries[one.id].missing.items():
            missing.setdefault(path, {}).setdefault(why, []).append(one.path)
    if not missing:
        return
    said = "; ".join(_lack(path, why, of, len(known)) for path, whys in missing.items() for why, of in whys.items())
    given = []
    for path, whys in missing.items():
        zoneless = sum("time zone" in why for why in whys)
        given += ["time_zone=Europe/Berlin"] if zoneless and "time_zone=Europe/Berlin" not in given else []
        given += [_SUPPLY[path][0]] if zoneless < len(whys) else []
    # A correction of the whole package would replace what other datasets state, or state without a zone.
    common = [path for path, whys in missing.items() if max(map(len, whys.values())) == len(known)]
    common = [path for path in common if not any("time zone" in why for why in missing[path])]
    amended = [_SUPPLY[path][1] for path in common if _SUPPLY[path][1]]
    advice = f"Give what you know: diadem export {package.id} OUT.nxs --as nxem --option {' --option '.join(given)}"
    if amended:
        advice += f"; or correct the record: diadem amend {package.id} --set {' --set '.join(amended)}"
    raise Refused(f"NXem requires what nobody has stated: {said}", where=package.id, next=advice)


def _lack(path: str, why: str, of: Sequence[str], count: int) -> str:
    """What is missing, of which datasets if not of all, and why if there is more to say than that it is."""
    of_these = f" of {first_of(of, 3)}" if len(of) < count or why else ""
    return f"{path}{of_these}{f' ({why})' if why else ''}"


def _bytes(dataset: Dataset) -> int:
    sizes = (re.sub(r"\D", "", one.dtype) or "8" for one in dataset.signals)
    return sum(math.prod(one.shape) * int(size) for one, size in zip(dataset.signals, sizes, strict=True))


def _write_entry(
    group: Any,
    package: ExportedPackage,
    dataset: Dataset,
    entry: Entry,
    software: str,
    read: Callable[[int], None],
) -> None:
    """Write what is said of a dataset, then its arrays."""
    group.attrs["NX_class"] = "NXentry"
    group["definition"] = "NXem"
    if software:
        name, _, version = software.rpartition(" ")
        entry.values["profiling/program1/program"] = Value(name, {"version": version})
    for path, value in sorted(entry.values.items()):
        _write(group, path, value)
    _group(group, "measurement/instrument/ebeam_column")  # which NXem requires, even where nothing is said of it
    for number in range(1, len(entry.events) + 1):
        _group(group, f"measurement/event{number}/instrument/ebeam_column")
    if not dataset.signals:
        return
    events = {signal: number for number, signals in enumerate(entry.events, 1) for signal in signals}
    for stated, signal in zip(dataset.signals, package.load(dataset), strict=True):
        plot = plot_of(signal)
        path = f"measurement/event{events[stated.id]}/{plot.kind}_{stated.id}"
        for name, said in _origin(dataset, stated, entry).items():
            _write(group, f"{path}/process/{name}", Value(said))
        write_plot(_group(group, path).create_group(plot.group), plot, stated.title or dataset.path, read)
        if "default" not in group.attrs:
            _lead(group, f"{path}/{plot.group}")


def _origin(dataset: Dataset, signal: Signal, entry: Entry) -> dict[str, str]:
    """From which file an array was read, with its digest, and where in it."""
    return {
        "input/type": "file",
        "input/file_name": dataset.primary.path,
        "input/checksum": dataset.primary.sha256 or UNKNOWN,
        "input/algorithm": "sha256",
        "input/context": signal.id,
        "detector_identifier": entry.detectors.get(signal.id, UNKNOWN),
    }


def _lead(group: Any, path: str) -> None:
    """Name what a viewer shows first, from group to group."""
    for name in path.split("/"):
        group.attrs["default"] = name
        group = group[name]


def _write(group: Any, path: str, value: Value) -> None:
    import h5py

    above, _, name = path.rpartition("/")
    texts = isinstance(value.value, list) and isinstance(value.value[0], str)
    kind = {"dtype": h5py.string_dtype()} if texts else {}
    written = _group(group, above).create_dataset(name, data=value.value, **kind)
    for attribute, said in value.attributes.items():
        written.attrs[attribute] = said


def _group(group: Any, path: str) -> Any:
    """A group at a path; those on the way get their classes."""
    for name in path.split("/") if path else ():
        group = group.require_group(name)
        if "NX_class" not in group.attrs:
            group.attrs["NX_class"] = CLASSES.get(re.sub(r"(_s)?\d+$", "", name), "NXcollection")
    return group
