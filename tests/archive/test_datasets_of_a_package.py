"""From a package to its datasets, from a dataset to its package, its signal and its picture."""

from __future__ import annotations

import gc
import pickle
import weakref
from pathlib import Path
from typing import Any

import pytest

import diadem
from diadem.archive.package import Package
from diadem.errors import NotFound, UsageError

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


def test_a_package_is_a_sequence_of_its_datasets(corpus: Package) -> None:
    assert len(corpus) == len(corpus.record.datasets) == len(list(corpus)) > 90
    assert bool(corpus)
    names = corpus._ipython_key_completions_()
    assert names == [dataset.path for dataset in corpus] == corpus.record.datasets._ipython_key_completions_()
    assert corpus[0] == corpus.record.datasets[0]
    assert [one.id for one in corpus.record.datasets[:3]] == ["d1", "d2", "d3"]


@pytest.mark.parametrize(
    "name",
    [
        "dm/EELS_SI.dm4", "data/dm/EELS_SI.dm4", "EELS_SI.dm4", "dm\\EELS_SI.dm4",
    ],
)  # fmt: skip
def test_a_dataset_has_names(corpus: Package, name: str) -> None:
    found = corpus[name]
    assert found.path == "dm/EELS_SI.dm4"
    assert corpus.record.datasets[name] == corpus[found.id] == found
    assert name in corpus
    assert corpus.record.datasets.__contains__(name)
    assert found in corpus


def test_the_companion_of_a_dataset_means_it(corpus: Package) -> None:
    assert corpus["128x128_TEM_acquire-sum1_1.ser"].path == "tia/128x128_TEM_acquire-sum1.emi"


def test_names_that_mean_none_or_several(corpus: Package) -> None:
    with pytest.raises(NotFound, match=r"no dataset 'EELS_SI\.dm3'") as raised:
        corpus.record.datasets.find("EELS_SI.dm3")
    assert "dm/EELS_SI.dm4" in str(raised.value.next)
    assert "EELS_SI.dm3" not in corpus
    with pytest.raises(NotFound, match="has no dataset"):
        corpus.record.datasets.find("no/such/thing")
    with pytest.raises(IndexError):
        corpus.record.datasets.__getitem__(10_000)
    wrongs: list[Any] = [None, 1.5, b"scan.dm4", ("scan.dm4", 1)]
    for wrong in wrongs:
        for ask in (corpus.__getitem__, corpus.open, corpus.load):
            with pytest.raises(UsageError, match="is not the name of a file or dataset"):
                ask(wrong)


def test_two_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / "s" / folder).mkdir(parents=True)
        (tmp_path / "s" / folder / "scan.xyz").write_text(folder)
    package = diadem.pack(tmp_path / "s", tmp_path / "store")
    with pytest.raises(NotFound, match=r"several datasets are called 'scan\.xyz'") as raised:
        package.record.datasets.find("scan.xyz")
    assert "a/scan.xyz, b/scan.xyz" in str(raised.value.next)
    assert package["b/scan.xyz"].id == "d2"


def test_from_a_dataset_to_its_signal_and_back(corpus: Package) -> None:
    dataset = corpus.record.datasets["HAADFscan.mrc"]
    assert dataset.package is corpus
    signal = dataset.load()
    assert signal.data.shape == (16, 16)
    assert signal.metadata.General.diadem.package == corpus.id
    assert dataset.load(lazy=False, signal="s1").data.shape == (16, 16)


def test_every_file_that_is_listed_can_be_opened_and_loaded(corpus: Package) -> None:
    entry = next(one for one in corpus.files if one.path.endswith("HAADFscan.mrc"))
    with corpus.open(entry.path) as file:
        assert len(file.read()) == entry.size
    assert corpus.load(entry.path, signal="s1").data.shape == (16, 16)


def test_a_record_without_a_package_says_where_to_take_it_from(corpus: Package, shared_data: Path) -> None:
    loose = diadem.extract(shared_data / "mrc" / "HAADFscan.mrc").datasets[0]
    for ask in (loose.load, loose.picture):
        with pytest.raises(UsageError, match="not belong to a package"):
            ask()
    copied = pickle.loads(pickle.dumps(corpus.record))
    assert copied.datasets["d2"] == corpus["d2"]
    assert copied.datasets["d2"].package.id == corpus.id
    assert pickle.loads(pickle.dumps(loose)) == loose


def test_where_a_package_lies(corpus: Package) -> None:
    assert corpus.path is not None
    assert (corpus.path / "bagit.txt").is_file()


def test_a_package_goes_when_nobody_holds_it(tmp_path: Path, shared_data: Path) -> None:
    """A loop over thousands of packages must not keep them, whatever was asked of each."""
    folder = tmp_path / "s"
    folder.mkdir()
    (folder / "scan.mrc").write_bytes((shared_data / "mrc" / "HAADFscan.mrc").read_bytes())
    diadem.pack(folder, tmp_path / "store")
    package = diadem.open(next((tmp_path / "store").glob("*/*")))
    held = weakref.ref(package)
    gc.collect()
    gc.disable()
    try:
        assert package["scan.mrc"].value("beam.acceleration_voltage") == 300_000
        assert "300 kV" in str(package.show())
        del package
        assert held() is None, "no ring is left that only the collector finds"
    finally:
        gc.enable()
    package = diadem.open(next((tmp_path / "store").glob("*/*")))
    package["scan.mrc"].load(lazy=False)
    package["scan.mrc"].picture()
    held = weakref.ref(package)
    del package
    gc.collect()
    assert held() is None


def test_a_package_of_everything_is_one_screen_too(corpus: Package) -> None:
    seen = corpus.show()
    lines = str(seen).splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines[: lines.index("")])) <= 110
    assert "XX_XXXXXX_XX" in seen.samples
    assert f"{len(corpus)} datasets, " in str(seen)
    assert f"and {len(corpus) - 12} more: diadem show" in str(seen)
    assert repr(seen) == str(seen)
    assert [one["id"] for one in seen.to_dict()["datasets"]] == [one.id for one in corpus]
    assert repr(corpus["dm/test_STEM_image.dm3"]).startswith("<Dataset ")
