"""A package that was given to where it gets a DOI is found by it, here and after a reindex, and says so."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from diadem.api.nodes import Node
from diadem.api.tools import trying
from diadem.catalogue.packages import prepare
from diadem.cli.main import run as command_line
from diadem.node.follow.catalogue_rows import package_entry
from tests.hooks.distributions import install
from tests.node.verbs.conftest import Lab

PLUGIN = """
from diadem.hooks.offers import ExporterOffer, hookimpl

@hookimpl
def diadem_exporters():
    yield ExporterOffer("doi-giver", "Gives a DOI", "gives_dois:give", writes="service")

def give(source, target):
    target.leave(target.url, [])
    target.leave(target.url, ["doi:10.5281/zenodo.123"])
"""


@pytest.fixture
def giving(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    install(lab.root / "site", "gives_dois", PLUGIN)
    monkeypatch.syspath_prepend(lab.root / "site")
    with trying():
        node = lab.reopened()
        yield node
        node.close()


def found(node: Node, query: str) -> list[str]:
    return [str(row.id) for row in node.search(query)]


@pytest.mark.catalogue
def test_it_is_found_by_its_doi_and_by_nothing_like_it(lab: Lab, giving: Node) -> None:
    package, other = lab.archived("monday"), lab.archived("tuesday")
    assert found(giving, "doi:10.5281/zenodo.123") == []
    giving.export(package, "https://repository.example", form="doi-giver")
    for query in ("doi:10.5281/zenodo.123", "doi=10.5281/ZENODO.123", 'doi:"https://doi.org/10.5281/zenodo.123"'):
        assert found(giving, query) == [package]
    for query in ("doi:10.5281/zenodo.12", "doi:10.5281/zenodo.1234", "doi=zenodo.123"):
        assert found(giving, query) == []
    assert set(found(giving, "not doi:10.5281/zenodo.123")) == {other}
    copy = giving.get(package)
    giving.context.catalogue.enter([prepare(package_entry(copy, copy.url, None))])  # as what was owed is entered later
    assert found(giving, "doi:10.5281/zenodo.123") == [package]
    giving.amend(package, {"session.title": "Monday, corrected"}, reason="it was wrong")
    assert found(giving, "doi:10.5281/zenodo.123 title:corrected") == [package]
    giving.reindex()
    assert found(giving, "doi:10.5281/zenodo.123 title:corrected") == [package]


def test_show_says_what_it_is_called(lab: Lab, giving: Node, capsys: pytest.CaptureFixture[str]) -> None:
    package = lab.archived("monday")
    giving.export(package, "https://repository.example", form="doi-giver")
    with pytest.raises(SystemExit) as left:
        command_line(["show", package, "--node", str(lab.node.path)])
    assert left.value.code == 0
    assert "doi:10.5281/zenodo.123" in capsys.readouterr().out
    assert list(giving.show(package).identifiers) == ["doi:10.5281/zenodo.123"]
