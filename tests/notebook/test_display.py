"""Values as notebooks, IPython and terminals show them: every public value, of a real node, and none too long."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from typing import Any

import hyperspy.api
import numpy as np
import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.formatters import DisplayFormatter
from IPython.core.interactiveshell import InteractiveShell

import diadem
from diadem.model.display import Display
from tests.node.verbs.conftest import Lab, lab
from tests.notebook.test_result_table import HOSTILE, require_harmless

__all__ = ["lab"]

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

#: Characters of one value on the screen, and of its HTML without pictures and the style sheet.
TEXT, HTML = 4_000, 40_000
#: What would change the node, or wait: verbs that are not asked without arguments.
#: And plain JSON, which is what it is.
DEEDS = {"to_dict", "document", "close", "confirm_recovery", "create", "recover", "reindex", "rescan", "site"}
INNER = re.compile(r"object at 0x|Context\(|<function |PosixPath\(.*PosixPath\(|Catalogue\(")


def shown(value: Any) -> dict[str, str]:
    """What a notebook gets of a value."""
    formatter: Any = DisplayFormatter(parent=InteractiveShell.instance())
    formats, _ = formatter.format(value)
    return {kind: text for kind, text in formats.items() if isinstance(text, str)}


def require_fit(what: str, value: Any) -> None:
    """Nothing of the inside, and no more than a screen or two."""
    seen = shown(value)
    plain = {"repr": repr(value), "str": str(value), "text": seen["text/plain"]}
    for how, text in plain.items():
        assert len(text) < TEXT, f"{what}: {how} has {len(text)} characters: {text[:300]}"
        assert not INNER.search(text), f"{what}: {how} shows the inside: {text[:300]}"
    html = seen.get("text/html", "")
    page = re.sub(r"(?s)<style>.*?</style>|data:image[^\"]*", "", html)
    assert len(page) < HTML, f"{what}: its HTML has {len(page)} characters"
    assert not INNER.search(page), f"{what}: its HTML shows the inside"


def results(node: diadem.Node, package: diadem.Package) -> Iterator[tuple[str, Any]]:
    """What every name of a node, a package and a dataset is or, asked with as little as it takes, answers."""
    of = {
        "node": node,
        "package": package,
        "dataset": package["HAADF 1.hspy"],
        "record": package.record,
        "row": node.search("")[0],
    }
    for holder, value in of.items():
        yield holder, value
        for name in dir(value):
            if name.startswith("_") or name in DEEDS:
                continue
            found = getattr(value, name)
            if not inspect.isroutine(found):
                yield f"{holder}.{name}", found
                continue
            needed = [
                one.name for one in inspect.signature(found).parameters.values()
                if one.default is one.empty and one.kind is not one.VAR_KEYWORD
            ]  # fmt: skip
            if needed in ([], ["package"], ["package_id"], ["path"]) and name not in ("load", "export_custody"):
                given = {"package": package.id, "package_id": package.id, "path": "HAADF 1.hspy"}
                yield f"{holder}.{name}(…)", found(*(given[one] for one in needed))


@pytest.fixture
def told(lab: Lab) -> tuple[diadem.Node, diadem.Package]:
    """A node of which a person has said much."""
    node, session = lab.node, lab.session("S-12")
    image = hyperspy.api.signals.Signal2D(np.arange(64.0 * 48).reshape(48, 64))
    image.metadata.set_item("Acquisition_instrument.TEM.beam_energy", 200.0)
    image.save(session / "HAADF 1.hspy")
    package = node.archive(session, now=True, metadata={"sample": {"name": "S-12"}}).package
    node.samples.add("S-12")
    node.queries.save("mine", "sample:S-12")
    node.assess(package.id, "limited", purpose="EELS", comment="drift")
    node.amend(package.id, {"sample.name": "S-13"})
    node.users.add("bob")
    node.rules.add("*@other", max_bytes=10**9)
    (lab.root / "microscope").mkdir()
    node.watched.add(lab.root / "microscope")
    return node, node.get(package.id)


def test_no_value_shows_the_inside_or_fills_the_screen(told: tuple[diadem.Node, diadem.Package]) -> None:
    seen = dict(results(*told))
    assert len(seen) > 60
    for what, value in seen.items():
        if not (isinstance(value, bytes) or inspect.isgenerator(value) or hasattr(value, "read")):
            require_fit(what, value)


def test_every_public_name_shows_itself() -> None:
    for name in dir(diadem):
        require_fit(name, getattr(diadem, name)) if not inspect.isroutine(getattr(diadem, name)) else None
        found = getattr(diadem, name)
        if inspect.isclass(found) and hasattr(found, "to_dict") and not issubclass(found, Exception):
            assert issubclass(found, Display), f"{name} has no card"


@pytest.mark.parametrize("verbs", ["stores", "users", "samples", "queries", "rules", "watched", "peers", "transfers"])
def test_verbs_show_the_list_that_they_stand_for(told: tuple[diadem.Node, diadem.Package], verbs: str) -> None:
    found = getattr(told[0], verbs)
    entries = found.ls()
    page = shown(found)["text/html"]
    assert page.count("<tr>") == (len(entries) + 1 if entries else 0)
    assert isinstance(entries, Display)
    assert isinstance(entries, Sequence)
    assert len(found) == len(entries)
    # Of a store both say how much is free, which changes from one look to the next.
    assert [repr(one) for one in found[:1]] == [repr(one) for one in entries[:1]]
    assert found


def test_a_card_has_pictures_values_and_what_was_said(told: tuple[diadem.Node, diadem.Package]) -> None:
    node, package = told
    for value in (package[0], package, node.search("S-12"), node, node.previews(package.id)):
        assert "data:image/png" in shown(value)["text/html"]
        require_harmless(shown(value)["text/html"])
    assert "200 kV" in str(package[0])
    assert "200 kV" in shown(package[0].fields)["text/html"]
    assert "S-12" in str(node.samples)
    assert "limited" in str(node.assessments(package.id))
    assert "intact" in str(package.verify())
    assert "\nWhat to do now\n" in str(node.status())


def test_each_number_has_its_unit(told: tuple[diadem.Node, diadem.Package]) -> None:
    """Elements of an axis are no bytes, and nobody counts a policy's seconds."""
    node, package = told
    signal = package[0].signals[0]
    for value in (signal, signal.axes[0]):
        assert "points" in str(value)
        assert "byte" not in str(value)
    policy = str(node.policy)
    assert re.search(r"scrub +interval 90 days", policy)
    assert "max size 500 GB" in policy
    assert node.policy.to_dict()["scrub"]["interval"] == 90 * 86400


def test_texts_of_others_are_text_on_every_card() -> None:
    from diadem.model.display import Document, Rows

    hostile = Document(
        {HOSTILE: HOSTILE, "rows": [{HOSTILE: HOSTILE, "b": [HOSTILE]}], "of": {"x": {HOSTILE: HOSTILE}}}
    )
    for value in (hostile, Rows([hostile, HOSTILE, dict(hostile)])):
        require_harmless(value._repr_html_())
        for text in (str(value), repr(value)):
            assert "\u202e" not in text
    assert "\x1b" not in str(Document({"a": "\x1b[31m"}))


def test_many_are_counted_and_empty_columns_are_not_there() -> None:
    from diadem.model.display import Rows

    rows = Rows({"name": f"n{number}", "empty": ""} for number in range(10_000))
    assert "9,988 more" in str(rows)
    assert "and 9,950 more" in rows._repr_html_()
    assert len(repr(rows)) < TEXT
    assert "empty" not in rows._repr_html_()
    assert rows == list(rows)


@pytest.mark.parametrize(
    ("name", "one"), [("axes", "1 axis"), ("series", "1 series"), ("copies", "1 copy"), ("files", "1 file")]
)
def test_one_is_counted_in_the_singular(name: str, one: str) -> None:
    class Holder(Display):
        def _display_document(self) -> dict[str, object]:
            return {name: [{"a": 1}]}

    assert one in repr(Holder())


@pytest.mark.parametrize("jedi", [True, False])
def test_completion_of_names_is_public(told: tuple[diadem.Node, diadem.Package], jedi: bool) -> None:
    """As Jupyter asks for it; without jedi IPython adds what the class has, whatever the object says."""
    shell: Any = InteractiveShell.instance()
    shell.push({"diadem": diadem, "node": told[0], "package": told[1]})
    shell.Completer.use_jedi = jedi

    def completed(text: str) -> set[str]:
        with provisionalcompleter():
            return {one.text.lstrip(".").strip("'\"]") for one in shell.Completer.completions(text, len(text))}

    assert completed("diadem.") == {name for name in dir(diadem) if not name.startswith("_")}
    inner = {"home", "bare", "readers", "extractor", "outcome"}
    inner |= {"context", "at", "remember", "remirror", "bundle", "open_stored", "replaced"} if jedi else set()
    for what, some in (("node.", {"search", "archive", "stores"}), ("package.", {"load", "record", "previews"})):
        names = completed(what)
        assert some <= names
        assert not names & inner
        assert not {name for name in names if name.startswith("_")}
    assert completed('package["') == {"HAADF 1.hspy", "scan 0.bin", "scan 1.bin", "scan 2.bin"}
