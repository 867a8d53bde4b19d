"""The metadata, cut out and kept whole: header and log, and the extension that is made of the log."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from diadem.hooks.extensions import Extension
from diadem.hooks.fields import Block
from diadem.terms.units import convert
from diadem_example_format.text import read_header, read_log

#: Reverse domain order, of a domain that is ours. (`example.org` is nobody's: take your own.)
NAMESPACE = "org.example.cl"


def read(path: str, files: Sequence[str]) -> Iterator[Block | Extension]:
    """Cut the blocks of a dataset.

    Parameters
    ----------
    path : str
        The XYF file.
    files : sequence of str
        It and, where it is there, its log.
    """
    with Path(path).open("rb") as stream:
        header = read_header(stream)
    yield Block(
        kind="xyf-header",
        tree=header.values,
        data=header.raw,
        media_type="text/plain",
        place="header",
        byte_range=(0, len(header.raw)),
    )
    for file in files:
        if file.lower().endswith(".xyl"):
            log = read_log(Path(file))
            yield Block(kind="xyf-log", tree=log, place="log", file=file)  # the package has the file itself
            yield Extension(NAMESPACE, "1.0.0", light(log))


def quantity(text: str) -> dict[str, Any]:
    """A number with its unit, such as ``10 kV``."""
    number, _, unit = text.partition(" ")
    return {"value": float(number), "unit": unit}


def light(log: dict[str, str]) -> dict[str, Any]:
    """How light was collected, in SI units; what the log does not say is left out."""
    found: dict[str, Any] = {}
    for name, key, unit in (("Slit", "slit_width", "m"), ("Grating", "grating_density", "1/m")):
        if name in log:
            stated = quantity(log[name])
            found[key] = convert(stated["value"], stated["unit"], unit)
    found |= {"mirror": log.get("Mirror"), "shutter": log.get("Shutter")}
    return {key: value for key, value in found.items() if value}
