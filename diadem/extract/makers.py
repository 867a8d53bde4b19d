"""Who made the microscope, where the format or the model's own name tells: `instrument.vendor`, derived.

Nothing is guessed: a format of a camera, of a detector or of a program that runs on anybody's microscope (Gatan,
EDAX, Bruker, TVIPS, Delmic, NanoMEGAS, SerialEM …) says nothing of it, and what a file states goes before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from diadem.extract.assertions import Leaf, Statement, Value

_FEI: Final = "Thermo Fisher Scientific (FEI)"
#: Kind of block, or reader, to the maker whose instruments alone write it.
_OF_FORMAT: Final[Mapping[str, str]] = {
    "zeiss-sem": "Carl Zeiss",  # TIFF tag 34118, registered by Carl Zeiss
    "original-zeiss": "Carl Zeiss",  # the same, as HyperSpy saves it
    "zeiss-orion": "Carl Zeiss",
    "thermofisher-tiff": _FEI,  # TIFF tags 34680 and 34682, registered by FEI
    "original-thermofisher": _FEI,
    "epu-xml": _FEI,
    "fei-extended-header": _FEI,
    "hitachi-text": "Hitachi",  # [SemImageFile], written by its microscopes
    "jeol-text": "JEOL",  # $CM_ keys
    "sightx-tiff": "JEOL",
    "tescan-header": "TESCAN",
    "tescan-tag": "TESCAN",
    "phenom": "Phenom-World",
}
#: The same where the block itself states the model: the program ran on other instruments as well (TIA began as
#: Emispec's ESVision), or the file may be of a part that was sold alone.
_WITH_MODEL: Final[Mapping[str, str]] = {
    "tia-object": _FEI,
    "original-tia": _FEI,
    "hamamatsu-comment": "Hamamatsu",  # the model is its streak camera's
    "renishaw": "Renishaw",
    "jobinyvon": "HORIBA",  # LabSpec
}
#: A maker named in the text of a model: ``FEI Titan``, ``Nvision40 Carl Zeiss``. JEM, JSM and JXA are JEOL's letters.
_IN_MODEL: Final[Mapping[str, str]] = {
    "FEI|Thermo Fisher": _FEI,
    "JEOL|(JEM|JSM|JXA)(-[0-9A-Z]+| ?[0-9]{3,4}[A-Z]*)": "JEOL",
    "Zeiss": "Carl Zeiss",
    "Hitachi": "Hitachi",
    "TESCAN": "TESCAN",
    "Philips": "Philips",
    "Nion": "Nion",
}
_BY: Final = {"plugin": "makers", "version": "1"}


def maker(statements: Sequence[tuple[str, Statement]]) -> Iterator[Statement]:
    """Who made the instrument, where no table says so.

    Parameters
    ----------
    statements : sequence of (kind of block or reader, Statement)
        What the tables say of the dataset.
    """
    values = [(kind, statement, value) for kind, statement in statements for value in statement.values]
    if any(value.field == "instrument.vendor" for _, _, value in values):
        return
    for kind, statement, value in values:
        signals: tuple[str, ...] = ()
        found = _OF_FORMAT.get(kind)
        if found is not None:
            leaf, rule = Leaf(found, kind, kind), "maker-of-format"
        elif value.field == "instrument.model" and (found := _named(str(value.value)) or _WITH_MODEL.get(kind)):
            leaf, rule, signals = Leaf(found, value.leaf.locator, value.leaf.raw), "maker-of-model", statement.signals
        else:
            continue
        said = Value("instrument.vendor", found, "derived", leaf, rule=rule, file=value.file)
        yield Statement(signals, _BY, [said])
        if not signals:
            return


def _named(model: str) -> str | None:
    matches = (found for words, found in _IN_MODEL.items() if re.search(rf"(?i)(?<!\w)({words})(?!\w)", model))
    return next(matches, None)
