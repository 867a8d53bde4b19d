"""What the names of folders and instruments say: dates, parts of a session, counters, one microscope or two."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Iterator

#: 2026-03-14, 2026_03_14, 20260314.
_YEAR_FIRST = re.compile(r"(?<!\d)((?:19|20)\d\d)([-_. ]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])(?!\d)")
#: 14.03.2026; with dots the day comes first wherever dates are written so.
_DAY_FIRST = re.compile(r"(?<!\d)(0?[1-9]|[12]\d|3[01])\.(0?[1-9]|1[0-2])\.((?:19|20)\d\d)(?!\d)")
#: 260314 at the start of a name.
_SHORT = re.compile(r"\A(\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?!\d)")
#: 2026/03/14, also with words after month and day.
_NESTED = re.compile(r"(?:\A|/)((?:19|20)\d\d)/(0[1-9]|1[0-2])(?!\d)[^/]*/(0[1-9]|[12]\d|3[01])(?!\d)[^/]*\Z")
_YEAR = re.compile(r"(?:19|20)\d\d\Z")
#: ``_2``, `` 2``, ``(2)``, ``#2`` at the end, or nothing but digits. Not ``S-2``, which is how samples are called.
_COUNTER = re.compile(r"(?:\A|[\s_]+|(?=[(#]))[(#]?(\d{1,2})\)?\Z")
_EDGES = " \t_-.,+~"
#: A session whose files state days further apart than this has no days of its own by them alone.
SESSION_DAYS = datetime.timedelta(days=7)
#: No microscope whose files are read here wrote a true date before this; clocks that lost theirs begin at 1970 or 1980.
EARLIEST = datetime.date(1985, 1, 1)
#: What a folder of a project spans: beyond it, some of its files are of another time or clock.
_PROJECT_DAYS = datetime.timedelta(days=3653)

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


def date_in(name: str) -> datetime.date | None:
    """The date that a folder's name carries, or None."""
    found = _dated(name)
    return found[0] if found else None


def leading_date(name: str) -> datetime.date | None:
    """The date with which a folder's name begins, or None."""
    found = _dated(name.lstrip(_EDGES))
    return found[0] if found and found[1][0] == 0 else None


def session_days(
    days: Iterable[datetime.date], named: datetime.date | None, *, latest: datetime.date
) -> tuple[datetime.date, datetime.date] | None:
    """First and last day of a session, by what its files state and what its folder is named; None where neither tells.

    Parameters
    ----------
    days : iterable of date
        The days that its files state.
    named : date or None
        What the name of its folder says.
    latest : date
        What lies after it is of a clock that is wrong, as is what lies before `EARLIEST`: tomorrow, for time zones.

    Returns
    -------
    (date, date) or None
        The files' days where they lie within a week; else the folder's; else all that the files state, where that
        is within ten years.
    """
    stated = sorted(day for day in days if EARLIEST <= day <= latest)
    if stated and stated[-1] - stated[0] <= SESSION_DAYS:
        return stated[0], stated[-1]
    if named is not None:
        return named, named
    if stated and stated[-1] - stated[0] <= _PROJECT_DAYS:
        return stated[0], stated[-1]
    return None


def date_of_path(path: str) -> datetime.date | None:
    """The date that a path spells as nested folders, ``2026/03/14``, or None."""
    match = _NESTED.search(path)
    return _date(*match.groups()) if match else None


def _dated(name: str) -> tuple[datetime.date, tuple[int, int]] | None:
    for pattern, order in ((_YEAR_FIRST, (1, 3, 4)), (_DAY_FIRST, (3, 2, 1)), (_SHORT, (1, 2, 3))):
        for match in pattern.finditer(name):
            year, month, day = match.group(*order)
            if date := _date(year if len(year) == 4 else f"20{year}", month, day):
                return date, match.span()
    return None


def _date(year: str, month: str, day: str) -> datetime.date | None:
    try:
        return datetime.date(int(year), int(month), int(day))
    except ValueError:
        return None


def title_of(name: str) -> str:
    """A folder's name without its date; "" where nothing else is in it."""
    if found := _dated(name):
        start, end = found[1]
        before, after = name[:start].rstrip(_EDGES), name[end:].lstrip(_EDGES)
        name = f"{before} {after}"
    return name.strip(_EDGES)


def counted(title: str) -> tuple[str, int]:
    """A title without the counter at its end, and the counter, 1 where there is none: ``ZnO_02`` is ``ZnO`` and 2."""
    match = _COUNTER.search(title)
    return (title[: match.start()].strip(_EDGES), int(match[1])) if match else (title, 1)


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
