"""One session on its way out: corrected, judged, to NOMAD, to a notebook, to a repository, and to a colleague."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from diadem.errors import DigestMismatch, Unreachable
from diadem.model.transfers import State
from diadem.testing.invenio import InvenioService
from tests.cli.inside import said
from tests.node.verbs.conftest import damage
from tests.plugins.eln.test_experiment import faults
from tests.plugins.nxem.test_nxem import KNOWN, SPECTRUM, problems
from tests.transfer.pair import Pair, make_pair

MIB = 1 << 20
DEPOSIT: dict[str, Any] = {
    "publisher": "The Institute",
    "creators": ["Curie, Marie 0000-0002-1825-0097"],
    "license": "CC-BY-4.0",
    "part_mib": 5,
}
NEXUS: dict[str, Any] = {**KNOWN, "start_time": "2026-03-14T10:00:00+01:00"}
#: A real reader goes over the spectrum, and leaves its file to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    """alice@hu-berlin, whose session it is, and marie@nmi."""
    monkeypatch.setenv("DIADEM_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("DIADEM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DIADEM_ZENODO_TOKEN", "the-token")
    monkeypatch.setenv("COLUMNS", "200")
    made = make_pair(tmp_path)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[InvenioService]:
    (tmp_path / "repository").mkdir()
    with InvenioService(tmp_path / "repository", token="the-token") as running:
        yield running


@pytest.fixture
def package(pair: Pair) -> str:
    """A spectrum and a film, archived; the name of its sample corrected; judged by two people."""
    node = pair.a.node
    files = {"a.msa": SPECTRUM.format("").encode(), "film.raw": bytes(range(256)) * (12 * MIB // 256)}
    made = pair.a.archived("ZnO nanorods", files)
    node.amend(made, {"sample.name": "ZnO-17"})
    node.amend(made, {"sample.name": "ZnO-71"}, reason="the label was read the wrong way round")
    node.assess(made, "accept", purpose="EELS")
    return made


def exported(pair: Pair, package: str, folder: Path) -> tuple[Path, Path]:
    """As NXem, and as `.eln` with the files in it."""
    nexus, notebook = folder / "spectrum.nxs", folder / "session.eln"
    pair.a.node.export(package, nexus, form="nxem", dataset="a.msa", options=NEXUS)
    pair.a.node.export(package, notebook, form="eln", options={"files": True})
    return nexus, notebook


@pytest.mark.program("a session of many kinds on every way out")
def test_the_story_of_the_way_out(pair: Pair, package: str, repository: InvenioService, tmp_path: Path) -> None:
    here, there = pair.a.node, pair.b.node
    nexus, notebook = exported(pair, package, tmp_path)
    assert faults(notebook, tmp_path / "unpacked") == []
    # To the repository, over a line that breaks three times, each time a piece later.
    for piece in (1, 2, 3):
        repository.fail("cut", rf"PUT /r0001-abcde/\w+/{piece}$", MIB, times=5)
        with pytest.raises(Unreachable):
            here.export(package, repository.url, form="zenodo", options=DEPOSIT)
        repository.mend()
    arrived = len(repository.asked)
    done = here.export(package, repository.url, form="zenodo", options={**DEPOSIT, "publish": True})
    pieces = [one.path for one in repository.asked[arrived:] if re.fullmatch(r"/r0001-abcde/\w+/\d", one.path)]
    assert [path[-1] for path in pieces] == ["3"]
    (record,) = repository.records()
    assert record["is_published"]
    assert any("ZnO-71" in one["description"] for one in record["metadata"]["additional_descriptions"])
    assert repository.content(record["id"])["data/film.raw"] == bytes(range(256)) * (12 * MIB // 256)
    # What a paper cites leads back to it.
    assert list(done.identifiers) == [f"doi:{record['pids']['doi']['identifier']}"]
    assert package[7:15] in said("search", done.identifiers[0], "--node", str(here.path))
    assert repository.url in said("custody", package, "--node", str(here.path))
    # The colleague sees what was corrected, and what is thought of it.
    sent = here.send(package, "marie@nmi")
    assert there.accept(sent.id).state is State.CLOSED
    shown = said("show", package, "--node", str(there.path))
    assert "ZnO-71" in shown
    assert "ZnO-17" not in there.get(package).record.sample["name"]
    assert "the label was read the wrong way round" in said("amend", package, "--node", str(there.path))
    assert [(one.by, one.verdict) for one in there.assessments(package)] == [("alice@hu-berlin", "accept")]
    assert problems([nexus]) == {str(nexus): []}  # last: without the validator the rest has been shown


@pytest.mark.parametrize("way", ["nxem", "eln", "zenodo", "send"])
@pytest.mark.sweep(2)
def test_a_damaged_leaf_stops_each_with_nothing_half_written(
    pair: Pair, package: str, repository: InvenioService, tmp_path: Path, way: str
) -> None:
    here, out = pair.a.node, tmp_path / "out"
    (spectrum,) = (tmp_path / "hu-berlin" / "store").rglob("a.msa")
    damage(spectrum)
    out.mkdir()
    ways: dict[str, Callable[[], object]] = {
        "nxem": lambda: here.export(package, out / "a.nxs", form="nxem", dataset="a.msa", options=NEXUS),
        "eln": lambda: here.export(package, out / "a.eln", form="eln", options={"files": True}),
        "zenodo": lambda: here.export(package, repository.url, form="zenodo", options={**DEPOSIT, "publish": True}),
        "send": lambda: pair.b.node.accept(here.send(package, "marie@nmi").id),
    }
    with pytest.raises(DigestMismatch) as told:
        ways[way]()
    assert told.value.where == "data/a.msa"
    assert list(out.iterdir()) == []
    assert not any(one["is_published"] or "data/a.msa" in repository.content(one["id"]) for one in repository.records())
    assert not pair.b.node.search().rows
    assert not list((tmp_path / "nmi" / "store").rglob("a.msa"))
