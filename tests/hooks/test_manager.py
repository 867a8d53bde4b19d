"""Plugins that fail in every way that they can: each is named, and hides nothing of the others."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from diadem.hooks.manager import MOST_OFFERS, Offers, bundled, collect
from diadem.hooks.offers import KINDS
from tests.hooks.distributions import HONEST, IMPORTS, install


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the search path, whose modules are forgotten afterwards, and no selection of plugins."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delenv("DIADEM_PLUGINS", raising=False)
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
            del sys.modules[name]


def honest(site: Path, number: int) -> None:
    """Install a plugin that offers one of everything."""
    install(site, f"honest_{number}", HONEST.format(n=number), version=f"{number}.2")


def failures(offers: Offers, plugin: str) -> list[str]:
    """What is said of one plugin."""
    return [failure.message for failure in offers.failures if failure.where == plugin]


def offered_by(offers: Offers, plugin: str) -> set[str]:
    """Kinds of which something of a plugin was taken."""
    return {kind for (kind, _), origin in offers.origins.items() if origin.name == plugin}


def test_bundled_plugins_come_by_the_same_door(site: Path) -> None:
    offers = collect()
    ours = {plugin.name: plugin for plugin in offers.plugins if plugin.bundled}
    assert list(ours.values()) == bundled()
    assert {plugin.distribution for plugin in ours.values()} == {"diadem-em"}
    assert offers.origins["formats", "digitalmicrograph"] is ours["diadem.plugins.gatan"]
    assert len(offers.readers) > 30


def test_a_foreign_plugin_is_known_by_its_distribution(site: Path) -> None:
    install(site, "honest_1", HONEST.format(n=1), distribution="Honest.Plugin", version="3.1.4")
    offers = collect()
    (plugin,) = [plugin for plugin in offers.plugins if plugin.name == "honest_1"]
    assert (plugin.distribution, plugin.version, plugin.bundled) == ("Honest.Plugin", "3.1.4", False)
    assert plugin.by == {"plugin": "Honest.Plugin", "version": "3.1.4"}
    assert offered_by(offers, "honest_1") == set(KINDS)
    assert not offers.failures


BROKEN = {
    "no_module": "import a_package_that_nobody_has",
    "syntax": "def (",
    "exits": "raise SystemExit(3)",
    "asserts": "assert False, 'at import'",
    "no_hooks": "x = 1",
    "recursion": "def f(): return f()\nf()",
    "own_error": "class E(Exception):\n    def __str__(self): raise ValueError\nraise E",
}


@pytest.mark.parametrize("name", BROKEN)
def test_one_that_cannot_be_loaded_is_named(site: Path, name: str) -> None:
    install(site, f"broken_{name}", BROKEN[name])
    honest(site, 1)
    offers = collect()
    assert len(failures(offers, f"broken_{name}")) == 1
    assert len(offers.failures) == 1
    assert offered_by(offers, "honest_1") == set(KINDS)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise ValueError('of its own')", "of its own"),
        ("raise SystemExit('bye')", "bye"),
        ("return None", "returns nothing"),
        ("return 3", "TypeError"),
        ("return 'text'", "'t' is none of ReaderOffer"),
        ("return [1, object()]", "1 is none of"),
        ("yield from (object() for _ in iter(int, 1))", f"more than {MOST_OFFERS}"),
    ],
)
def test_one_that_fails_when_asked_is_named(site: Path, body: str, said: str) -> None:
    install(site, "failing", f"{IMPORTS}\n@hookimpl\ndef diadem_formats():\n    {body}\n")
    honest(site, 1)
    offers = collect()
    told = failures(offers, "failing")
    assert told
    assert any(said in text for text in told)
    assert offered_by(offers, "failing") == set()
    assert offered_by(offers, "honest_1") == set(KINDS)
    assert len(told) == len(offers.failures) < 20


def test_ctrl_c_is_the_users(site: Path) -> None:
    install(site, "interrupting", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        collect()


def test_what_came_before_a_failure_is_kept(site: Path) -> None:
    source = f"""{IMPORTS}
@hookimpl
def diadem_formats():
    yield ReaderOffer(name="before", suffixes=(".before",), load="half:read")
    raise RuntimeError("half-way")
"""
    install(site, "half", source)
    alone = "@hookimpl\ndef diadem_formats():\n    return CheckOffer('alone', ('before',), 'single:check')"
    install(site, "single", f"{IMPORTS}\n{alone}\n")
    offers = collect()
    assert offers.origins["formats", "before"].name == "half"
    assert offers.origins["checks", "alone"].name == "single"
    assert "half-way" in failures(offers, "half")[0]
    assert "not one alone" in failures(offers, "single")[0]


@pytest.mark.parametrize(
    "offer",
    [
        'ReaderOffer(name="digitalmicrograph", suffixes=(".dm9",), load="ill:read")',
        'ReaderOffer(name="ill", suffixes=".ill", load="ill:read")',
        'ReaderOffer(name="ill", suffixes=("ill",), load="ill:read")',
        'ReaderOffer(name="ill", suffixes=(".",), load="ill:read")',
        'ReaderOffer(name="ill", suffixes=(), load="ill:read")',
        'ReaderOffer(name="Ill Format", suffixes=(".ill",), load="ill:read")',
        'ReaderOffer(name="ill", suffixes=(".ill",), load="read")',
        'ReaderOffer(name="ill", suffixes=(".ill",), load=len)',
        'ReaderOffer(name="ill", suffixes=(".ill",), load="ill:read", magic=(b"ILL",))',
        'ReaderOffer(name="ill", suffixes=(".ill",), load="ill:read", magic=(Magic(0, b""),))',
        'ReaderOffer(name="ill", suffixes=(".ill",), load="ill:read", magic=(Magic(-1, b"x"),))',
        'ReaderOffer(name="ill", suffixes=(".ill",), load="ill:read", magic=(Magic(4095, b"xyz"),))',
        'ReaderOffer(name="ill", suffixes=(".ill",), load="ill:read", priority="high")',
        'ReaderOffer(name="ill", suffixes=(".ill",), load="ill:read", options={"f": len})',
        'ReaderOffer(name="ill", suffixes=(".ill",), load="ill:read", groups=("{stem}.ill",))',
        'FieldsOffer(name="ill", formats="ill", tables={"a": "ill:TABLE"})',
        'FieldsOffer(name="ill", formats=("ill",), tables={"a": None})',
        'FieldsOffer(name="ill", formats=("ill",), tables=["ill:TABLE"])',
        'SchemaOffer("Example", {"1.0.0": {}})',
        'SchemaOffer("org.example.ill", {})',
        'SchemaOffer("org.example.ill", {"1.0.0": "schema.json"})',
        'SchemaOffer("org.example.ill", ["1.0.0"])',
        'PreviewOffer(name="Ill", formats=("ill",), draw="ill:draw")',
        'PreviewOffer(name="ill", formats=("ill",), draw="ill.draw")',
        'CheckOffer(name="ill check", formats=("ill",), check="ill:check")',
        'CheckOffer(name="ill", formats=(3,), check="ill:check")',
        'CheckOffer(name="ill", formats=("ill",), check="ill:check", when="never")',
        'CarrierOffer(scheme="Ill", connect="ill:connect")',
        'CarrierOffer(scheme="ill", connect="ill.connect")',
        'CarrierOffer(scheme="drop", connect="ill:connect")',
        'type("Lie", (ReaderOffer,), {"__repr__": lambda self: 1 / 0})(name=3, suffixes=(".l",), load="ill:read")',
    ],
)
def test_an_offer_that_cannot_be_used_is_named(site: Path, offer: str) -> None:
    install(site, "ill", f"{IMPORTS}\n@hookimpl\ndef diadem_formats():\n    yield {offer}\n")
    honest(site, 1)
    offers = collect()
    assert len(failures(offers, "ill")) == 1
    assert offered_by(offers, "ill") == set()
    assert offered_by(offers, "honest_1") == set(KINDS)


def test_a_name_belongs_to_whom_it_came_from_first(site: Path) -> None:
    honest(site, 1)
    install(site, "jealous", HONEST.format(n=1))
    offers = collect()
    assert offered_by(offers, "honest_1") == set(KINDS)
    told = failures(offers, "jealous")
    assert len(told) == len(KINDS)
    assert all("taken by 'honest_1'" in text for text in told)


def test_a_hook_that_does_not_exist_is_named_and_the_others_count(site: Path) -> None:
    source = HONEST.format(n=1) + "\n@hookimpl\ndef diadem_stores():\n    return []\n"
    source += "\n@hookimpl(optionalhook=True)\ndef diadem_later():\n    return []\n"
    install(site, "honest_1", source)
    offers = collect()
    assert [text for text in failures(offers, "honest_1") if "'diadem_stores'" in text]
    assert len(offers.failures) == 1
    assert offered_by(offers, "honest_1") == set(KINDS)


def test_a_hook_with_parameters_is_named(site: Path) -> None:
    install(site, "wanting", f"{IMPORTS}\n@hookimpl\ndef diadem_formats(node):\n    return []\n")
    offers = collect()
    assert "cannot be loaded" in failures(offers, "wanting")[0]
    assert len(offers.readers) > 30


def test_what_pluggy_does_counts(site: Path) -> None:
    """A wrapper of a plugin's own offers, and a hook under another name."""
    source = f"""{IMPORTS}
class Plugin:
    @hookimpl(specname="diadem_formats")
    def mine(self):
        return [ReaderOffer(name="wrapped", suffixes=(".wrapped",), load="wrapping:read")]

    @hookimpl(wrapper=True)
    def diadem_formats(self):
        offers = yield
        return [*offers, [CheckOffer(name="wrapped", formats=("wrapped",), check="wrapping:check")]]

plugin = Plugin()
"""
    install(site, "wrapping", source, entry="wrapping:plugin")
    alone = "@hookimpl(wrapper=True)\ndef diadem_formats():\n    raise RuntimeError('mine')\n    yield"
    install(site, "broken", f"{IMPORTS}\n{alone}\n")
    honest(site, 1)
    offers = collect()
    assert offered_by(offers, "wrapping") == {"formats", "checks"}
    assert not failures(offers, "wrapping")
    assert "mine" in failures(offers, "broken")[0]
    assert offered_by(offers, "honest_1") == set(KINDS)


def test_an_entry_point_may_name_an_object(site: Path) -> None:
    source = f"""{IMPORTS}
class Plugin:
    @hookimpl
    def diadem_formats(self):
        yield ReaderOffer(name="object", suffixes=(".object",), load="objects:read")

plugin = Plugin()
"""
    install(site, "objects", source, entry="objects:plugin")
    install(site, "missing", source, entry="missing:nothing")
    offers = collect()
    assert offers.origins["formats", "object"].by["plugin"] == "objects"
    assert "nothing" in failures(offers, "missing")[0]


@pytest.mark.parametrize(
    ("selection", "loaded"),
    [
        ("", {"honest_1", "honest_2"}),
        ("off", set()),
        (" OFF ", set()),
        ("honest-2", {"honest_2"}),
        ("Honest_1, honest.2", {"honest_1", "honest_2"}),
    ],
)
def test_the_environment_selects(site: Path, monkeypatch: pytest.MonkeyPatch, selection: str, loaded: set[str]) -> None:
    honest(site, 1)
    honest(site, 2)
    monkeypatch.setenv("DIADEM_PLUGINS", selection)
    offers = collect()
    assert {plugin.name for plugin in offers.plugins if not plugin.bundled} == loaded
    assert len([plugin for plugin in offers.plugins if plugin.bundled]) == len(bundled())
    assert not offers.failures


def test_a_selected_plugin_that_is_not_there_is_named(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest(site, 1)
    monkeypatch.setenv("DIADEM_PLUGINS", "honest-1,absent")
    offers = collect()
    assert failures(offers, "absent")
    assert offered_by(offers, "honest_1") == set(KINDS)


def test_a_module_at_hand_is_loaded_beside_the_installed_ones(site: Path) -> None:
    honest(site, 1)
    (site / "at_hand.py").write_text(HONEST.format(n=2), encoding="utf-8")
    offers = collect(also=["at_hand", "honest_1"])
    assert offered_by(offers, "at_hand") == offered_by(offers, "honest_1") == set(KINDS)
    assert not offers.failures


def test_plugins_of_one_name_are_told_apart(site: Path) -> None:
    for number in (1, 2):
        name = install(site, f"honest_{number}", HONEST.format(n=number))
        about = next(site.glob(f"honest_{number}-*.dist-info"))
        (about / "entry_points.txt").write_text(f"[diadem]\nplugin = honest_{number}\n")
    offers = collect()
    assert offered_by(offers, "plugin") == offered_by(offers, f"plugin of {name}") == set(KINDS)
    assert not offers.failures
