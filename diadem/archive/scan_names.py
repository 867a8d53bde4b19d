"""What the names of folders and instruments say: dates, parts of a session, counters, one microscope or two."""

from __future__ import annotations

import re
from collections.abc import Iterator

from diadem.model.session_days import EDGES, date_in

_YEAR = re.compile(r"(?:19|20)\d\d\Z")
#: ``_2``, `` 2``, ``(2)``, ``#2`` at the end, or nothing but digits. Not ``S-2``, which is how samples are called.
_COUNTER = re.compile(r"(?:\A|[\s_]+|(?=[(#]))[(#]?(\d{1,2})\)?\Z")
#: Words of which the names of sub-folders inside a session are made, by people and by acquisition programs.
_PART_WORDS = frozenset(
    """
    raw data image images img pictures photo photos tif tiff jpg jpeg png bmp dm dm3 dm4 emd emi ser mrc mib hspy zspy
    h5 hdf5 export exports exported processed processing analysis analysed analyzed result results eds edx edxs edxa
    eels eftem stem tem hrtem hrstem lmstem bf df abf adf maadf haadf dpc idpc sem se bse fib ebsd tkd cl saed sad saedp
    cbed nbed ned diffraction diff dp dps d ped spectra spectrum spectroscopy si map maps mapping mappings line lines
    linescan linescans scan scans point points overview overviews survey surveys area areas region regions roi rois site
    sites spot spots pos position positions location locations loc grid gridsquare square squares hole holes foilhole
    foilholes view views field fields frame frames movie movies video videos stack stacks series tilt tiltseries tomo
    tomogram tomograms tomography focal focus calibration calib cal reference references ref dark gain flat background
    bg low high mag magnification lowmag highmag kv kx k x nm um alignment align misc other others disc notes note
    documents screenshots screenshot metadata atlas batch run runs acquisition acquisitions
    """.split()  # noqa: SIM905 - two hundred quoted words are harder to read
)
#: Bins and books of Windows, macOS and Linux at the top of a disk.
_SYSTEM = frozenset(
    {"$recycle.bin", "recycler", "system volume information", "found.000", "lost+found", ".spotlight-v100"}
    | {".fseventsd", ".documentrevisions-v100", ".temporaryitems"}
)
#: Words that many makers and models share: they do not tell one microscope from another.
_MAKERS = frozenset(
    {
        "fei",
        "company",
        "thermo",
        "fisher",
        "scientific",
        "jeol",
        "zeiss",
        "carl",
        "gatan",
        "tescan",
        "hitachi",
        "bruker",
    }
    | {"microscope", "electron", "kv"}
)


def is_systems_own(name: str) -> bool:
    """Whether a folder is what a system keeps for itself on a disk: its bin, its index, what it recovered."""
    plain = name.casefold()
    return plain in _SYSTEM or plain.startswith(".trash")


def counted(title: str) -> tuple[str, int]:
    """A title without the counter at its end, and the counter, 1 where there is none: ``ZnO_02`` is ``ZnO`` and 2."""
    match = _COUNTER.search(title)
    return (title[: match.start()].strip(EDGES), int(match[1])) if match else (title, 1)


def is_year(name: str) -> bool:
    """Whether a folder is named for a year."""
    return bool(_YEAR.match(name))


def is_part(name: str) -> bool:
    """Whether a folder is named as people and programs name parts of a session: ``EDS``, ``raw``, ``area 2``, ``007``.

    A name with a date is none, nor is a year.
    """
    if date_in(name) or is_year(name):
        return False
    words = re.findall(r"[^\W\d_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name))
    if not words:
        return bool(re.fullmatch(r"[\W_]*\d{1,4}[\W_]*", name))
    joined = "".join(words).casefold()
    return all(word.casefold() in _PART_WORDS for word in words) or joined in _PART_WORDS


def same_microscope(one: str, other: str) -> bool:
    """Whether two names may mean one microscope: programs of one maker spell it differently."""
    first, second = (re.sub(r"[\W_]+", "", name).casefold() for name in (one, other))
    return first in second or second in first or bool(set(_telling(one)) & set(_telling(other)))


def _telling(name: str) -> Iterator[str]:
    """Words that tell a model: long ones, and those that hold a digit."""
    for word in re.findall(r"[^\W_]+", name.casefold()):
        if word not in _MAKERS and (len(word) >= 5 or (len(word) >= 3 and not word.isalpha() and not word.isdigit())):
            yield word
