"""Extensions, previews and checks of plugins: kept, judged, and harmless where they misbehave."""

from __future__ import annotations

import base64
import io
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from diadem.api import trying
from diadem.extract.extraction import MAX_PNG, Extraction, encoded
from diadem.extract.pool import Extractor, Origins
from diadem.extract.survey import survey
from diadem.hooks.offers import CheckOffer, FieldsOffer, PreviewOffer, ReaderOffer
from diadem.serialization.validation import validate_dataset

CL = "org.example.cl"
SCHEMAS: Mapping[str, Any] = {CL: {"1.0.0": {"properties": {"mirror": {"enum": ["parabolic", "flat"]}}}}}
BY = {"plugin": "diadem-cl", "version": "1.2.0"}
READER = ReaderOffer(name="honest", suffixes=(".honest",), load="hostile_readers:honest")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One file."""
    place = tmp_path_factory.mktemp("data")
    (place / "a.honest").write_bytes(b"some bytes")
    return place


def fields(function: str, **more: Any) -> FieldsOffer:
    """Blocks cut by one of the functions, and the table that reads them."""
    tables = {"header": "hostile_plugins:TABLE"}
    return FieldsOffer(name="cl", formats=("honest",), blocks=f"hostile_plugins:{function}", tables=tables, **more)


def preview(function: str, name: str = "cl", **more: Any) -> PreviewOffer:
    return PreviewOffer(name=name, formats=("honest",), draw=f"hostile_plugins:{function}", **more)


def check(function: str, name: str = "cl") -> CheckOffer:
    return CheckOffer(name=name, formats=("*",), check=f"hostile_plugins:{function}")


def read(
    folder: Path,
    *,
    fields: tuple[FieldsOffer, ...] = (),
    previewers: tuple[PreviewOffer, ...] = (),
    checks: tuple[CheckOffer, ...] = (),
    origins: Origins | None = None,
) -> Extraction:
    """Read the file with these parts of a plugin."""
    origins = origins or {(f"{kind}", "cl"): BY for kind in ("fields", "previews", "checks")}
    plan = survey([("a.honest", 10)], [READER])[0]
    with Extractor(
        [READER],
        fields,
        previewers=previewers,
        checks=checks,
        schemas=SCHEMAS,
        origins=origins,
        timeout=4.0,
        lasting=True,
    ) as extractor:
        found = extractor.extract(plan, folder)
    validate_dataset(
        {
            "id": "d1",
            "files": [{"id": "f1", "path": "a.honest", "role": "primary", "bytes": 10, "sha256": "0" * 64}],
            "signals": found.signals,
            "fields": found.fields,
            "raw": [],
            "issues": found.issues,
            "extraction": found.extraction,
            "extensions": found.extensions,
        }
    )
    return found


def codes(found: Extraction) -> list[str]:
    return [issue["code"] for issue in found.issues]


def colour(found: Extraction) -> str:
    """Whose picture it is: ours is grey."""
    assert found.preview is not None
    return Image.open(io.BytesIO(found.preview)).mode


# -- extensions ----------------------------------------------------------------------------------------------------


def test_a_valid_extension_is_kept_and_marked(folder: Path) -> None:
    found = read(folder, fields=(fields("honest_blocks"),))
    assert found.extensions == {CL: {"version": "1.0.0", "data": {"mirror": "parabolic"}, "validated": True, "by": BY}}
    assert found.fields["beam.acceleration_voltage"][0]["by"] == {**BY, "rule": "cl/beam.acceleration_voltage"}
    assert not found.issues


def test_an_invalid_one_is_left_out_and_named(folder: Path) -> None:
    found = read(folder, fields=(fields("invalid_extension"),))
    assert not found.extensions
    (issue,) = found.issues
    assert issue["code"] == "extension-invalid"
    assert issue["by"] == BY
    assert "$.mirror" in issue["message"]
    assert "properties/mirror/enum" in issue["message"]
    assert found.fields["beam.acceleration_voltage"][0]["value"] == 200_000


def test_what_no_schema_is_known_for_is_kept_unjudged(folder: Path) -> None:
    found = read(folder, fields=(fields("unknown_extension"),))
    assert {name: item["validated"] for name, item in found.extensions.items()} == {
        "org.example.nobody": False,
        CL: False,
    }
    assert found.extensions["org.example.nobody"]["data"] == [1, 2.5, None, {"a": "b"}]
    assert not found.issues


def test_what_cannot_stand_in_a_record_costs_an_issue_each(folder: Path) -> None:
    found = read(folder, fields=(fields("odd_extensions"),))
    assert found.extensions[CL]["data"] == {"mirror": "flat"}
    assert list(found.extensions) == [CL]
    assert codes(found) == ["metadata-unread"] * 10
    assert found.fields["beam.acceleration_voltage"][0]["value"] == 200_000


# -- previews ------------------------------------------------------------------------------------------------------


def test_a_plugins_picture_goes_first_and_is_small(folder: Path) -> None:
    found = read(folder, previewers=(preview("draws_red"),))
    assert colour(found) == "RGB"
    assert found.preview is not None
    picture = Image.open(io.BytesIO(found.preview))
    assert picture.size == (107, 160)
    assert picture.getpixel((50, 80)) == (200, 10, 10)
    assert found.extraction["preview"] == "drawn by cl of diadem-cl 1.2.0"
    assert found.signals[0]["shape"] == [4, 4]
    assert not found.issues


def test_a_picture_of_noise_gets_fewer_colours(folder: Path) -> None:
    found = read(folder, previewers=(preview("draws_noise"),))
    assert colour(found) == "P"
    assert found.preview is not None
    assert len(found.preview) <= MAX_PNG
    assert not found.issues


@pytest.mark.parametrize(
    "function", ["draws_text", "draws_png", "draws_objects", "draws_cube", "draws_no_pixels", "failing"]
)
def test_a_picture_that_cannot_be_shown_is_named_and_ours_is_drawn(folder: Path, function: str) -> None:
    found = read(folder, previewers=(preview(function),))
    assert codes(found) == ["preview-refused"]
    assert found.issues[0]["by"] == BY
    assert colour(found) in ("L", "P")
    assert "preview" not in found.extraction


def test_the_next_is_asked_in_the_order_of_priority(folder: Path) -> None:
    offers = (
        preview("draws_red", "last", priority=-1),
        preview("draws_nothing", "first", priority=2),
        preview("failing"),
    )
    found = read(folder, previewers=offers)
    assert codes(found) == ["preview-refused"]
    assert colour(found) == "RGB"
    assert str(found.extraction["preview"]).startswith("drawn by last of")


# -- checks --------------------------------------------------------------------------------------------------------


def test_a_check_sees_the_dataset_and_its_issues_are_named_after_it(folder: Path) -> None:
    found = read(folder, fields=(fields("honest_blocks"),), checks=(check("vandal", "vandal"), check("finds_drift")))
    told, drift = found.issues
    assert (told["code"], told["severity"], told["by"]) == ("cl-told", "info", BY)
    assert told["message"] == f"honest [4, 4] 200000.0 ['a.honest'] {{'{CL}': {{'mirror': 'parabolic'}}}}"
    assert (drift["code"], drift["severity"], drift["next"]) == ("cl-drift", "warning", "Align the frames.")
    assert found.signals[0]["shape"] == [4, 4]
    assert found.extensions[CL]["data"] == {"mirror": "parabolic"}


def test_a_check_that_fails_or_talks_nonsense_hides_no_other(folder: Path) -> None:
    checks = [check("failing", "failing"), check("nonsense", "odd"), check("finds_nothing", "none"), check("endless")]
    found = read(folder, checks=tuple(checks))
    assert codes(found)[:6] == ["check-failed"] * 5 + ["odd-good"]
    assert codes(found)[6:] == ["cl-many"] * 20 + ["check-failed"]
    assert "of its own" in found.issues[0]["message"]


# -- parts that never come back ------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", ["hanging", "dying", "exiting"])
@pytest.mark.program("parts that hang are waited for")
def test_a_part_that_stops_the_worker_is_left_out_and_the_rest_is_read(folder: Path, function: str) -> None:
    started = time.monotonic()
    found = read(
        folder,
        fields=(fields(function),),
        previewers=(preview(function),),
        checks=(check(function), check("finds_drift", "good")),
    )
    assert codes(found) == ["plugin-stopped"] * 3 + ["good-told", "good-drift"]
    named = [issue["message"] for issue in found.issues[:3]]
    assert [text.split(" was left out")[0] for text in named] == [
        "the metadata reader 'cl'",
        "the preview 'cl'",
        "the check 'cl'",
    ]
    assert found.signals[0]["shape"] == [4, 4]
    assert colour(found) in ("L", "P")
    assert time.monotonic() - started < 60


@pytest.mark.program("its time limit is waited for")
def test_values_that_take_for_ever_cost_the_picture_only(folder: Path) -> None:
    reader = ReaderOffer(name="slow", suffixes=(".honest",), load="hostile_plugins:unreadable")
    with Extractor([reader], timeout=3.0) as extractor:
        found = extractor.extract(survey([("a.honest", 10)], [reader])[0], folder)
    (issue,) = found.issues
    assert issue["code"] == "reader-timeout"
    assert issue["message"].startswith("the drawing of a preview was left out")
    assert found.signals[0]["title"] == "slow"
    assert found.preview is None


# -- where the code lies -------------------------------------------------------------------------------------------

READS = """
import sys
from pathlib import Path
from diadem.extract.pool import Extractor
from diadem.extract.survey import survey
from diadem.hooks.offers import ReaderOffer

reader = ReaderOffer(name="lay", suffixes=(".lay",), load="{package}.reader:read")
if __name__ == "__main__":
    folder = Path(sys.argv[1])
    with Extractor([reader]) as extractor:
        found = extractor.extract(survey([("a.lay", 1)], [reader])[0], folder)
    print(found.signals[0]["title"] if found.signals else found.issues)
"""
READER_SOURCE = """
from importlib import resources
from . import names

def read(path, lazy=True):
    import numpy as np
    title = names.TITLE + resources.files(__package__).joinpath("words.txt").read_text()
    return [{"data": np.zeros((4, 4)), "axes": [], "metadata": {"General": {"title": title}}}]
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package with a module, a submodule and a data file, in a folder of its own, and a file to read."""
    inner = tmp_path / "project" / "laid_out"
    inner.mkdir(parents=True)
    (inner / "__init__.py").write_text("")
    (inner / "names.py").write_text("TITLE = 'found '")
    (inner / "words.txt").write_text("whole")
    (inner / "reader.py").write_text(READER_SOURCE)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.lay").write_bytes(b"x")
    return inner


def run(script: str, tmp_path: Path, cwd: Path, *flags: str) -> str:
    (tmp_path / "script.py").write_text(script)
    done = subprocess.run(
        [sys.executable, *flags, str(tmp_path / "script.py"), str(tmp_path / "data")],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_a_plugin_in_the_current_folder_is_found(package: Path, tmp_path: Path) -> None:
    """As after `pip install -e .` of a project that keeps its package at the top, run from there."""
    script = "import sys; sys.path.insert(0, '')\n" + READS.format(package="laid_out")
    assert run(script, tmp_path, package.parent) == "found whole"


def test_a_namespace_package_is_found(package: Path, tmp_path: Path) -> None:
    (package / "__init__.py").unlink()
    script = "import sys; sys.path.insert(0, '')\n" + READS.format(package="laid_out")
    assert run(script, tmp_path, package.parent) == "found whole"


def test_a_plugin_that_only_an_import_hook_of_the_parent_knows_is_found(package: Path, tmp_path: Path) -> None:
    """As editable installations of setuptools are: a .pth file that installs a finder, here under another name."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "__editable___laid_out.pth").write_text("import __editable___finder; __editable___finder.install()\n")
    finder = f"""
    import sys
    from importlib.util import spec_from_file_location

    class Finder:
        @classmethod
        def find_spec(cls, fullname, path=None, target=None):
            if fullname == "renamed":
                return spec_from_file_location(fullname, {str(package / "__init__.py")!r})

    def install():
        sys.meta_path.append(Finder)
    """
    (site / "__editable___finder.py").write_text(textwrap.dedent(finder))
    script = f"import site; site.addsitedir({str(site)!r})\n" + READS.format(package="renamed")
    assert run(script, tmp_path, tmp_path) == "found whole"


def test_other_code_of_the_current_folder_is_not(package: Path, tmp_path: Path) -> None:
    (package.parent / "json.py").write_text("raise SystemExit('a file of the data folder was run')")
    script = "import sys, json; sys.path.insert(0, '')\n" + READS.format(package="laid_out")
    assert run(script, tmp_path, package.parent, "-P") == "found whole"


# -- pictures ------------------------------------------------------------------------------------------------------


def said(**other: Any) -> dict[str, Any]:
    """What a worker says of a picture of 4 times 3 pixels."""
    return {"rows": 3, "columns": 4, "colours": 1, "pixels": base64.b64encode(bytes(range(12))).decode(), **other}


def test_pixels_become_the_picture() -> None:
    picture = Image.open(io.BytesIO(encoded(said()) or b""))
    assert (picture.mode, picture.size, picture.tobytes()) == ("L", (4, 3), bytes(range(12)))
    picture = Image.open(io.BytesIO(encoded(said(rows=1, colours=3)) or b""))
    assert (picture.mode, picture.size, picture.tobytes()) == ("RGB", (4, 1), bytes(range(12)))


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "iVBORw0KGgo=",
        {},
        said(rows=0),
        said(rows=-3, columns=-4),
        said(rows=1, columns=12.0),
        said(rows=True, columns=12),
        said(rows=161, columns=161, pixels=base64.b64encode(bytes(161 * 161)).decode()),
        said(colours=2, rows=2, columns=3),
        said(colours=[1]),
        said(colours=4, rows=1, columns=3),
        said(pixels=base64.b64encode(bytes(11)).decode()),
        said(pixels=base64.b64encode(bytes(13)).decode()),
        said(pixels="no base64!"),
        said(pixels=12),
        said(pixels="\ud800"),
    ],
)
def test_what_a_worker_says_that_is_no_picture_is_none(answer: Any) -> None:
    assert encoded(answer) is None


def test_tables_without_code_are_their_package_s(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (package := tmp_path / "only_tables").mkdir()
    (package / "__init__.py").write_text("")
    (package / "formats.toml").write_text(
        "[[fields]]\nname = 'tables'\nformats = ['honest']\n[[table]]\nblock = 'header'\nproof = 'made up'\n"
        "[[table.group]]\nfields.\"beam.spot_index\" = 'High tension'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    cutter = FieldsOffer("cutter", ("honest",), {}, "hostile_plugins:honest_blocks")
    with trying("only_tables") as offers:
        tables = [one for one in offers.of(FieldsOffer) if one.name == "tables"]
        found = read(folder, fields=(cutter, *tables), origins=offers.foreign)
    (assertion,) = found.fields["beam.spot_index"]
    assert assertion["by"]["plugin"] == "only_tables"
