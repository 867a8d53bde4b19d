"""One dataset as a record states it: its files, what was read of them, what a person says of the instrument, and what a
careful colleague would doubt.

Doubts are issues beside the values; nothing is changed. The bounds are wide: they catch a unit that is wrong by a
thousand, a stage outside its column, a clock that was never set, and let every real instrument pass.

A *profile* is one entry of ``instruments`` in the metadata, told by what the files state or by their folder; the
metadata's own ``instrument`` gives the whole session its time zone. Nothing that a file states is replaced: what a
profile says stands beside it, and where the two cannot both be right an issue says so.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from diadem.extract.assertions import meet
from diadem.extract.extraction import Extraction, issue
from diadem.extract.survey import DatasetPlan
from diadem.model.record import Dataset
from diadem.serialization.validation import admitted
from diadem.terms.crosswalk import transmission_mode
from diadem.terms.dates import iso
from diadem.terms.fields import Bounds, all_fields

#: Assertions by key.
Fields = Mapping[str, Sequence[Mapping[str, Any]]]


def dataset_document(
    plan: DatasetPlan,
    found: Extraction,
    *,
    keep: Callable[[bytes], str],
    siblings: Siblings,
    mtimes_ns: Sequence[int],
    digests: Sequence[str] = (),
    lost: Sequence[str] = (),
    site: Site | None = None,
    place: Path | None = None,
) -> dict[str, Any]:
    """The dataset as JSON, without what a record does not admit.

    `keep` takes a vendor's block, and tells the digest under which it is found again; `siblings` are the datasets
    before it; `digests` the SHA-256 of each file in the order of the plan, none for a dataset that is not sealed;
    `lost` files that are not there any more; `place` where the primary lies on this machine: its folder may tell the
    instrument.
    """
    files: list[dict[str, Any]] = [
        {"id": file.id, "path": file.path, "role": file.role, "bytes": file.size} for file in plan.files
    ]
    if digests:
        files = [{**file, "sha256": digest} for file, digest in zip(files, digests, strict=True)]
    files[0] |= {"format": found.format, "format_evidence": list(found.evidence)}
    issues = list(found.issues)
    if lost:
        message = f"files of this dataset are not archived: {', '.join(lost)}"
        issues.append({"code": "incomplete-dataset", "message": message})
    if site is not None:
        issues += site.add(found.fields, plan.primary.path, place)
    raw = []
    for block in found.vendor:
        digest = keep(block.data)
        about = {"path": f"vendor:{digest}", "place": block.path, "media_type": block.media_type, "sha256": digest}
        span = {"byte_range": block.byte_range} if block.byte_range else {}
        raw.append({**about, "file": block.file, "bytes": len(block.data), **span})
    document = admitted(
        {
            "id": plan.id,
            "files": files,
            "signals": found.signals,
            "fields": found.fields,
            "raw": raw,
            "issues": issues,
            "extraction": found.extraction,
            **({"extensions": found.extensions} if found.extensions else {}),
        },
        sealed=bool(digests),
    )
    if stated := document["fields"]:
        doubted = [*doubts(stated, mtimes_ns, dt.datetime.now(dt.UTC))]
        doubted += siblings.doubts(plan.primary.path.rpartition("/")[0], stated)
        document["issues"] = [*document["issues"], *doubted]
    return document


def renamed(plan: DatasetPlan, names: Mapping[str, str]) -> DatasetPlan:
    """The plan by other names, as deep in their folders; a path that has none keeps its own."""
    if not any(names.get(file.path, file.path) != file.path for file in plan.files):
        return plan
    files = tuple(replace(file, path=names.get(file.path, file.path)) for file in plan.files)
    deep = len(plan.entry.split("/"))
    return replace(plan, files=files, entry="/".join(files[0].path.split("/")[:deep]))


# -- what a person says of the instrument --------------------------------------------------------------------------

#: The same, to be added to.
_Open = dict[str, list[dict[str, Any]]]
#: Who makes these assertions.
_PLUGIN: Final = "site"
_KEYS: Final = ("kind", "model", "name", "owner_ror", "pid", "serial", "site", "vendor")
#: Of these a file and a person can contradict each other.
_COMPARED: Final = ("model", "serial", "vendor")
#: Offsets of our days are multiples of it.
_STEP: Final = dt.timedelta(minutes=15)
#: Begins the rule of what a time zone gives.
_ZONE: Final = "site-zone/"
_WITHOUT_OFFSET: Final = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+\Z")


class Site:
    """The instruments that a person has described: ``instrument`` and ``instruments`` of validated metadata.

    `sealed` is what profiles have said before of datasets, by the path of their primary file: see `sealed_profiles`.
    """

    def __init__(self, metadata: Mapping[str, Any], sealed: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self._sealed = sealed or {}
        self._session: Mapping[str, Any] = metadata.get("instrument", {})
        self._profiles: Sequence[Mapping[str, Any]] = metadata.get("instruments", ())

    def add(self, fields: _Open, path: str, place: Path | None = None) -> list[dict[str, Any]]:
        """Add what is said of the instrument to the fields of a dataset, whose primary is `path` in the package.

        Returns issues: what the files contradict, and local times that a change of clocks leaves open.
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
        own = [(key, one) for key, said in dataset.fields.items() for one in said if one.by.get("plugin") == _PLUGIN]
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
            file = place if Path(wanted).is_absolute() else Path(path)
            fits = file is not None and file.is_relative_to(wanted)
        else:
            stated = (str(one["value"]).strip().casefold() for one in fields.get(f"instrument.{key}", ()))
            fits = any(fnmatchcase(text, wanted.casefold()) for text in stated)
        if not fits:
            return False
    return True


def _add(fields: _Open, key: str, value: Any, locator: str) -> None:
    """One value as a person's, preferred where nothing else is stated."""
    known = fields.setdefault(key, [])
    if any(one["value"] == value and "applies_to" not in one for one in known):
        return
    source = {"person": "instrument profile", "locator": locator}
    by = {"plugin": _PLUGIN, "version": "1", "rule": "instrument-profile"}
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


def _offsets(fields: _Open, name: str) -> Iterator[dict[str, Any]]:
    """Beside each local time whose offset nobody states: the same with the offset of the site; yields issues."""
    zone = ZoneInfo(name)
    by = {"plugin": _PLUGIN, "version": "1", "rule": _ZONE + name}
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
            subject = one.get("applies_to", ())
            moment = _moment(one["value"]) if _WITHOUT_OFFSET.match(one["value"]) else None
            if moment is None or any(meet(subject, other.get("applies_to", ())) for other in sure):
                continue
            offsets = {moment.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1)}
            if len(offsets) != 1 or next(iter(offsets)) % _STEP:  # type: ignore[operator]
                message = f"{key}: {one['value']} is when the clocks of {name} were changed; its offset stays unknown"
                yield issue("site-time-unclear", message, severity="info")
                continue
            offset = moment.replace(tzinfo=zone).isoformat()[-6:]
            said = {"applies_to": subject} if subject else {}
            said |= {"status": "assumed", "source": dict(one["source"]), "by": dict(by)}
            known.append({"value": one["value"] + offset, **said, "offset_status": "assumed"})
            others = fields.setdefault("time.utc_offset", [])
            if not any(meet(subject, other.get("applies_to", ())) for other in others):
                others.append({"value": offset, **said})


def _moment(text: str) -> dt.datetime | None:
    moment = iso(text)  # none of a leap second
    return (
        moment if moment and dt.MINYEAR < moment.year < dt.MAXYEAR else None
    )  # elsewhere it may be out of the calendar


# -- what is doubted -----------------------------------------------------------------------------------------------

#: A magnified pixel on the detector or the screen: from a fine camera pixel to a screen in a lecture room.
_DETECTOR_PIXEL = (1e-7, 0.2)
#: A local time without offset, and a disk whose times are of another zone, may lie this far apart.
_SLACK = dt.timedelta(hours=26)
#: A clock that was reset is more than a year off; only siblings that agree among themselves can tell.
_SEASON = dt.timedelta(days=366)
_SESSION = dt.timedelta(days=31)
_SIBLINGS = 3


def doubts(fields: Fields, mtimes_ns: Sequence[int], now: dt.datetime) -> Iterator[dict[str, Any]]:
    """Issues of one dataset whose files were last written at these nanoseconds since 1970."""
    transmission = _is_transmission(fields)
    for key, known in all_fields().items():
        for bounds in (known.plausible, known.plausible_tem if transmission else None):
            if bounds is not None:
                yield from _outside(fields, bounds, key)
    yield from _pairs(fields)
    yield from _clock(fields, mtimes_ns, now)


def _outside(fields: Fields, bounds: Bounds, key: str) -> Iterator[dict[str, Any]]:
    """Zero is let pass where the field does."""
    for assertion in fields.get(key, ()):
        value = abs(assertion["value"])
        if value and not bounds.least <= value <= bounds.most:
            said = f"{key} is {assertion['value']:g} {assertion.get('unit', '')}".rstrip()
            yield issue("implausible", f"{said}; {bounds.why}", severity="warning")
            return


def _is_transmission(fields: Fields) -> bool:
    """Whether the dataset says so itself; the energy alone does not."""
    kinds = {assertion["value"] for assertion in fields.get("instrument.kind", ())}
    modes = {transmission_mode(str(assertion["value"])) for assertion in fields.get("beam.mode", ())}
    return "tem" in kinds or (not kinds and any(modes))


def _single(fields: Fields, key: str) -> float | None:
    """The value of a field that has one."""
    stated = fields.get(key, ())
    return stated[0]["value"] if len(stated) == 1 else None


def _pairs(fields: Fields) -> Iterator[dict[str, Any]]:
    """Values that cannot be right together.

    Pixel size times magnification is a pixel of the detector or the screen; a detector cannot live longer than its
    clock ran, nor an acquisition end before it began.
    """
    pixel, magnification = _single(fields, "image.pixel_size_x"), _single(fields, "optics.magnification")
    if pixel is not None and magnification is not None:
        product = pixel * magnification
        if not _DETECTOR_PIXEL[0] <= product <= _DETECTOR_PIXEL[1]:
            message = f"a pixel of {pixel:g} m at a magnification of {magnification:g} would be {product:g} m wide"
            yield issue("implausible", f"{message} on the detector; one of the two is wrong", severity="warning")
    live, real = _single(fields, "eds.live_time"), _single(fields, "eds.real_time")
    if live is not None and real is not None and live > real * 1.001:
        yield issue("implausible", f"eds.live_time is {live:g} s and eds.real_time only {real:g} s", severity="warning")
    start, end = (_moments(fields, key) for key in ("time.acquired_start", "time.acquired_end"))
    if start and end and max(end) + _SLACK < min(start):
        yield issue("clock-disagrees", "the acquisition would have ended before it began", severity="warning")


def _moments(fields: Fields, key: str) -> list[dt.datetime]:
    """Times of a field; one without offset is taken as UTC, for comparisons that allow a day."""
    moments = []
    for assertion in fields.get(key, ()):
        text = str(assertion["value"]).replace(":60", ":59")
        moment = dt.datetime.fromisoformat(text)
        moments.append(moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC))
    return moments


def _clock(fields: Fields, mtimes_ns: Sequence[int], now: dt.datetime) -> Iterator[dict[str, Any]]:
    """A file cannot have been finished before its acquisition began, nor an acquisition begin tomorrow."""
    for moment in _moments(fields, "time.acquired_start"):
        if moment > now + _SLACK:
            message = f"the acquisition would be of {moment.date()}, in the future"
            yield issue("clock-disagrees", message, severity="warning")
            return
        written = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=max(mtimes_ns, default=0) / 1e9)
        if mtimes_ns and moment > written + _SLACK:
            said = f"acquired {moment.date()} by its own clock"
            message = f"{said}, but last written {written.date()} by the file system's"
            yield issue("clock-disagrees", message, severity="warning")
            return


class Siblings:
    """Times of the datasets of each folder and microscope, to see one whose clock is years off."""

    def __init__(self) -> None:
        self._times: dict[tuple[str, ...], list[dt.datetime]] = {}

    def doubts(self, folder: str, fields: Fields) -> Iterator[dict[str, Any]]:
        """Issues of a dataset beside those of its folder that came before it."""
        moments = _moments(fields, "time.acquired_start")
        if not moments:
            return
        models = [str(assertion["value"]) for assertion in fields.get("instrument.model", ())]
        known = self._times.setdefault((folder, *models), [])
        known.append(moments[0])
        del known[: -_SIBLINGS - 1]
        *before, last = known
        if len(before) < _SIBLINGS or max(before) - min(before) > _SESSION:
            return
        if min(abs(last - other) for other in before) > _SEASON:
            span = " to ".join(dict.fromkeys((f"{min(before).date()}", f"{max(before).date()}")))
            message = f"acquired {last.date()} by its own clock; the datasets before it in this folder are of {span}"
            yield issue("clock-disagrees", message, severity="info")
