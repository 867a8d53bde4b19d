"""A dataset: its signals as pictures that can be looked into, and every value with what says so."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from diadem.archive.overview import dataset_table
from diadem.archive.picture import RANKS, sizes_of
from diadem.archive.plot import Contrast, frame_of
from diadem.errors import DiademError, IntegrityError, NotFound
from diadem.model.record import Dataset, Datasets
from diadem.model.signals import Signal
from diadem.page.html import environment, status_of, whole
from diadem.page.state import PageState

#: Pixels of a picture that fills a page, of the map beside it, and of a signal to be chosen.
LARGE, MAP, SMALL = 768, 320, 160
#: Rows and columns of the smallest part of an image that is shown.
_SMALLEST: Final = 16
#: Signals of a dataset that are shown to choose from, and files that are listed.
_MOST_SIGNALS: Final = 200


@dataclass(frozen=True, slots=True)
class Look:
    """How a signal is looked at, as an address says it.

    Attributes
    ----------
    signal : Signal
        Which one.
    kind : str
        ``image``, ``stack`` of images, ``lines`` (spectra along a line), ``scan`` (a map with something behind each of
        its places), ``spectrum``, ``other``.
    places, sizes : tuple of int
        Of the scan or stack, and of what lies behind each of its places.
    at : tuple of int or "mean" or None
        The place, or the frame.
    crop : tuple of int or None
        First row, first column, rows, columns.
    said : mapping of str to str
        The contrast: ``black``, ``white`` in percent, ``low``, ``high`` as values, ``gamma``.
    """

    signal: Signal
    kind: str
    places: tuple[int, ...]
    sizes: tuple[int, ...]
    at: Any
    crop: tuple[int, int, int, int] | None
    said: Mapping[str, str]

    @classmethod
    def of(cls, signal: Signal, asked: QueryParams) -> Look:
        """What an address asks for; what there is not is left out."""
        outer, inner = sizes_of(signal)
        kinds = {(0, 1): "spectrum", (0, 2): "image", (1, 2): "stack", (1, 1): "lines", (2, 1): "scan", (2, 2): "scan"}
        kind = kinds.get((len(outer), len(inner)), "other")
        at: Any = _numbers(asked, ("row", "column")[: len(outer)]) if kind in ("stack", "lines", "scan") else None
        if at is None or not all(one < n for one, n in zip(at, outer, strict=True)):
            at = "mean" if kind == "scan" else (outer[0] // 2,) if kind == "stack" else None
        crop = _crop(asked.get("crop", ""), inner) if len(inner) == 2 and kind != "other" else None
        said = {key: text for key in ("black", "white", "low", "high", "gamma") if _finite(text := asked.get(key, ""))}
        return cls(signal, kind, outer, inner, at, crop, said)

    @property
    def is_pattern(self) -> bool:
        """Whether images lie behind the places of a scan."""
        return self.kind == "scan" and len(self.sizes) == 2

    @property
    def is_curve(self) -> bool:
        """Whether what is shown is a curve."""
        return self.kind == "spectrum" or (len(self.sizes) == 1 and self.at is not None)

    def query(self, **changed: Any) -> dict[str, Any]:
        """The same look as an address says it, with some of it changed; None leaves a thing out."""
        place = {} if self.at in (None, "mean") else dict(zip(("row", "column"), self.at, strict=False))
        crop = {"crop": ",".join(map(str, self.crop))} if self.crop else {}
        whole = {"signal": self.signal.id, **place, **crop, **self.said, **changed}
        return {key: value for key, value in whole.items() if value is not None}

    def shown(self, size: int, *, of_map: bool = False) -> dict[str, Any]:
        """What `Scene.part` is asked for."""
        if of_map:
            return {"signal": self.signal.id, "size": size, "at": None, "crop": None}
        return {"signal": self.signal.id, "size": size, "at": self.at, "crop": self.crop}

    @property
    def contrast(self) -> Contrast:
        """Which values are black and white."""
        said = {key: float(text) for key, text in self.said.items()}
        levels = (said["low"], said["high"]) if {"low", "high"} <= said.keys() else None
        percentiles = None
        if {"black", "white"} & said.keys():
            ends = (said.get("black", 1.0), said.get("white", 99.9 if self.is_pattern else 99.0))
            percentiles = (min(ends), max(ends))
        return Contrast(percentiles, levels, said.get("gamma"))

    def zooms(self) -> list[dict[str, Any]]:
        """Where one can go from the part that is shown: in, out, to the sides."""
        if len(self.sizes) != 2 or self.kind == "other":
            return []
        top, left, rows, columns = self.crop or (0, 0, *self.sizes)
        centre = (top + rows / 2, left + columns / 2)
        ways = []
        for name, sign, (down, across), factor in _WAYS:
            size = [min(n, max(_SMALLEST, round(m * factor))) for n, m in zip(self.sizes, (rows, columns), strict=True)]
            middle = (centre[0] + down * rows / 2, centre[1] + across * columns / 2)
            start = [min(max(0, round(c - m / 2)), n - m) for c, m, n in zip(middle, size, self.sizes, strict=True)]
            now = (*start, *size)
            crop = ",".join(map(str, now)) if tuple(size) != self.sizes else None
            ways.append({"name": name, "sign": sign, "crop": crop, "here": now == (top, left, rows, columns)})
        return ways


#: Ways to go in an image: name, sign, by how many halves down and across, how much larger the part is then.
_WAYS: Final = (
    ("Zoom in", "+", (0, 0), 0.5),
    ("Zoom out", "−", (0, 0), 2.0),
    ("Left", "←", (0, -1), 1.0),
    ("Right", "→", (0, 1), 1.0),
    ("Up", "↑", (-1, 0), 1.0),
    ("Down", "↓", (1, 0), 1.0),
    ("Whole image", "□", (0, 0), 1e9),
)


def _numbers(asked: QueryParams, keys: Sequence[str]) -> tuple[int, ...] | None:
    """Whole numbers of an address; None where one is missing or none."""
    texts = [asked.get(key, "") for key in keys]
    return (
        tuple(map(int, texts)) if all(text.isascii() and text.isdigit() and len(text) < 10 for text in texts) else None
    )


def _crop(text: str, sizes: Sequence[int]) -> tuple[int, int, int, int] | None:
    parts = text.split(",")
    if len(parts) != 4 or not all(one.isascii() and one.isdigit() and len(one) < 10 for one in parts):
        return None
    top, left, rows, columns = map(int, parts)
    inside = 0 < rows <= sizes[0] - top and 0 < columns <= sizes[1] - left
    return (top, left, rows, columns) if inside else None


def _finite(text: str) -> bool:
    try:
        return bool(text) and math.isfinite(float(text))
    except ValueError:
        return False


def _look(dataset: Dataset, asked: QueryParams) -> Look | None:
    """How an address looks at a dataset; without a wish at the signal that has most to show; None where it has none."""
    signals = dataset.signals
    chosen = next((one for one in signals if one.id == asked.get("signal")), None)
    if chosen is None and signals:
        chosen = min(signals, key=lambda one: RANKS.get(one.kind, len(RANKS)))
    return Look.of(chosen, asked) if chosen is not None else None


def dataset(state: PageState, request: Request) -> Response:
    """A dataset: its signals as pictures, and every value with unit, raw text, rule and place in the file."""
    state.drawings.expect()
    found = state.node.get(request.path_params["package"])
    known = found.record.datasets
    one = known[request.path_params["dataset"]]
    place = _place(known, one.id)
    before = found.sealed_record.datasets
    sealed = before[place] if place < len(before) and before[place].id == one.id else None
    short, look = found.id.removeprefix("diadem:"), _look(one, request.query_params)
    if look is not None and look.kind == "scan" and (clicked := _numbers(request.query_params, ("place.y", "place.x"))):
        look = _clicked(state, short, one.id, look, clicked, request.query_params)
    return state.page(
        "dataset.html",
        about=dataset_table(one, sealed),
        title=state.title(short),
        short=short,
        look=look,
        sizes={"large": LARGE, "map": MAP, "small": SMALL},
        curve=frame_of(LARGE) if look is not None and look.is_curve else None,
        most_signals=_MOST_SIGNALS,
        most_files=_MOST_SIGNALS,
        before=known[place - 1].id if place else "",
        after=known[place + 1].id if place + 1 < len(known) else "",
        position=(place + 1, len(known)),
        issues=one.issues,
    )


def _place(known: Datasets, id_: str) -> int:
    """Where a dataset stands: ids are numbers, but for records that others have made."""
    number = whole(id_.removeprefix("d")) - 1
    if 0 <= number < len(known) and known[number].id == id_:
        return number
    return next(number for number, other in enumerate(known.loose) if other.id == id_)


def _clicked(
    state: PageState, package: str, dataset_id: str, look: Look, clicked: Sequence[int], asked: QueryParams
) -> Look:
    """The look at the place of a map that was clicked, which is told in pixels of its picture."""
    try:
        drawn = state.drawings.picture(package, dataset_id, look.shown(MAP, of_map=True), Contrast())
    except DiademError:  # the picture itself says why
        return look
    rows, columns = (
        min(n - 1, at * n // pixels)
        for n, at, pixels in zip(look.places, clicked, (drawn.height, drawn.width), strict=True)
    )
    return Look.of(look.signal, QueryParams({**asked, "row": str(rows), "column": str(columns)}))


def drawing(state: PageState, request: Request) -> Response:
    """A picture of a signal, drawn now from bytes that are proven; what is damaged says so."""
    package, id_, asked = request.path_params["package"], request.path_params["dataset"], request.query_params
    try:
        look = _asked(state, package, id_, asked)
        size = min(LARGE * 2, max(64, (_numbers(asked, ("size",)) or (LARGE,))[0]))
        of_map = asked.get("of") == "map"
        contrast = look.contrast if not of_map or not look.is_pattern else Contrast()
        picture = state.drawings.picture(package, id_, look.shown(size, of_map=of_map), contrast)
    except DiademError as error:
        return unseen(error)
    return Response(picture.png, media_type="image/png", headers={"cache-control": "private, max-age=3600"})


def numbers(state: PageState, request: Request) -> Response:
    """What a picture is drawn from, as JSON: the points of a curve, or how the values of an image are spread."""
    package, id_, asked = request.path_params["package"], request.path_params["dataset"], request.query_params
    try:
        look = _asked(state, package, id_, asked)
        part = state.drawings.part(package, id_, look.shown(LARGE, of_map=asked.get("of") == "map"))
    except DiademError as error:
        return JSONResponse({"error": error.message, "next": error.next or ""}, status_of(error))
    return JSONResponse(part.to_dict(), headers={"cache-control": "private, max-age=3600"})


def _asked(state: PageState, package: str, id_: str, asked: QueryParams) -> Look:
    look = _look(state.dataset(package, id_), asked)
    if look is None:
        raise NotFound("there is nothing in it that can be drawn")
    return look


def unseen(error: DiademError) -> Response:
    """In the place of a picture that cannot be shown, one that says why."""
    words = f"{error.message}. {error.next or ''}".split()
    lines = [""]
    for word in words:
        if len(lines[-1]) + len(word) > 44:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()[:60]
    head = "Damaged" if isinstance(error, IntegrityError) else "Cannot be shown"
    drawn = environment().get_template("unseen.svg").render(head=head, lines=lines[:10])
    return Response(
        drawn.encode("utf-8", "backslashreplace"),
        status_of(error),
        media_type="image/svg+xml",
        headers={"cache-control": "no-store"},
    )
