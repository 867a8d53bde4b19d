"""A package, or one of its datasets, as a NeXus file of the definition NXem: one entry for each dataset."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from diadem.errors import ReaderError, Refused, UsageError
from diadem.hooks.exporters import ExportedPackage, ExportSource, ExportTarget
from diadem.model.plain_text import first_of, quoted
from diadem.model.record import Dataset, understood
from diadem.model.signals import Signal
from diadem.plugins.nxem.data import plot_of, unfit, write_plot
from diadem.plugins.nxem.facts import CLASSES, UNKNOWN, Entry, Lack, Value, entry_of

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

#: Issues of a dataset that is not whole, and what there is to do about it.
_LACKS = {
    "truncated": "Copy it again from the instrument, if it is still there, and archive it",
    "missing-part": "Put {} beside it, and archive them together",
}
#: Datasets of each of which a command is told; those after them when it is tried again.
_NAMED = 5


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
    ReaderError
        A dataset cannot be read, for it is cut short: it is named, with how to export the others.
    """
    import h5py

    package = source.package
    known = [one for one in package.datasets if _is_known(package, one)]
    _require_zone(package, options)
    entries = {one.id: entry_of(package, one, options) for one in known}
    _require(package, known, entries, options)
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
            group = file.create_group(dataset.id)
            try:
                _write_entry(group, package, dataset, entries[dataset.id], source.software, read)
            except ReaderError as error:
                raise _unreadable(package, dataset, error, options) from error
    told = {"entries": str(len(known))}
    if left := [one.path for one in package.datasets if one not in known]:
        told["left out, for nothing is known of it"] = first_of(left, 5)
    return told


def _is_known(package: ExportedPackage, dataset: Dataset) -> bool:
    """Whether anything is known of a dataset itself: what is said of all of them tells nothing of a text file."""
    found = (one for assertions in dataset.fields.values() for one in assertions if "statement" not in one.source)
    return bool(dataset.signals) or any(found) or any(one.path == dataset.path for one in package.corrections)


def _require_zone(package: ExportedPackage, options: Mapping[str, Any]) -> None:
    """Raise `UsageError` where the zone that is named is none."""
    zone = str(options.get("time_zone", "+00:00"))
    if zone[0] in "+-":
        return
    try:
        ZoneInfo(zone)
    except (KeyError, OSError, ValueError) as error:
        close = [*get_close_matches(zone, available_timezones(), 1), "Europe/Berlin"][0]
        again = _command(package, _asked(package), options, [f"time_zone={close}"])
        raise UsageError(f"there is no time zone '{zone}'", next=f"Name one of the IANA list: {again}") from error


def _asked(package: ExportedPackage) -> str:
    """The one dataset that was asked for, or ""."""
    return package.datasets[0].path if len(package.datasets) < len(package.record.datasets) else ""


def _require(
    package: ExportedPackage, known: Sequence[Dataset], entries: Mapping[str, Entry], options: Mapping[str, Any]
) -> None:
    """Raise `Refused` with all that is missing; also where NXem has no place for an array."""
    if not known:
        raise Refused(
            "nothing is known of these files that NXem could say",
            where=package.id,
            next=_others(package, options),
        )
    if without := [f"{one.path} {each}" for one in known for each in _unfit(one)]:
        what = f"NXem has no place for these arrays: {'; '.join(without[:_NAMED])}"
        raise Refused(what, where=package.id, next=_others(package, options))
    missing: dict[str, dict[Lack, list[str]]] = {}
    for one in known:
        for path, lack in entries[one.id].missing.items():
            missing.setdefault(path, {}).setdefault(lack, []).append(one.path)
    if not missing:
        return
    lacks = [(path, lack, of) for path, some in missing.items() for lack, of in some.items()]
    said = "; ".join(_lack(path, lack.why, of, len(known)) for path, lack, of in lacks)
    advice = _advice(package, len(known), missing, options)
    raise Refused(f"NXem requires what nobody has stated: {said}", where=package.id, next=advice)


def _advice(
    package: ExportedPackage, count: int, missing: Mapping[str, Mapping[Lack, list[str]]], options: Mapping[str, Any]
) -> str:
    """How all that is missing is supplied, of one of `count` datasets or of each."""
    asked = _asked(package)
    lacks = [(path, lack, of) for path, some in missing.items() for lack, of in some.items()]
    given, which_hour, which_one = list[str](), list[str](), list[str]()
    for path, lack, of in lacks:
        option, field = _SUPPLY[path]
        if lack.offsets and not lack.is_option:
            stated = f"{field.partition('=')[0]}={lack.clock}{lack.offsets[-1]}"
            shared = field.startswith("sample.") and len(of) == count
            which_hour += [_amend(package, one, stated) for one in ([asked] if shared else of)]
        elif lack.offsets:
            given.append(f"{option.partition('=')[0]}={lack.clock}{lack.offsets[-1]}")
        elif lack.other:
            which_one += [_amend(package, one, field) for one in of]
        else:
            given.append("time_zone=Europe/Berlin" if lack.clock else option)
    # A correction of the whole package would replace what other datasets state, or state without a zone.
    common = [path for path, some in missing.items() if max(map(len, some.values())) == count]
    common = [path for path in common if not any(lack.clock or lack.other for lack in missing[path])]
    amended = [_SUPPLY[path][1] for path in common if _SUPPLY[path][1]]
    advice = []
    if which_hour:
        offsets = " or ".join(dict.fromkeys(offset for _, lack, _ in lacks for offset in lack.offsets))
        advice.append(f"Say which hour it was, {offsets}: {'; '.join(which_hour[:_NAMED])}")
    if which_one:
        advice.append(f"Say which instrument it was: {'; '.join(which_one[:_NAMED])}")
    if given:
        advice.append(f"Give what you know: {_command(package, asked, options, list(dict.fromkeys(given)))}")
    if amended:
        advice.append(f"or correct the record: {_amend(package, asked, *amended)}")
    return "; ".join(advice)


def _unreadable(
    package: ExportedPackage, dataset: Dataset, error: ReaderError, options: Mapping[str, Any]
) -> ReaderError:
    """The error that a dataset cannot be read: which one, how the others are exported, and what it lacks."""
    advice = [_others(package, options, but=dataset.id)]
    if issue := next((one for one in dataset.issues if one["code"] in _LACKS), None):
        part = re.search(r"'(.+?)' is not beside", issue["message"])
        lacks = _LACKS[issue["code"]].format(part[1] if part else "the file that is missing")
        advice.append(f"{lacks}: diadem archive FOLDER")
    return ReaderError(f"'{dataset.path}' cannot be read: {error.message}", where=package.id, next=". ".join(advice))


def _others(package: ExportedPackage, options: Mapping[str, Any], *, but: str = "") -> str:
    """What can be exported in place of what was asked for: another dataset, or the files as they are."""
    if fit := _whole(package, options, but):
        return f"Export the others one at a time: {_command(package, fit, options, [])}"
    return f'Export the files themselves: diadem export {package.id} OUT.zip --for "Marie Curie"'


def _whole(package: ExportedPackage, options: Mapping[str, Any], but: str) -> str:
    """The first other dataset of the package of which nothing is missing, even if only one was asked for; or ""."""
    for _, one in understood(package.record.datasets):
        whole = all(issue["code"] not in _LACKS for issue in one.issues) and not _unfit(one)
        if whole and one.id != but and one.signals and not entry_of(package, one, options).missing:
            return one.path
    return ""


def _unfit(dataset: Dataset) -> list[str]:
    """Ids of its signals for which NXem has no place, each with the reason."""
    return [f"{one.id}: {why}" for one in dataset.signals if (why := unfit(one))]


def _command(package: ExportedPackage, dataset: str, options: Mapping[str, Any], more: Sequence[str]) -> str:
    """The command that was given, of the same dataset and with the same options, and with more of them."""
    texts = {name: _option_text(value) for name, value in options.items()}
    texts |= dict(one.split("=", 1) for one in more)
    of = f" --dataset {quoted(dataset)}" if dataset else ""
    given = "".join(f" --option {quoted(f'{name}={value}')}" for name, value in texts.items())
    return f"diadem export {package.id} OUT.nxs --as nxem{of}{given}"


def _amend(package: ExportedPackage, dataset: str, *stated: str) -> str:
    """The command that corrects the record, of a dataset or of all."""
    of = f" --dataset {quoted(dataset)}" if dataset else ""
    return f"diadem amend {package.id}{of} --set {' --set '.join(stated)}"


def _option_text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else ",".join(value)


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
