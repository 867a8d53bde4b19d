"""Where a signal came from before HyperSpy saved it, and the vendor's metadata in the form of the vendor's tables.

HyperSpy keeps what a reader calls the original metadata. Readers rename and convert little; what they do is undone
here, so that the same tables read them that read the vendor's files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import PureWindowsPath
from typing import Any

from diadem.hooks.fields import Block, Tree, look_up
from diadem.plugins.msa.blocks import parse as msa_keywords
from diadem.plugins.tia.series import SPECTRA
from diadem.plugins.zeiss.blocks import value_of

#: Name of a reader by what its original metadata hold.
_MARKS: Mapping[str, tuple[str, ...]] = {
    "emd": ("Core", "Optics"),
    "digitalmicrograph": ("ImageList",),
    "tia": ("ObjectInfo",),
    "fei": ("fei_metadata",),
    "zeiss": ("CZ_SEM",),
    "blockfile": ("blockfile_header",),
    "tvips": ("tvips_header",),
    "quantumdetector": ("mib_properties",),
    "mrc": ("std_header",),
    "topspin": ("HardwareSettings", "ProcedureData"),
    "pantarhei": ("repo_id", "ref_size"),
    "bruker": ("Microscope", "DSP Configuration"),
    "edax": ("spc_header",),
}
_SUFFIXES: Mapping[str, str] = {
    ".dm3": "digitalmicrograph", ".dm4": "digitalmicrograph", ".emd": "emd", ".emi": "tia", ".ser": "tia",
    ".tif": "tiff", ".tiff": "tiff", ".blo": "blockfile", ".tvips": "tvips", ".mib": "quantumdetector", ".mrc": "mrc",
    ".mrcz": "mrcz", ".app5": "topspin", ".prz": "pantarhei", ".bcf": "bruker", ".spx": "bruker", ".spc": "edax",
    ".spd": "edax", ".msa": "msa", ".ems": "msa", ".elid": "phenom", ".rpl": "ripple", ".sur": "digitalsurf",
    ".pro": "digitalsurf", ".h5": "", ".hspy": "", ".hdf5": "", ".zspy": "",
}  # fmt: skip
_READER = re.compile(r"(?:rsciio|hyperspy\.io_plugins)\.(\w+)")
#: Names of HyperSpy's readers before they became RosettaSciIO.
_RENAMED: Mapping[str, str] = {"digital_micrograph": "digitalmicrograph", "fei": "tia", "hspy": "", "zspy": ""}
#: Ends of labels that name a unit, as RosettaSciIO joins them.
_LABEL = re.compile(r"(.+)_(kV|V|uA|nA|x|um|nm|mm|m|deg|%|s|eV|mrad|µA|µm)\Z")


def origin_of(metadata: Tree, original: Tree) -> str:
    """Name of the reader that a signal came from, such as ``emd``; "" where nothing tells.

    Parameters
    ----------
    metadata, original : mapping
        HyperSpy's tree, and the reader's.
    """
    for reader, names in _MARKS.items():
        if all(name in original for name in names):
            return reader
    if "BEAMKV" in " ".join(original) and any(name in original for name in ("FORMAT", "SIGNALTYPE", "NPOINTS")):
        return "msa"
    plugin = _READER.search(str(look_up(metadata, "General/FileIO/0/io_plugin") or ""))
    if plugin is not None and (named := _RENAMED.get(plugin[1], plugin[1])):
        return named
    file = look_up(metadata, "General/original_filename") or metadata.get("original_filename") or ""
    return _SUFFIXES.get(PureWindowsPath(str(file)).suffix.lower(), "")


def vendor_blocks(origin: str, metadata: Tree, original: Tree, place: str, number: int) -> Iterator[Block]:
    """Vendor metadata as blocks of the vendors' own tables.

    Parameters
    ----------
    origin : str
        Name of the reader.
    metadata, original : mapping
        HyperSpy's tree, and the reader's.
    place : str
        Of it.
    number : int
        Of the signal.

    Yields
    ------
    Block
        None where the reader is not known, or several signals have been stacked.
    """
    if "stack_elements" in original or "stacking_history" in original:
        return
    is_x_ray = str(look_up(metadata, "Signal/signal_type")).startswith("EDS")
    for kind, below, tree in _RESTORED.get(origin, _nothing)(original):
        if tree:
            named = "original-velox-spectrum" if kind == "original-velox-image" and is_x_ray else kind
            yield Block(named, tree, place=f"{place}/{below}".rstrip("/"), signals=(number,))


Restored = Iterator[tuple[str, str, Tree]]


def _nothing(_: Tree) -> Restored:
    yield from ()


def _within(tree: Tree, key: str) -> Tree:
    found = look_up(tree, key)
    return found if isinstance(found, Mapping) else {}


def _velox(original: Tree) -> Restored:
    yield "original-velox-image", "", original


def _gatan(original: Tree) -> Restored:
    yield "original-gatan", "ImageList/TagGroup0", _within(original, "ImageList/TagGroup0")


def _tia(original: Tree) -> Restored:
    info = _within(original, "ObjectInfo")
    described: dict[str, Any] = {}
    for name, value in _within(info, "ExperimentalDescription").items():
        match = _LABEL.match(name)
        described[match[1] if match else name] = {"Value": value, "Unit": match[2] if match else ""}
    head = _ser(original)
    # RosettaSciIO gives every series the document of the file's last object: that of a map is not its own.
    alone = head.get("ValidNumberElements") == 1 and head.get("DataTypeID") != SPECTRA
    kept = {name: value for name, value in info.items() if alone or not name.startswith("Acquire")}
    yield "original-tia", "ObjectInfo", {**kept, "ExperimentalDescription": described, "ser": head} if info else {}


def _ser(original: Tree) -> Tree:
    """The head of a series, with what the first of its elements has, and the time of the last."""
    head = dict(_within(original, "ser_header_parameters"))
    clock = head.get("Time")
    if isinstance(clock, list) and clock:
        head["Time of the last element"] = clock[-1]
    return {name: value[0] if isinstance(value, list) and value else value for name, value in head.items()}


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


def _as_it_is(kind: str) -> Callable[[Tree], Restored]:
    def restored(original: Tree) -> Restored:
        yield kind, "", original

    return restored


_RESTORED: Mapping[str, Callable[[Tree], Restored]] = {
    "emd": _velox,
    "digitalmicrograph": _gatan,
    "tia": _tia,
    "fei": _fei,
    "zeiss": _zeiss,
    "msa": _msa,
    "blockfile": _blockfile,
    "pantarhei": _as_it_is("original-pantarhei"),
    "topspin": _as_it_is("original-topspin"),
    "quantumdetector": _merlin,
}
