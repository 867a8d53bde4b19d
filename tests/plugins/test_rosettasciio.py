"""The bundled plugin: an offer for each reader, cheap to ask for, and true to the installed RosettaSciIO."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from rsciio import IO_PLUGINS

from diadem.hooks.manager import collect
from diadem.hooks.manifest import prober

OFFERS = {offer.name: offer for offer in collect().readers}


def test_every_reader_is_offered() -> None:
    names = {specification["api"].rpartition(".")[2] for specification in IO_PLUGINS}
    assert names <= set(OFFERS)
    called = {offer.load.partition(":")[0] for offer in OFFERS.values() if offer.load.startswith("rsciio.")}
    assert called <= {specification["api"] for specification in IO_PLUGINS}
    assert collect().failures == ()


def test_names_and_suffixes() -> None:
    for offer in OFFERS.values():
        assert offer.name == offer.name.lower()
        assert offer.suffixes
        assert all(suffix == suffix.lower() for suffix in offer.suffixes)


def test_asking_imports_no_reader() -> None:
    code = (
        "import sys; from diadem.hooks.manager import collect; collect();"
        "print([name for name in sys.modules if name in ('numpy', 'h5py', 'dask', 'hyperspy')"
        " or name.startswith('rsciio.') and name.split('.')[1] not in ('_io_plugins', '_logger', '_version')])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize("name", sorted(OFFERS))
def test_targets_exist(name: str) -> None:
    assert not OFFERS[name].probe or callable(prober(OFFERS[name].probe))
    for dotted in filter(None, (OFFERS[name].open, OFFERS[name].load)):
        module, _, function = dotted.partition(":")
        try:
            assert callable(getattr(importlib.import_module(module), function))
        except ImportError as error:
            pytest.skip(f"an optional package of RosettaSciIO is not there: {error.name}")


HDF5 = ["arina", "delmic", "emd", "hspy", "tofwerk", "usid"]
TEXTS = ["empad", "impulse", "jobinyvon", "mrcz", "protochips"]


def probed(name: str, path: Path) -> bool:
    """What the probe of a format says of a file."""
    return bool(prober(OFFERS[name].probe)(str(path)))


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("hspy/*.h*5", "hspy"),
        ("emd-*/*", "emd"),
        ("de5/*.de5", "emd"),
        ("delmic/*.h5", "delmic"),
        ("tofwerk/*.h5", "tofwerk"),
        ("usid/*.h5", "usid"),
        ("arina/*_master.h5", "arina"),
        ("empad/*.xml", "empad"),
        ("jobinyvon/*.xml", "jobinyvon"),
        ("protochips/*.csv", "protochips"),
        ("impulse/*.csv", "impulse"),
        ("mrcz/*.mrcz", "mrcz"),
    ],
)
def test_a_probe_knows_its_own_and_no_other(unpacked_data: Path, pattern: str, name: str) -> None:
    files = sorted(path for path in unpacked_data.glob(pattern) if path.is_file())
    assert files
    for path in files:
        for other in HDF5 if path.read_bytes()[:4] == b"\x89HDF" else TEXTS:
            assert probed(other, path) == (other == name), (path.name, other)


def test_probes_know_strangers(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["spectra"] = np.zeros(4)
    text = tmp_path / "a.csv"
    text.write_text("Name,Value\na,1\n")
    assert not any(probed(name, path) for name in HDF5)
    assert not any(probed(name, text) for name in TEXTS)
