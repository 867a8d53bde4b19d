"""Plugins that fail in every way that they can: each is named, and hides nothing of the others."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from diadem.hooks.gathering import HOOKS, MOST_OFFERS
from diadem.hooks.manager import BUNDLED, Offers, collect
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
    """Hooks in which something of a plugin was taken."""
    return {hook for (hook, _), origin in offers.origins.items() if origin.name == plugin}


def test_bundled_plugins_come_by_the_same_door(site: Path) -> None:
    offers = collect()
    bundled = {plugin.name: plugin for plugin in offers.plugins if plugin.bundled}
    assert set(bundled) == set(BUNDLED)
    assert {plugin.distribution for plugin in bundled.values()} == {"diadem-em"}
    assert offers.origins["diadem_readers", "digitalmicrograph"] is bundled["diadem.plugins.gatan"]
    assert len(offers.readers) > 30


def test_a_foreign_plugin_is_known_by_its_distribution(site: Path) -> None:
    install(site, "honest_1", HONEST.format(n=1), distribution="Honest.Plugin", version="3.1.4")
    offers = collect()
    (plugin,) = [plugin for plugin in offers.plugins if plugin.name == "honest_1"]
    assert (plugin.distribution, plugin.version, plugin.bundled) == ("Honest.Plugin", "3.1.4", False)
    assert plugin.by == {"plugin": "Honest.Plugin", "version": "3.1.4"}
    assert offered_by(offers, "honest_1") == set(HOOKS)
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
    assert offered_by(offers, "honest_1") == set(HOOKS)


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise ValueError('of its own')", "of its own"),
        ("raise SystemExit('bye')", "bye"),
        ("return None", "TypeError"),
        ("return 'text'", "'t' is no"),
        ("return [1, object()]", "1 is no"),
        ("yield from (object() for _ in iter(int, 1))", f"more than {MOST_OFFERS}"),
    ],
)
def test_one_that_fails_when_asked_is_named(site: Path, hook: str, body: str, said: str) -> None:
    install(site, "failing", f"{IMPORTS}\n@hookimpl\ndef {hook}():\n    {body}\n")
    honest(site, 1)
    offers = collect()
    told = failures(offers, "failing")
    assert told
    assert any(said in text and hook in text for text in told)
    assert offered_by(offers, "failing") == set()
    assert offered_by(offers, "honest_1") == set(HOOKS)
    assert len(told) == len(offers.failures) < 20


def test_ctrl_c_is_the_users(site: Path) -> None:
    install(site, "interrupting", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        collect()


def test_what_came_before_a_failure_is_kept(site: Path) -> None:
    source = f"""{IMPORTS}
@hookimpl
def diadem_readers():
    yield ReaderOffer(name="before", suffixes=(".before",), load="half:read")
    raise RuntimeError("half-way")

@hookimpl
def diadem_checks():
    return CheckOffer(name="alone", formats=("before",), check="half:check")
"""
    install(site, "half", source)
    offers = collect()
    assert offers.origins["diadem_readers", "before"].name == "half"
    assert offers.origins["diadem_checks", "alone"].name == "half"
    first, second = failures(offers, "half")
    assert "half-way" in first
    assert "not one alone" in second


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
        'TransportOffer(scheme="Ill", connect="ill:connect")',
        'TransportOffer(scheme="ill", connect="ill.connect")',
        'TransportOffer(scheme="drop", connect="ill:connect")',
        'type("Lie", (ReaderOffer,), {"__repr__": lambda self: 1 / 0})(name=3, suffixes=(".l",), load="ill:read")',
    ],
)
def test_an_offer_that_cannot_be_used_is_named(site: Path, offer: str) -> None:
    hook = next(hook for hook, kind in HOOKS.items() if kind.__name__ in offer)
    install(site, "ill", f"{IMPORTS}\n@hookimpl\ndef {hook}():\n    yield {offer}\n")
    honest(site, 1)
    offers = collect()
    (said,) = failures(offers, "ill")
    assert hook in said
    assert offered_by(offers, "ill") == set()
    assert offered_by(offers, "honest_1") == set(HOOKS)


def test_a_name_belongs_to_whom_it_came_from_first(site: Path) -> None:
    honest(site, 1)
    install(site, "jealous", HONEST.format(n=1))
    offers = collect()
    assert offered_by(offers, "honest_1") == set(HOOKS)
    told = failures(offers, "jealous")
    assert len(told) == len(HOOKS)
    assert all("taken by 'honest_1'" in text for text in told)


def test_a_hook_that_does_not_exist_is_named_and_the_others_count(site: Path) -> None:
    source = HONEST.format(n=1) + "\n@hookimpl\ndef diadem_stores():\n    return []\n"
    source += "\n@hookimpl(optionalhook=True)\ndef diadem_later():\n    return []\n"
    install(site, "honest_1", source)
    offers = collect()
    assert [text for text in failures(offers, "honest_1") if "no hook 'diadem_stores'" in text]
    assert len(offers.failures) == 1
    assert offered_by(offers, "honest_1") == set(HOOKS)


def test_a_hook_with_parameters_and_a_wrapper_are_named(site: Path) -> None:
    install(site, "wanting", f"{IMPORTS}\n@hookimpl\ndef diadem_readers(node):\n    return []\n")
    install(site, "wrapping", f"{IMPORTS}\n@hookimpl(wrapper=True)\ndef diadem_readers():\n    return (yield)\n")
    offers = collect()
    assert "cannot be loaded" in failures(offers, "wanting")[0]
    assert "wrapper" in failures(offers, "wrapping")[0]
    assert len(offers.readers) > 30


def test_an_entry_point_may_name_an_object(site: Path) -> None:
    source = f"""{IMPORTS}
class Plugin:
    @hookimpl
    def diadem_readers(self):
        yield ReaderOffer(name="object", suffixes=(".object",), load="objects:read")

plugin = Plugin()
"""
    install(site, "objects", source, entry="objects:plugin")
    install(site, "missing", source, entry="missing:nothing")
    offers = collect()
    assert offers.origins["diadem_readers", "object"].by["plugin"] == "objects"
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
    assert len([plugin for plugin in offers.plugins if plugin.bundled]) == len(BUNDLED)
    assert not offers.failures


def test_a_selected_plugin_that_is_not_there_is_named(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest(site, 1)
    monkeypatch.setenv("DIADEM_PLUGINS", "honest-1,absent")
    offers = collect()
    assert failures(offers, "absent")
    assert offered_by(offers, "honest_1") == set(HOOKS)


def test_a_module_at_hand_is_loaded_beside_the_installed_ones(site: Path) -> None:
    honest(site, 1)
    (site / "at_hand.py").write_text(HONEST.format(n=2), encoding="utf-8")
    offers = collect(also=["at_hand", "honest_1"])
    assert offered_by(offers, "at_hand") == offered_by(offers, "honest_1") == set(HOOKS)
    assert not offers.failures


def test_plugins_of_one_name_are_told_apart(site: Path) -> None:
    for number in (1, 2):
        name = install(site, f"honest_{number}", HONEST.format(n=number))
        about = next(site.glob(f"honest_{number}-*.dist-info"))
        (about / "entry_points.txt").write_text(f"[diadem]\nplugin = honest_{number}\n")
    offers = collect()
    assert offered_by(offers, "plugin") == offered_by(offers, f"plugin of {name}") == set(HOOKS)
    assert not offers.failures
