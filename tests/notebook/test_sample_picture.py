"""The picture of a sample: sound HTML whatever its texts hold, and not larger than a page."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from diadem.notebook.sample_picture import sample_html
from tests.node.verbs.conftest import Lab, lab

__all__ = ["lab"]

_SVG = "{http://www.w3.org/2000/svg}"
ID = "sample:{:08x}-0000-4000-8000-000000000000".format


def document(text: str, *, parts: int = 2, sessions: int = 2) -> dict[str, Any]:
    """A story with the same text everywhere, as `SampleStory.to_dict` gives it."""

    def relative(number: int, parent: int | None) -> dict[str, Any]:
        parents = [{"sample": ID(parent), "how": text}] if parent is not None else []
        return {
            "id": ID(number), "identifier": text, "name": text, "names": [{"name": text, "lab": text}],
            "parents": parents, "same": [],
        }  # fmt: skip

    return {
        **relative(0, 1),
        "links": [
            {"sample": ID(2), "other": None, "reason": text, "by": text},
            {"sample": None, "other": {"name": text, "lab": text}, "reason": text, "by": text},
        ],
        "where": {"words": text, "since": text},
        "ancestors": [relative(1, None)],
        "same": [relative(2, None)],
        "parts": [relative(number, 0) for number in range(3, 3 + parts)],
        "findings": [{"severity": "warning", "message": text}],
        "datasets": [
            {
                "package": f"diadem:{number:064x}", "title": text, "date": text, "time": text, "path": text,
                "instrument": text, "site": text, "named": [text], "sample": ID(number % 5),
            }
            for number in range(sessions)
        ],
    }  # fmt: skip


def drawn(html: str) -> ET.Element:
    found = re.search(r"<svg.*</svg>", html, re.DOTALL)
    assert found is not None
    return ET.fromstring(found[0])


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.text(max_size=60) | st.sampled_from(["</text><script>alert(1)</script>", '" onload="x', "\u202eabc\0"]))
def test_whatever_the_texts_hold_it_is_sound(text: str) -> None:
    html = sample_html(document(text))
    root = drawn(html)
    assert {element.tag.removeprefix(_SVG) for element in root.iter()} <= {"svg", "path", "text", "g", "rect", "title"}
    for element in root.iter():
        assert not [name for name in element.attrib if name.lower().startswith("on") or "href" in name]
    assert re.fullmatch(r"(?s)<div class=\"diadem-sample\"><p>.*</p>.*</div>", html)
    assert "<script" not in html
    assert "\u202e" not in html


def test_many_relatives_and_sessions_are_counted() -> None:
    root = drawn(sample_html(document("S-12", parts=400, sessions=1000)))
    texts = ["".join(element.itertext()) for element in root.iter(f"{_SVG}text")]
    assert {"and 389 more", "and 989 more", "made from", "sample", "parts", "sessions"} <= set(texts)
    assert int(root.attrib["height"]) < 800
    assert len(list(root.iter(f"{_SVG}rect"))) == 1 + 1 + 3 + 12 + 12, "paper and boxes"


def test_every_relative_and_session_has_its_box(lab: Lab) -> None:
    samples = lab.node.samples
    samples.add("W-1")
    samples.split("W-1", "S-12")
    samples.split("S-12", "S-12-a")
    samples.link("S-12", "K-7", lab="NMI", reason="told by mail")
    lab.node.archive(lab.session("s"), now=True, metadata={"sample": {"identifier": "K-7"}})
    html = samples.get("S-12")._repr_html_()
    root = drawn(html)
    texts = ["".join(element.itertext()) for element in root.iter(f"{_SVG}text")]
    assert {"W-1", "S-12", "S-12-a", "K-7", "NMI", "3 datasets"} <= set(texts)
    lines = list(root.iter(f"{_SVG}path"))
    assert (len(lines), sum("stroke-dasharray" in line.attrib for line in lines)) == (4, 1)
    assert "location unknown" in html
