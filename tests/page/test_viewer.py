"""Looking into a dataset: contrast, zoom, places of a scan, the cursor of a spectrum, the maker's own metadata.

Each is tried as a browser does it, and by the addresses that do the same where there is no script.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import numpy as np
import pytest
from PIL import Image

import diadem
from tests.page.conftest import Served, ask, watched
from tests.page.window import Seen, for_everybody

pytest.importorskip("starlette", reason="the extra 'page' is not installed")

#: Names in the session that `write_session` makes.
IMAGE, SCAN, MAP, SPECTRUM, STACK, LINES = (
    "haadf_overview.tif",
    "grain_boundary.blo",
    "eds_map.hspy",
    "eds_point.msa",
    "haadf_series.mrc",
    "low_loss.zspy",
)


@pytest.fixture(scope="session")
def places(archive: Path) -> dict[str, str]:
    """Addresses of the datasets by name: ``/HEX/d1``."""
    with diadem.open_node(archive) as node:
        package = node.search("title:ZnO")[0].package
        found = {}
        for dataset in package:
            for name in (IMAGE, SCAN, MAP, SPECTRUM, STACK, LINES):
                if name in dataset.path:
                    found[name] = f"/{package.id[7:]}/{dataset.id}"
        return found


@pytest.fixture
def seen(chromium: Any, entered: tuple[Served, str]) -> Iterator[Seen]:
    """A window that may copy; in the end nothing was asked of another machine, and nothing was wrong."""
    yield from watched(chromium, *entered, permissions=["clipboard-read", "clipboard-write"])


def said(url: str) -> dict[str, str]:
    """The query of an address."""
    return {key: values[0] for key, values in parse_qs(urlsplit(url).query).items()}


def drawn(entered: tuple[Served, str], place: str, **query: object) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The pixels of a picture of the page."""
    served, cookie = entered
    status, headers, content = ask(served, f"/drawing{place}?{urlencode(query)}", Cookie=cookie)
    assert (status, headers["content-type"]) == (200, "image/png"), content[:300]
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("L"))


def told(entered: tuple[Served, str], place: str, **query: object) -> Any:
    """The numbers behind a picture."""
    status, _, content = ask(entered[0], f"/numbers{place}?{urlencode(query)}", Cookie=entered[1])
    assert status == 200, content
    return json.loads(content)


def page(entered: tuple[Served, str], place: str, **query: object) -> str:
    """A dataset's page as a browser without scripts gets it."""
    status, _, content = ask(entered[0], f"/session{place}?{urlencode(query)}", Cookie=entered[1])
    assert status == 200, content
    return content.decode()


# -- by addresses, as without a script ---------------------------------------------------------------------------------


def test_contrast_is_drawn_as_it_is_asked_for(
    entered: tuple[Served, str], places: dict[str, str], archive: Path
) -> None:
    place = places[IMAGE]
    usual = drawn(entered, place)
    with diadem.open_node(archive) as node:
        values = np.asarray(node.search("title:ZnO")[0].package[IMAGE].load().data, float)
    half = float(np.median(values))
    above = drawn(entered, place, low=half, high=half + 1e-9)[:380]
    assert set(np.unique(above)) <= {0, 255}, "all that is above is white, and the rest black"
    assert np.mean(above == 255) == pytest.approx(np.mean(values[:380] > half), abs=0.02)
    assert np.array_equal(drawn(entered, place, black=1, white=99), usual)
    assert drawn(entered, place, black=1, white=80).mean() > usual.mean()
    assert drawn(entered, place, gamma=3).mean() > usual.mean() > drawn(entered, place, gamma=0.3).mean()
    for nonsense in (
        {"gamma": "nan"},
        {"black": "x"},
        {"low": "1e999", "high": "2"},
        {"crop": "1,2"},
        {"crop": "9,9,9999,9"},
    ):
        assert np.array_equal(drawn(entered, place, **nonsense), usual), nonsense
    for unkind in ({"gamma": "0"}, {"gamma": "-1"}, {"black": "-5"}, {"white": "1e300"}):
        status, headers, content = ask(entered[0], f"/drawing{place}?{urlencode(unkind)}", Cookie=entered[1])
        assert (status, headers["content-type"]) == (400, "image/svg+xml"), content
    text = page(entered, place, black=5, white=95)
    assert f"/drawing{place}?signal=s1&amp;black=5&amp;white=95" in text
    assert re.search(r'<input type="range" name="black"[^>]*value="5"', text)


def test_a_part_of_an_image_is_shown_as_fine_as_it_is(
    entered: tuple[Served, str], places: dict[str, str], archive: Path
) -> None:
    with diadem.open_node(archive) as node:
        values = np.asarray(node.search("title:ZnO")[0].package[IMAGE].load().data, float)
    part = drawn(entered, places[IMAGE], crop="100,200,64,64", low=float(values.min()), high=float(values.max()))
    assert part.shape == (768, 768), "twelve pixels for each"
    data = np.kron(values[100:164, 200:264], np.ones((12, 12)))
    assert np.corrcoef(part[:600].ravel(), data[:600].ravel())[0, 1] > 0.999
    text = page(entered, places[IMAGE], crop="100,200,64,64")
    assert "rows 100 to 163, columns 200 to 263" in text
    ways = dict(re.findall(r'href="[^"]*?(?:crop=([\d%C]+))?"\s+data-way="([^"]+)"', text))
    assert {way: crop.replace("%2C", ",") for crop, way in ways.items()} == {
        "Zoom in": "116,216,32,32",
        "Zoom out": "68,168,128,128",
        "Left": "100,168,64,64",
        "Right": "100,232,64,64",
        "Up": "68,200,64,64",
        "Down": "132,200,64,64",
        "Whole image": "",
    }


def test_a_click_on_a_map_gives_the_place(entered: tuple[Served, str], places: dict[str, str]) -> None:
    side = drawn(entered, places[SCAN], of="map", size=320).shape
    click = {"place.x": round(side[1] * 0.75), "place.y": round(side[0] * 0.25)}
    text = page(entered, places[SCAN], signal="s1", **click)
    assert "at 2, 7" in text
    assert re.search(r'name="row"[^>]*value="2"', text)
    assert "mean of many places" in page(entered, places[SCAN])
    assert not np.array_equal(
        drawn(entered, places[SCAN], row=2, column=7), drawn(entered, places[SCAN], row=7, column=2)
    )
    assert "mean of many places" in page(entered, places[SCAN], row=10, column=0), "there is no such place"


def test_numbers_of_a_curve_are_those_of_the_file(
    entered: tuple[Served, str], places: dict[str, str], archive: Path
) -> None:
    with diadem.open_node(archive) as node:
        package = node.search("title:ZnO")[0].package
        point, cube = package[SPECTRUM].load(), package[MAP].load()
        counts, energies = np.asarray(point.data), point.axes_manager.signal_axes[0].axis
        place, whole = np.asarray(cube.data[5, 7], float), np.asarray(cube.data, float)
    found = told(entered, places[SPECTRUM])
    (axis,) = found["axes"]
    assert found["values"] == pytest.approx(counts, rel=1e-5)
    shown = [axis["offset"] + axis["scale"] * at for at in range(axis["size"])]
    assert axis["unit"] == "keV"
    assert shown == pytest.approx(energies, rel=1e-6)
    assert told(entered, places[MAP], row=5, column=7)["values"] == pytest.approx(place)
    assert told(entered, places[MAP])["values"] == pytest.approx(whole.mean(axis=(0, 1)), rel=1e-4, abs=1e-4)
    image = told(entered, places[IMAGE])
    assert len(image["percentiles"]) == 101
    assert sum(image["histogram"]["counts"]) > 0.9 * 512 * 512
    assert told(entered, places[STACK], row=0)["percentiles"] != told(entered, places[STACK], row=5)["percentiles"]


def test_python_draws_the_same(entered: tuple[Served, str], places: dict[str, str], archive: Path) -> None:
    with diadem.open_node(archive) as node:
        dataset = node.search("title:ZnO")[0].package[SCAN]
        picture = dataset.picture("s1", 768, at=(2, 7), crop=(40, 40, 64, 64), percentiles=(2, 98), gamma=1)
        with pytest.raises(diadem.errors.UsageError, match="no part"):
            dataset.picture("s1", at=(2, 7), crop=(100, 100, 64, 64))
        with pytest.raises(diadem.errors.UsageError, match="gamma"):
            dataset.picture("s1", gamma=0)
        assert "mean of 100 of 100" in dataset.picture("s1", at="mean").about
    with Image.open(io.BytesIO(picture.png)) as image:
        ours = np.asarray(image.convert("L"))
    asked = {"row": 2, "column": 7, "crop": "40,40,64,64", "black": 2, "white": 98, "gamma": 1}
    assert np.array_equal(ours, drawn(entered, places[SCAN], **asked))


def test_the_makers_metadata_by_links(entered: tuple[Served, str], places: dict[str, str]) -> None:
    served, cookie = entered
    assert 'name="find"' in page(entered, places[SPECTRUM])
    status, _, content = ask(served, f"/vendor{places[SPECTRUM]}", Cookie=cookie)
    assert status == 200
    (first, *_) = re.findall(rf'href="(/vendor{places[SPECTRUM]}\?at=[^"]+)"', content.decode())
    status, _, content = ask(served, first.replace("&amp;", "&"), Cookie=cookie)
    assert (status, b"BEAMKV" in content or b"beamkv" in content.lower()) == (200, True)
    status, _, content = ask(served, f"/vendor{places[SPECTRUM]}?find=beamkv&part=1", Cookie=cookie)
    assert b"<html" not in content
    assert re.search(rb"200|300", content)
    status, _, content = ask(served, f"/vendor{places[SPECTRUM]}?find=no-such-word", Cookie=cookie)
    assert b"Nothing holds" in content
    for wrong in ("9", "0.x", "0.0.0.0.0", "-1"):
        assert ask(served, f"/vendor{places[SPECTRUM]}?at={wrong}", Cookie=cookie)[0] == 404, wrong


# -- in a browser ------------------------------------------------------------------------------------------------------


def settled(window: Any) -> dict[str, str]:
    """The query of the picture that is shown, when it has come."""
    window.wait_for_selector(".view:not([aria-busy])")
    return said(window.locator("img.drawing").get_attribute("src"))


def test_zoom_by_wheel_keys_buttons_and_drag(seen: Seen, places: dict[str, str]) -> None:
    window = seen.window
    seen.go(f"/session{places[IMAGE]}")
    window.focus(".view")
    window.keyboard.press("+")
    assert settled(window)["crop"] == "128,128,256,256"
    assert said(window.url)["crop"] == "128,128,256,256", "the address can be sent to somebody"
    window.keyboard.press("ArrowRight")
    assert settled(window)["crop"] == "128,256,256,256"
    assert f"/session{places[IMAGE]}" in window.url, "the arrow does not lead to the next dataset"
    window.click("[data-way='Whole image']")
    assert "crop" not in settled(window)
    box = window.locator("img.drawing").bounding_box()
    window.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.5)
    window.mouse.wheel(0, -100)
    window.wait_for_url("**crop=**")
    top, left, rows, columns = map(int, settled(window)["crop"].split(","))
    assert (top, left) == (51, 51)
    assert (rows, columns) == (410, 410)
    window.mouse.down()
    window.mouse.move(box["x"] + box["width"] * 0.55, box["y"] + box["height"] * 0.5, steps=4)
    window.mouse.up()
    moved = settled(window)["crop"].split(",")
    assert int(moved[1]) < left, "what is under the mouse follows it"
    assert window.locator("img.drawing").evaluate("one => one.style.transform") == ""


def test_contrast_is_live(seen: Seen, places: dict[str, str]) -> None:
    window = seen.window
    seen.go(f"/session{places[IMAGE]}")
    window.click(".contrast summary")
    window.wait_for_selector(".histogram svg")
    window.locator("input[name=white]").evaluate(
        "one => {one.value = 60; one.dispatchEvent(new Event('input', {bubbles: true}))}"
    )
    assert settled(window)["white"] == "60"
    assert window.locator("input[name=white] + output").inner_text() == "60 %"
    window.fill("input[name=low]", "0")
    window.fill("input[name=high]", "100")
    found = settled(window)
    assert (found["low"], found["high"]) == ("0", "100")
    seen.go(f"/session{places[MAP]}")
    window.click(".contrast summary")
    window.locator("input[name=gamma]").evaluate(
        "one => {one.value = 3; one.dispatchEvent(new Event('input', {bubbles: true}))}"
    )
    window.wait_for_load_state("networkidle")
    assert said(window.locator(".map-picture").get_attribute("src"))["gamma"] == "3", "of a map of spectra, the map's"


def test_the_pattern_under_the_mouse(seen: Seen, places: dict[str, str]) -> None:
    window = seen.window
    seen.go(f"/session{places[SCAN]}")
    box = window.locator(".map-picture").bounding_box()
    window.mouse.move(box["x"] + box["width"] * 0.72, box["y"] + box["height"] * 0.22)
    window.locator("img.drawing[src*='row=2&column=7']").wait_for()
    found = settled(window)
    assert (found["row"], found["column"]) == ("2", "7")
    assert "row" not in said(window.url), "only looked at"
    window.mouse.click(box["x"] + box["width"] * 0.42, box["y"] + box["height"] * 0.52)
    found = settled(window)
    assert (found["row"], found["column"], said(window.url)["row"]) == ("5", "4", "5")
    window.focus(".map-picture")
    window.keyboard.press("ArrowDown")
    assert settled(window)["row"] == "6"
    window.fill("input[name=column]", "9")
    assert settled(window)["column"] == "9"
    assert "at 6, 9" in window.locator("figcaption").inner_text()


def test_the_cursor_tells_energy_and_counts(seen: Seen, places: dict[str, str], archive: Path) -> None:
    window = seen.window
    seen.go(f"/session{places[SPECTRUM]}")
    with diadem.open_node(archive) as node:
        point = node.search("title:ZnO")[0].package[SPECTRUM].load()
        counts, axis = np.asarray(point.data), point.axes_manager.signal_axes[0]
    slider = window.locator(".cursor-slider")
    window.locator(f".cursor-slider[max='{len(counts) - 1}']").wait_for()
    slider.focus()
    slider.evaluate("one => {one.value = 99; one.dispatchEvent(new Event('input', {bubbles: true}))}")
    window.locator(".cursor-tool output:has-text('keV')").wait_for()
    text = window.locator(".cursor-tool output").inner_text()
    energy, found = re.search(r"([\d.]+) keV: ([\d.]+)", text).groups()  # type: ignore[union-attr]
    assert float(energy) == pytest.approx(axis.index2value(99), rel=1e-5)
    assert float(found) == pytest.approx(counts[99], rel=1e-5)
    box = window.locator("img.drawing").bounding_box()
    before = window.locator(".cursor").evaluate("one => one.style.left")
    window.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + box["height"] * 0.5)
    window.locator(f".cursor:not([style*='{before}'])").wait_for()
    seen.go(f"/session{places[MAP]}?row=1&column=1")
    window.locator(".cursor-slider:not([max='1'])").wait_for()


def test_the_makers_metadata_unfolds_and_is_searched_in_place(seen: Seen, places: dict[str, str]) -> None:
    window = seen.window
    seen.go(f"/session{places[SPECTRUM]}")
    window.click(".vendor a")
    branch = window.locator(".vendor [data-branch]").first
    branch.wait_for()
    branch.click()
    window.wait_for_selector(".vendor li ul li")
    assert branch.get_attribute("aria-expanded") == "true"
    branch.click()
    assert not window.locator(".vendor li ul").first.is_visible()
    window.fill("[name=find]", "beamkv")
    window.locator(".vendor li:has-text('beamkv')").first.wait_for()
    assert f"/session{places[SPECTRUM]}" in window.url


def test_python_is_copied(seen: Seen, places: dict[str, str]) -> None:
    window = seen.window
    seen.go(f"/session{places[SPECTRUM]}")
    window.click("button.copy")
    window.wait_for_selector("button.copy:has-text('Copied')")
    text = window.evaluate("navigator.clipboard.readText()")
    assert text.startswith("import diadem\nnode = diadem.open_node(")
    assert text.rstrip().endswith("['eds_point.msa'].load()")


def test_all_of_it_can_be_read_by_everybody(seen: Seen, places: dict[str, str]) -> None:
    for name in (IMAGE, SCAN, MAP, SPECTRUM, STACK, LINES):
        seen.go(f"/session{places[name]}?black=2")
        for_everybody(seen.window, name)
