"""What signals a JEOL file holds, without decoding them: RosettaSciIO decodes a map's events to tell its shape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diadem.plugins.jeol.files import Header, members, read_header
from diadem.plugins.jeol.spectrum import COUNTS, axis

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Channels of a map, whatever its detector has.
_CHANNELS = 4096
#: Acceleration voltage in kV up to which RosettaSciIO takes an instrument for a scanning one.
_SCANNING = 30.0
#: Suffixes that RosettaSciIO reads in a project; it passes over others.
_READ = frozenset({".img", ".map", ".pts", ".eds"})


@dataclass(frozen=True, slots=True)
class Shaped:
    """Shape and type of an array that is not read."""

    shape: tuple[int, ...]
    dtype: Any


@dataclass(frozen=True, slots=True)
class Pixels(Shaped):
    """An array that is read, whole, when a part of it is wanted; the file is closed in between."""

    path: str
    offset: int

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """The pixels at a place."""
        import numpy as np

        values = np.fromfile(self.path, self.dtype, self.shape[0] * self.shape[1], offset=self.offset)
        pixels: NDArray[Any] = values.reshape(self.shape)[key]
        return pixels


def describe(path: str) -> list[dict[str, Any]]:
    """Signal dictionaries as RosettaSciIO's reader gives them, in its order.

    Parameters
    ----------
    path : str
        An ``.asw``, ``.img``, ``.map``, ``.pts`` or ``.eds`` file.

    Returns
    -------
    list of dict
        Images and spectra have their data, maps of events the shape and type of theirs.

    Raises
    ------
    ValueError, KeyError, OSError, struct.error
        The file is damaged, of an unknown version, or lists a file that is not there.
    """
    return list(_signals(path, read_header(path)))


def _signals(path: str, header: Header) -> Iterator[dict[str, Any]]:
    if header.kind == "project":
        for member in project_files(path, header):
            yield from _signals(member, read_header(member))
    else:
        yield {"image": _image, "map": _map, "spectrum": _spectrum}[header.kind](path, header.tree)


def project_files(path: str, header: Header) -> Iterator[str]:
    """Paths of the files of a project that hold signals, in its order."""
    folder = Path(path).parent
    for parts in members(header.tree):
        if Path(parts[-1]).suffix.lower() in _READ:
            yield str(folder.joinpath(*parts))


def _image(path: str, tree: Mapping[str, Any]) -> dict[str, Any]:
    """An image or an element's map."""
    import numpy as np

    width, height = (int(length) for length in tree["Image"]["Size"])
    bits = tree["Image"]["Bits"]
    if bits["count"] != width * height or min(width, height) < 1:
        raise ValueError("its pixels are not as many as its size says")

    field = tree["Instrument"]["ScanSize"] / tree["Instrument"]["Mag"] * 1e3
    return {
        "data": Pixels((height, width), np.dtype(bits["dtype"]), path, bits["offset"]),
        "axes": [
            _length("y", height, field / height, navigate=False),
            _length("x", width, field / width, navigate=False),
        ],
        "metadata": _metadata(path, str(tree["Image"]["Title"])),
        "original_metadata": {},
    }


def _map(path: str, tree: Mapping[str, Any]) -> dict[str, Any]:
    """A map of events, as the sum of its frames."""
    import numpy as np

    measured = tree["PTTD Data"]["AnalyzableMap MeasData"]
    document = measured["Doc"]
    width, height = (int(length) for length in measured["Meas Cond"]["Pixels"].split("x"))
    field = tree["PTTD Param"]["Params"]["PARAMPAGE0_SEM"]["ScanSize"] / measured["MeasCond"]["Mag"] * 1e3
    zero = tree["PTTD Param"]["Params"]["PARAMPAGE1_EDXRF"]["Tpl"][measured["Meas Cond"]["Tpl"]]["DigZ"]
    scale = document["CoefA"]
    energy = {"name": "Energy", "size": _CHANNELS, "offset": document["CoefB"] - scale * zero, "scale": scale}
    described = {
        "data": Shaped((height, width, _CHANNELS), np.dtype("<u2")),  # what the reader's lazy array has
        "axes": [
            _length("y", height, field / height, navigate=True),
            _length("x", width, field / width, navigate=True),
            {**energy, "units": "keV", "navigate": False},
        ],
        "metadata": _metadata(path, f"EDS extracted from {Path(path).name}", measured["MeasCond"]["AccKV"]),
        "original_metadata": {},
    }
    _require_events(path, tree["Data"], document, described)
    return described


def _require_events(path: str, data: Mapping[str, int], document: Mapping[str, Any], described: dict[str, Any]) -> None:
    """Refuse a map without a whole frame, which the reader gives another type, and say where events are missing."""
    there = Path(path).stat().st_size - data["offset"]
    if there < 2 or document["Sweep"] < 1:
        raise ValueError("it has no whole frame of events")
    if there < data["bytes"]:
        message = f"'{Path(path).name}' is not whole: {data['bytes']} bytes of events are promised, {there} there"
        described["issues"] = [{"code": "truncated", "message": message}]


def _spectrum(path: str, tree: Mapping[str, Any]) -> dict[str, Any]:
    """A single spectrum."""
    import numpy as np

    header = tree["Header"]
    return {
        "data": np.fromfile(path, "<i4", header["NumCH"], offset=COUNTS),
        "axes": [axis(header)],
        "metadata": _metadata(path, "EDX", tree["Footer"]["Parameters"]["AccKV"]),
        "original_metadata": {},
    }


def _length(name: str, size: int, scale: float, *, navigate: bool) -> dict[str, Any]:
    return {"name": name, "size": size, "offset": 0, "scale": scale, "units": "µm", "navigate": navigate}


def _metadata(path: str, title: str, kilovolts: float | None = None) -> dict[str, Any]:
    """Title and, of spectra, type of signal."""
    signal = {}
    if kilovolts is not None:
        kind = "EDS_SEM" if kilovolts <= _SCANNING else "EDS_TEM"
        signal = {"quantity": "X-rays (Counts)", "signal_type": kind}
    return {"General": {"original_filename": Path(path).name, "title": title}, "Signal": signal}
