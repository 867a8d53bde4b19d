"""`instruments.toml`: what the node says of its instruments is stated of every session that is archived there."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

import diadem
from diadem.errors import DocumentError
from tests.archive.scan_trees import image
from tests.cli.inside import said, said_json
from tests.node.verbs.conftest import Lab

pytestmark = pytest.mark.catalogue


def describe(lab: Lab, text: str) -> None:
    (lab.node.path / "instruments.toml").write_text(text)


def session(lab: Lab, folder: str) -> Path:
    source = lab.root / folder
    source.mkdir(parents=True)
    image(source / "image.hspy", "2019-07-01T10:00:00")
    return source


TITAN = """
[[instruments]]
when.folder = '{folder}'
is.name = "Titan 1"
is.vendor = "FEI"
is.pid = "https://doi.org/10.5442/NI000001"
is.owner_ror = "https://ror.org/01hcx6992"
is.time_zone = "Europe/Berlin"
"""


@pytest.mark.parametrize("way", ["archive", "archive_all", "watch"])
@pytest.mark.sweep(1)
def test_every_session_of_its_folder_has_it(lab: Lab, way: str) -> None:
    describe(lab, TITAN.format(folder=lab.root / "titan"))
    source = session(lab, "titan/2019-07-01 ZnO")
    if way == "archive":
        package = str(lab.node.archive(source, now=True).package.id)
    elif way == "archive_all":
        (result,) = lab.node.archive_all(source.parent, now=True)
        assert result.archived is not None
        package = str(result.archived.package.id)
    else:
        policy = lab.node.path / "policy.toml"
        policy.write_text(re.sub("(?m)^quiet = .*", 'quiet = "1 s"', policy.read_text()))
        said("watch", "add", source.parent, "--node", lab.node.path)
        for _ in range(3):
            said("watch", "--once", "--node", lab.node.path)
            time.sleep(1.1)
        (row,) = lab.reopened().search("").rows
        package = row.id
    (dataset,) = lab.node.get(package).record.datasets
    assert dataset.value("instrument.pid") == "https://doi.org/10.5442/NI000001"
    assert dataset.value("time.utc_offset") == "+02:00"
    assert [row.id for row in lab.node.search("instrument:Titan").rows] == [package]


def test_other_folders_have_it_not(lab: Lab) -> None:
    describe(lab, TITAN.format(folder=lab.root / "titan"))
    package = lab.node.archive(session(lab, "scios/2019-07-01 ZnO"), now=True).package.id
    assert not lab.node.get(package).record.datasets[0].assertions("instrument.pid")


@pytest.mark.parametrize(
    ("text", "told", "advice"),
    [
        ("[[instruments]]\nwhen.serial = '1'\nis.time_zone = 'Berlin'\n", "is.time_zone", "Europe/Berlin"),
        ("[[instruments]]\nwhen.serial = 1\nis.name = 'x'\n", "$.instruments[0].when.serial", "D3094"),
        ("[[instrument]]\n", "'instrument' is not a table", "[[instruments]]"),
        ("[[instruments]\n", "not TOML", "line"),
    ],
)
def test_a_mistake_is_told_with_path_and_rule(lab: Lab, text: str, told: str, advice: str) -> None:
    describe(lab, text)
    source = session(lab, "titan/2019-07-01 ZnO")
    with pytest.raises(DocumentError) as caught:
        lab.node.archive(source, now=True)
    assert told in caught.value.message
    assert advice in (caught.value.next or "")
    assert str(caught.value.where).endswith("instruments.toml")


def test_metadata_are_judged_before_the_instruments_are_added(lab: Lab) -> None:
    describe(lab, TITAN.format(folder=lab.root / "titan"))
    with pytest.raises(DocumentError, match="a mapping is expected, not str"):
        lab.node.archive(session(lab, "titan/2019-07-01 ZnO"), metadata="meta.toml", now=True)  # type: ignore[arg-type]


def test_the_command_lists_them(lab: Lab) -> None:
    assert "[[instruments]]" in said("instruments", "--node", lab.node.path)
    describe(lab, TITAN.format(folder="/data/titan"))
    assert "Titan 1          when folder /data/titan" in said("instruments", "--node", lab.node.path)
    told = said_json("instruments", "--node", lab.node.path)
    assert told["instruments"][0]["is"]["time_zone"] == "Europe/Berlin"


def test_its_example_is_one(lab: Lab) -> None:
    text = said("instruments", "--node", lab.node.path)
    describe(lab, text[text.index("[[instruments]]") :])
    (one,) = lab.node.instruments()
    assert one["is"]["name"] == "Titan 1"


def test_a_store_keeps_a_copy(lab: Lab) -> None:
    describe(lab, TITAN.format(folder="/data/titan"))
    lab.node.remirror()
    assert list((lab.root / "main" / ".diadem").rglob("instruments.toml"))
    assert diadem.open_node(lab.node.path).instruments()
