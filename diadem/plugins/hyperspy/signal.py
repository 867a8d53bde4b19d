"""Values of HyperSpy's metadata tree, and what is left in it of the vendor's.

HyperSpy keeps what a reader calls the original metadata. Readers rename and convert little; what they do is undone,
so that the same tables read it that read the vendor's files. HyperSpy's own tree is read by the places that the
dictionary of fields has for it, in the units that HyperSpy documents (``reference/metadata.rst``; eXSpy,
``metadata_structure.rst``), that a leaf beside them names, or that `readers.toml` knows better.
"""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import PureWindowsPath
from typing import Any

from diadem.hooks import times
from diadem.hooks.fields import Block, Found, Tree, look_up
from diadem.plugins.msa.blocks import parse as msa_keywords
from diadem.plugins.tia.series import SPECTRA
from diadem.plugins.zeiss.blocks import value_of
from diadem.terms.crosswalk import Leaf, read_below_instrument

_READER = re.compile(r"(?:rsciio|hyperspy\.io_plugins)\.(\w+)")
#: HyperSpy's own, which tell nothing of where a signal came from.
_OWN = frozenset({"hspy", "zspy"})


@dataclass(frozen=True, slots=True)
class Reader:
    """What `readers.toml` says of a reader, in its words."""

    marks: Sequence[str] = ()
    also: Sequence[str] = ()
    suffixes: Sequence[str] = ()
    block: str = ""
    at: str = ""
    units: Mapping[str, str] = field(default_factory=dict)
    drop: Sequence[str] = ()
    vendor: Sequence[str] = ()
    time: str = "local"


@cache
def _readers() -> Mapping[str, Reader]:
    text = resources.files(__package__).joinpath("readers.toml").read_text("utf-8")
    return {name: Reader(**said) for name, said in tomllib.loads(text).items()}


def _reader(tree: Tree) -> Reader:
    """The reader that a signal came from; HyperSpy itself puts instants into local time."""
    name = str(tree.get("read by", ""))
    return _readers().get(name) or Reader(time="local" if name else "instant")


# -- the vendor's metadata -------------------------------------------------------------------------------------------


def origin_of(metadata: Tree, original: Tree) -> str:
    """Name of the reader that a signal came from, such as ``emd``; "" where nothing tells."""
    readers = _readers()
    if name := next((name for name, one in readers.items() if one.marks and set(one.marks) <= original.keys()), ""):
        return name
    if "BEAMKV" in " ".join(original) and any(name in original for name in ("FORMAT", "SIGNALTYPE", "NPOINTS")):
        return "msa"
    plugin = _READER.search(str(look_up(metadata, "General/FileIO/0/io_plugin") or ""))
    if plugin is not None and plugin[1] not in _OWN:
        return next((name for name, one in readers.items() if plugin[1] in one.also), plugin[1])
    file = look_up(metadata, "General/original_filename") or metadata.get("original_filename") or ""
    suffix = PureWindowsPath(str(file)).suffix.lower()
    return next((name for name, one in readers.items() if suffix in one.suffixes), "")


def vendor_blocks(origin: str, metadata: Tree, original: Tree, place: str, number: int) -> Iterator[Block]:
    """Vendor metadata as blocks of the vendors' own tables; none where several signals have been stacked."""
    if "stack_elements" in original or "stacking_history" in original:
        return
    reader = _readers().get(origin, Reader())
    plain = [(reader.block, reader.at, _within(original, reader.at))] if reader.block else []
    is_x_ray = str(look_up(metadata, "Signal/signal_type")).startswith("EDS")
    for kind, below, tree in _RESTORED[origin](original) if origin in _RESTORED else plain:
        if tree:
            named = "original-velox-spectrum" if kind == "original-velox-image" and is_x_ray else kind
            yield Block(named, tree, place=f"{place}/{below}".rstrip("/"), signals=(number,))


Restored = Iterator[tuple[str, str, Tree]]
#: Ends of labels that name a unit, as RosettaSciIO joins them.
_LABEL = re.compile(r"(.+)_(kV|V|uA|nA|x|um|nm|mm|m|deg|%|s|eV|mrad|µA|µm)\Z")


def _within(tree: Tree, key: str) -> Tree:
    found = look_up(tree, key)
    return found if isinstance(found, Mapping) else {}


def _tia(original: Tree) -> Restored:
    info = _within(original, "ObjectInfo")
    described: dict[str, Any] = {}
    for name, value in _within(info, "ExperimentalDescription").items():
        match = _LABEL.match(name)
        described[match[1] if match else name] = {"Value": value, "Unit": match[2] if match else ""}
    # The head of a series, with what the first of its elements has, and the time of the last.
    head = dict(_within(original, "ser_header_parameters"))
    clock = head.get("Time")
    if isinstance(clock, list) and clock:
        head["Time of the last element"] = clock[-1]
    head = {name: value[0] if isinstance(value, list) and value else value for name, value in head.items()}
    # RosettaSciIO gives every series the document of the file's last object: that of a map is not its own.
    alone = head.get("ValidNumberElements") == 1 and head.get("DataTypeID") != SPECTRA
    kept = {name: value for name, value in info.items() if alone or not name.startswith("Acquire")}
    yield "original-tia", "ObjectInfo", {**kept, "ExperimentalDescription": described, "ser": head} if info else {}


def _fei(original: Tree) -> Restored:
    yield "original-thermofisher", "", {"FEI_SFEG": _within(original, "fei_metadata")}


def _zeiss(original: Tree) -> Restored:
    named: dict[str, Any] = {}
    for key, said in _within(original, "CZ_SEM").items():
        if isinstance(said, list) and len(said) == 2:
            named[key.upper()] = {"Name": str(said[0]), **value_of(str(said[1]))}
        elif isinstance(said, list) and len(said) == 3:
            named[key.upper()] = {"Name": str(said[0]), "Value": str(said[1]), "Unit": str(said[2])}
    yield "original-zeiss", "", {"CZ_SEM": named} if named else {}


def _msa(original: Tree) -> Restored:
    plain = {name.strip("# "): value for name, value in original.items() if not isinstance(value, (Mapping, list))}
    # Keywords of the standard are in capitals, users' are not.
    marked = {f"#{name}" if re.match(r"[A-Z]{4,}\b", name) else f"##{name}": value for name, value in plain.items()}
    lines = (f"{name}: {value}".replace("\n", " ") for name, value in marked.items())
    yield "original-msa", "", msa_keywords("\n".join(lines))


def _blockfile(original: Tree) -> Restored:
    header = _within(original, "blockfile_header")
    lines = (line.partition(":") for line in str(header.get("Note", "")).splitlines())
    notes = {name.strip(): value.strip() for name, _, value in lines if value.strip()}
    yield "original-blockfile", "blockfile_header", {**header, "Notes": notes} if header else {}


def _merlin(original: Tree) -> Restored:
    yield "original-merlin", "mib_properties", _within(original, "mib_properties")
    hdr = _within(original, "hdr_file")
    yield "original-merlin-hdr", "hdr_file", {str(name).rstrip(":"): str(value).strip() for name, value in hdr.items()}


_RESTORED: Mapping[str, Callable[[Tree], Restored]] = {
    "tia": _tia,
    "fei": _fei,
    "zeiss": _zeiss,
    "msa": _msa,
    "blockfile": _blockfile,
    "quantumdetector": _merlin,
}


# -- HyperSpy's own tree ---------------------------------------------------------------------------------------------

#: Where the instrument is; in HyperSpy before 0.7 at the top.
_TOPS = (
    "metadata/Acquisition_instrument/",
    "metadata/",
    "mapped_parameters/Acquisition_instrument/",
    "mapped_parameters/",
)
#: A value that may be zero where it was measured, and what tells that it was.
_ZERO = ("Detector/EDS/azimuth_angle", "Detector/EDS/elevation_angle")
#: What eXSpy's classes put into every spectrum; what a program has from a file is seldom just that.
_SUPPOSED = "Detector/EDS/energy_resolution_MnKa"


def _leaves(tree: Tree) -> Iterator[tuple[Leaf, str, str, Tree]]:
    """What the instrument's group says: leaf, path below the group, whole key, and the group."""
    places = [f"{top}{kind}" for top in _TOPS for kind in ("TEM", "SEM", "FIB")]
    found = [(place, group) for place in places if isinstance(group := look_up(tree, place), Mapping) and group]
    if not found:
        return
    # Of several the one that knows the beam, else the fullest.
    place, instrument = max(found, key=lambda one: ("beam_energy" in one[1], len(one[1])))
    reader = _reader(tree)
    left = {*reader.units, *reader.drop, *reader.vendor} if tree.get("vendor's own") else set()
    for leaf in read_below_instrument():
        path = leaf.path_below("TEM" if place.endswith("TEM") else "SEM").replace(".", "/")
        if path and path not in left:
            yield leaf, path, f"{place}/{path}", instrument


def quantities(tree: Tree) -> Iterator[Found]:
    """Numbers of the instrument, without those that DIADEM has marked as mere suppositions of a signal's class."""
    reader = _reader(tree)
    marked = look_up(tree, "metadata/General/diadem/assumed")
    supposed = {str(one).partition(":")[0] for one in marked} if isinstance(marked, (list, tuple)) else set()
    for leaf, path, key, instrument in _leaves(tree):
        if key.removeprefix("metadata/").replace("/", ".") in supposed:
            continue
        value, written = look_up(instrument, path), look_up(instrument, f"{path}_units")
        unit = "" if path in reader.drop else reader.units.get(path, leaf.unit)
        unit = written if isinstance(written, str) and written else unit
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not unit or not leaf.field.unit:
            continue
        if value == 0 and (path != _ZERO[0] or not look_up(instrument, _ZERO[1])):
            continue
        assumed = leaf.place.default is not None and value == leaf.place.default
        if assumed and path == _SUPPOSED:
            continue
        yield Found(leaf.field.key, float(value), key, value, unit, "assumed" if assumed else "")


def texts(tree: Tree) -> Iterator[Found]:
    """Names and modes of the instrument."""
    dropped = _reader(tree).drop
    for leaf, path, key, instrument in _leaves(tree):
        raw = look_up(instrument, path)
        if isinstance(raw, str) and not leaf.field.unit and path not in dropped:
            yield Found(leaf.field.key, raw, key, raw)


def _first(tree: Tree, path: str) -> tuple[str, Any]:
    """Key and value in the metadata, or in those of the first versions."""
    found = ((f"{top}/{path}", look_up(tree, f"{top}/{path}")) for top in ("metadata", "mapped_parameters"))
    return next(((key, raw) for key, raw in found if raw is not None), ("", None))


def sample(tree: Tree) -> Iterator[Found]:
    """Elements and thickness."""
    key, raw = _first(tree, "Sample/elements")
    if isinstance(raw, list) and raw:
        yield Found("sample.elements", list(dict.fromkeys(map(str, raw))), key, str(raw))
    key, raw = _first(tree, "Sample/thickness")
    unit = str(_first(tree, "Sample/thickness_units")[1] or ("nm" if tree.get("read by") == "msa" else "m"))
    if isinstance(raw, (int, float)) and (unit != "m" or raw < 1e-3):  # thicker than a millimetre is another unit
        yield Found("sample.thickness", float(raw), key, raw, unit)


def acquired(tree: Tree) -> Iterator[Found]:
    """Date and time, in their own group or, in HyperSpy before 0.7, at the top, unless the reader makes them up."""
    if tree.get("vendor's own"):
        return
    for general in ("metadata/General", "mapped_parameters/General", "mapped_parameters"):
        if found := list(_acquired(look_up(tree, general) or {}, general, _reader(tree).time)):
            yield from found
            return


def _acquired(said: Mapping[str, Any], general: str, how: str) -> Iterator[Found]:
    """Start of the acquisition by a group; the first versions of HyperSpy may have other texts."""
    try:
        local = dt.datetime.combine(dt.date.fromisoformat(said["date"]), dt.time.fromisoformat(said["time"]))
    except (KeyError, TypeError, ValueError):
        return
    zone, keys, raw = said.get("time_zone"), f"{general}/date + {general}/time", f"{said['date']} {said['time']}"
    if how == "guessed" and local.day <= 12 and local.day != local.month:
        readings = [local, local.replace(month=local.day, day=local.month)]  # the reader did not know
        yield from times.moments("time.acquired_start", keys, raw, local=readings)
    elif zone is None and how != "made up":
        yield from times.moments("time.acquired_start", keys, raw, local=local)
    elif how == "instant" and (offset := _offset(str(zone))) is not None:
        keys, raw = f"{keys} + {general}/time_zone", f"{raw} {zone}"
        yield from times.moments("time.acquired_start", keys, raw, local=local.replace(tzinfo=offset))


def _offset(zone: str) -> dt.tzinfo | None:
    """An offset that a text states; names of zones do not."""
    if zone in ("UTC", "Z"):
        return dt.UTC
    match = re.fullmatch(r"(?:UTC|GMT)?([+-]\d\d):?(\d\d)", zone)
    if match is None:
        return None
    hours = dt.timedelta(hours=int(match[1]), minutes=int(match[1][0] + match[2]))
    return dt.timezone(hours) if abs(hours) <= dt.timedelta(hours=14) else None
