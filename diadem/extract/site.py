"""What a person says of an instrument once, stated of each dataset of it: who made it, its identifier, its time zone.

A *profile* is one entry of ``instruments`` in the metadata, told by what the files state or by their folder; the
metadata's own ``instrument`` gives the whole session its time zone. Nothing that a file states is replaced: what a
profile says stands beside it, and where the two cannot both be right an issue says so.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from diadem.extract.extraction import issue
from diadem.model.record import Dataset

#: Who makes these assertions.
PLUGIN: Final = "site"
_KEYS: Final = ("kind", "model", "name", "owner_ror", "pid", "serial", "site", "vendor")
#: Of these a file and a person can contradict each other.
_COMPARED: Final = ("model", "serial", "vendor")
#: Offsets of our days are multiples of it.
_STEP: Final = dt.timedelta(minutes=15)
#: Begins the rule of what a time zone gives.
_ZONE: Final = "site-zone/"
_WITHOUT_OFFSET: Final = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+\Z")

Fields = dict[str, list[dict[str, Any]]]


class Site:
    """The instruments that a person has described.

    Parameters
    ----------
    metadata : mapping
        Validated; its ``instrument`` and ``instruments`` count.
    sealed : mapping, optional
        What profiles have said before of datasets, by the path of their primary file: see `sealed_profiles`.
    """

    def __init__(self, metadata: Mapping[str, Any], sealed: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self._sealed = sealed or {}
        self._session: Mapping[str, Any] = metadata.get("instrument", {})
        self._profiles: Sequence[Mapping[str, Any]] = metadata.get("instruments", ())

    def add(self, fields: Fields, path: str, place: Path | None = None) -> list[dict[str, Any]]:
        """Add what is said of the instrument to the fields of a dataset.

        Parameters
        ----------
        fields : dict
            Assertions by key; changed.
        path : str
            Of the primary file, as in the package.
        place : Path, optional
            Where that file lies on this machine.

        Returns
        -------
        list of dict
            Issues: what the files contradict, and local times that a change of clocks leaves open.
        """
        issues: list[dict[str, Any]] = []
        meant = next((one for one in self._profiles if _is_of(one["when"], fields, path, place)), {})
        told_by, profile = meant.get("when", {}), meant.get("is", {}) or self._sealed.get(path, {})
        for about, whose in ((self._session, "the metadata say"), (profile, "the instrument's profile says")):
            for key in _COMPARED:
                stated = [str(one["value"]) for one in fields.get(f"instrument.{key}", ()) if one["status"] != "user"]
                if key in about and key not in told_by and stated and not any(_alike(about[key], it) for it in stated):
                    message = f"instrument.{key}: the file says {stated[0]}, {whose} {about[key]}"
                    issues.append(issue("site-disagrees", message, severity="warning"))
        for key in _KEYS:
            if key in profile:
                _add(fields, f"instrument.{key}", profile[key], f"{profile.get('name') or 'instrument'}/{key}")
        zone = profile.get("time_zone") or self._session.get("time_zone")
        if zone:
            issues += _offsets(fields, zone)
        return issues


def sealed_profiles(datasets: Iterable[Dataset]) -> dict[str, dict[str, Any]]:
    """What profiles have said of datasets, by the path of their primary file: files that are read again keep it."""
    found: dict[str, dict[str, Any]] = {}
    for dataset in datasets:
        own = [(key, one) for key, said in dataset.fields.items() for one in said if one.by.get("plugin") == PLUGIN]
        for key, one in own:
            profile = found.setdefault(dataset.path, {})
            if one.status == "user":
                profile[key.removeprefix("instrument.")] = one.value
            else:
                profile["time_zone"] = one.by["rule"].removeprefix(_ZONE)
    return found


def _is_of(when: Mapping[str, str], fields: Fields, path: str, place: Path | None) -> bool:
    """Whether a dataset is of the instrument: all that tells it holds."""
    for key, wanted in when.items():
        if key == "folder":
            folder = Path(wanted)
            file = place if folder.is_absolute() else Path(path)
            if file is None or not file.is_relative_to(folder):
                return False
            continue
        stated = (str(one["value"]).strip().casefold() for one in fields.get(f"instrument.{key}", ()))
        if not any(fnmatchcase(text, wanted.casefold()) for text in stated):
            return False
    return True


def _add(fields: Fields, key: str, value: Any, locator: str) -> None:
    """One value as a person's, preferred where nothing else is stated."""
    known = fields.setdefault(key, [])
    if any(one["value"] == value and "applies_to" not in one for one in known):
        return
    source = {"person": "instrument profile", "locator": locator}
    by = {"plugin": PLUGIN, "version": "1", "rule": "instrument-profile"}
    preferred = {} if known else {"preferred": True}
    known.append({"value": value, "status": "user", "source": source, "by": by, **preferred})


def _alike(one: str, other: str) -> bool:
    """Whether two texts can mean the same: ``FEI Company`` and ``Thermo Fisher``, ``Talos`` and ``TalosF200X``.

    They have a word in common, or one stands in the other. FEI became part of Thermo Fisher in 2016.
    """
    texts = [text.casefold().replace("thermo", "fei ") for text in (one, other)]
    plain = ["".join(filter(str.isalnum, text)) for text in texts]
    first, second = ({word for word in re.findall(r"[^\W_]+", text) if len(word) > 2} for text in texts)
    return plain[0] in plain[1] or plain[1] in plain[0] or bool(first & second)


def _offsets(fields: Fields, name: str) -> Iterator[dict[str, Any]]:
    """Beside each local time whose offset nobody states: the same with the offset of the site; yields issues."""
    zone = ZoneInfo(name)
    by = {"plugin": PLUGIN, "version": "1", "rule": _ZONE + name}
    for key in ("time.acquired_start", "time.acquired_end"):
        known = fields.get(key, [])
        sure = [one for one in known if one.get("offset_status") in ("known", "derived")]
        for one in sure:
            if one["value"].endswith("Z") or (moment := _moment(one["value"])) is None or moment.tzinfo is None:
                continue
            if moment.utcoffset() != (here := moment.astimezone(zone)).utcoffset():
                message = f"{key}: the file says {one['value']}, by the clocks of {name} it was {here.isoformat()}"
                yield issue("site-disagrees", message, severity="warning")
                break
        for one in list(known):
            moment = _moment(one["value"]) if _WITHOUT_OFFSET.match(one["value"]) else None
            if moment is None or any(_meet(one, other) for other in sure):
                continue
            offsets = {moment.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1)}
            if len(offsets) != 1 or next(iter(offsets)) % _STEP:  # type: ignore[operator]
                message = f"{key}: {one['value']} is when the clocks of {name} were changed; its offset stays unknown"
                yield issue("site-time-unclear", message, severity="info")
                continue
            offset = f"{moment.replace(tzinfo=zone):%z}"[:5]
            offset = f"{offset[:3]}:{offset[3:]}"
            subject = {"applies_to": one["applies_to"]} if "applies_to" in one else {}
            said = {**subject, "status": "assumed", "source": dict(one["source"]), "by": dict(by)}
            known.append({"value": one["value"] + offset, **said, "offset_status": "assumed"})
            others = fields.setdefault("time.utc_offset", [])
            if not any(_meet(one, other) for other in others):
                others.append({"value": offset, **said})


def _meet(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether both are about some of the same signals."""
    mine, theirs = one.get("applies_to"), other.get("applies_to")
    return not mine or not theirs or bool(set(mine) & set(theirs))


def _moment(text: str) -> dt.datetime | None:
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:  # a leap second, more digits than Python takes
        return None
    return moment if dt.MINYEAR < moment.year < dt.MAXYEAR else None  # in another zone it may be out of the calendar
