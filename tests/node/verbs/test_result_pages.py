"""Results of a node as tables: values of fields with their units, and pictures from the pages of packages."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import pytest
from PIL import Image

import diadem
from diadem.errors import UsageError
from diadem.node import result_source
from tests.node.verbs.conftest import Lab, remove

pytestmark = pytest.mark.catalogue


@pytest.fixture
def pictured(lab: Lab) -> str:
    """A package with a picture of 300 × 200 pixels and a text."""
    folder = lab.root / "pictured"
    folder.mkdir()
    Image.new("L", (300, 200), 90).save(folder / "grain.png")
    (folder / "notes.txt").write_text("nothing known")
    metadata = {"sample": {"name": "ZnO"}, "session": {"title": "<b>Grain</b>"}}
    return str(lab.node.archive(folder, now=True, metadata=metadata).package.id)


def test_a_picture_comes_from_a_copy_and_is_left_out_where_there_is_none(
    lab: Lab, pictured: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = lab.archived("plain")
    found = lab.node.search()
    assert found.source is not None
    pictures = found.source.thumbnails(found.rows)
    assert pictures.keys() == {pictured}
    data = base64.b64decode(pictures[pictured].partition(",")[2])
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.size == (160, 107)
    page = found._repr_html_()
    assert page.count("<img") == 1
    assert page.count('class="blank"') == 1
    assert "<b>" not in page
    monkeypatch.setattr(result_source, "MOST_BYTES", 10)
    assert found.source.thumbnails(found.rows) == {}
    monkeypatch.undo()
    remove(lab.path(pictured, "main") / "manifest-sha256.txt")
    assert "<img" not in lab.node.search()._repr_html_()
    Path(lab.root / "main").rename(lab.root / "away")
    with diadem.open_node(lab.node.path) as again:
        assert plain[7:19] in again.search()._repr_html_(), "a store that is away takes pictures with it, and no rows"


def test_fields_become_columns(lab: Lab, pictured: str) -> None:
    pytest.importorskip("pandas")
    lab.node.amend(pictured, {"voltage": "200 kV"})
    lab.node.amend(pictured, {"stage.alpha": "1 deg"}, dataset="grain.png")
    assert "kV" in lab.node.search().to_dataframe(fields="kV"), "one name is one field, not its letters"
    frame = lab.node.search().to_dataframe(fields=["kV", "stage.alpha", "sample", "detector"])
    assert frame.loc[0, ["kV", "stage.alpha", "sample"]].tolist() == [2e5, 1.0, "ZnO"]
    assert frame["detector"].isna().all()
    assert frame.attrs["units"] == {"kV": "V", "stage.alpha": "deg"}
    assert [str(frame[name].dtype) for name in ("kV", "bytes", "datasets")] == ["float64", "int64", "int64"]
    datasets = lab.node.search().to_dataframe(datasets=True, fields=["stage.alpha"])
    assert datasets.columns[:4].tolist() == ["id", "dataset", "file", "stage.alpha"], "what was asked for comes first"
    assert datasets["file"].tolist() == ["grain.png", "notes.txt"]
    assert datasets["stage.alpha"].isna().tolist() == [False, True]
    assert (datasets["id"] == pictured).all()
    assert lab.node.search("tilt=1deg").to_dataframe(datasets=True)["file"].tolist() == ["grain.png"]
    assert lab.node.search("nothing").to_dataframe(datasets=True, fields=["kV"]).empty
    with pytest.raises(UsageError, match="not a field of a record"):
        lab.node.search().to_dataframe(fields=["voltag"])
    with pytest.raises(UsageError, match="come from a node"):
        lab.node.context.catalogue.search().to_dataframe(datasets=True)
