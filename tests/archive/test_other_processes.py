"""What goes to other processes: packages, rows, datasets and lazy signals, opened there and proven there."""

from __future__ import annotations

import copy
import os
import pickle
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import diadem
from diadem.archive.package import Package
from diadem.errors import DigestMismatch, UsageError
from diadem.store.objects import ObjectStore
from diadem.testing.faults import flip_byte
from tests.archive.load_sources import as_list
from tests.services import S3Server

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

FILES = (
    "mrc/HAADFscan.mrc",
    "dm/EELS_SI.dm4",
    "dm/test_STEM_image.dm3",
    "hspy/4d_stem.hspy",
    "emd-velox/fei_emd_si.emd",
    "blo/test1.blo",
)
NAMES = [Path(name).name for name in FILES]
Elsewhere = Callable[[Any, str], Any]


def evaluated(sent: bytes, expression: str) -> Any:
    """What an expression says of `held`, in the process that this is called in."""
    return eval(expression, {"held": pickle.loads(sent)})


def take_keys(server: S3Server) -> None:
    """Put the key of an object store where the process that this is called in looks for it."""
    os.environ.update(AWS_ACCESS_KEY_ID=server.key, AWS_SECRET_ACCESS_KEY=server.secret)


@pytest.fixture(scope="module")
def session(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One file of each format."""
    folder = tmp_path_factory.mktemp("session")
    for name in FILES:
        shutil.copyfile(shared_data / name, folder / Path(name).name)
    return folder


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """A cluster of processes of this machine."""
    distributed = pytest.importorskip("distributed", reason="the extra [dask] is not installed")
    import dask

    patience = {"distributed.comm.timeouts.connect": "180s", "distributed.comm.timeouts.tcp": "180s"}
    with (
        dask.config.set(patience),  # on a busy machine
        distributed.LocalCluster(n_workers=1, threads_per_worker=2, processes=True, dashboard_address=":0") as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def elsewhere(client: Any) -> Elsewhere:
    """What an expression with `held` gives in a worker of the cluster."""
    return lambda held, expression: client.submit(evaluated, pickle.dumps(held), expression, pure=False).result()


@pytest.fixture(scope="module")
def local(session: Path, tmp_path_factory: pytest.TempPathFactory) -> Package:
    """The session in a folder."""
    return diadem.pack(session, tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def far(session: Path, s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Package:
    """The same files in an object store, whose key is a storage option; another package, which nobody has open."""
    pytest.importorskip("botocore", reason="the extra [s3] is not installed")
    url = s3_server.url(uuid.uuid4().hex)
    session = shutil.copytree(session, tmp_path_factory.mktemp("far") / "far")
    (session / "far.txt").write_text("far away")
    return diadem.open(
        diadem.pack(session, url, storage_options=s3_server.storage_options).url,
        storage_options=s3_server.storage_options,
    )


@pytest.mark.parametrize("place", ["local", "far"])
@pytest.mark.parametrize("name", NAMES)
def test_a_lazy_signal_is_computed_on_a_cluster(
    client: Any, place: str, name: str, request: pytest.FixtureRequest
) -> None:
    package: Package = request.getfixturevalue(place)
    if place == "far":
        client.run(take_keys, request.getfixturevalue("s3_server"))
    for signal in as_list(package.load(name)):
        wanted = np.asarray(signal.data).sum(dtype="f8")
        assert client.compute(signal.data.sum(dtype="f8")).result() == pytest.approx(wanted)
        assert client.submit(_sum, signal).result() == pytest.approx(wanted), "a signal is sent as such, too"


def _sum(signal: Any) -> float:
    return float(signal.data.sum(dtype="f8").compute(scheduler="synchronous"))


@pytest.fixture(scope="module")
def damaged(session: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """Signals of another package of the same files, loaded before a byte of each file is flipped."""
    session = shutil.copytree(session, tmp_path_factory.mktemp("damaged") / "damaged")
    (session / "damaged.txt").write_text("to be damaged")
    package = diadem.pack(session, session.parent)
    assert package.path is not None
    signals = {name: as_list(package.load(name)) for name in NAMES}
    for name in NAMES:
        target = package.path / "data" / name
        flip_byte(target, target.stat().st_size // 2)
    return signals


@pytest.mark.parametrize("name", NAMES)
def test_a_worker_proves_what_it_reads(client: Any, damaged: dict[str, list[Any]], name: str) -> None:
    for signal in damaged[name]:
        with pytest.raises(DigestMismatch, match="are not what was archived") as caught:
            client.compute(signal.data.sum()).result()
        assert caught.value.where == f"data/{name}"
        assert caught.value.next == "Take this part from another copy of the package."


def test_a_worker_proves_what_an_object_store_gives(client: Any, session: Path, s3_server: S3Server) -> None:
    pytest.importorskip("botocore", reason="the extra [s3] is not installed")
    url = s3_server.url(uuid.uuid4().hex)
    package = diadem.pack(session / "4d_stem.hspy", url, storage_options=s3_server.storage_options)
    client.run(take_keys, s3_server)
    total = package.load("4d_stem.hspy").data.sum()
    store = ObjectStore(url, s3_server.storage_options)
    key = f"{package.url.removeprefix(url + '/')}/data/4d_stem.hspy"
    damaged = bytearray(store.bundle(key.partition("/data/")[0]).read("data/4d_stem.hspy", 1 << 30))
    damaged[len(damaged) // 2] ^= 0xFF
    store.client.put(key, bytes(damaged))
    with pytest.raises(DigestMismatch, match="are not what was archived"):
        client.compute(total).result()


def test_what_hyperspy_makes_of_a_lazy_signal_can_be_sent(local: Package, elsewhere: Elsewhere) -> None:
    signal = local.load("4d_stem.hspy")
    cut = signal.inav[:5, 2].sum("x")
    cut.metadata.General.title = "a row"
    again = pickle.loads(pickle.dumps(cut))
    assert (type(again), again.metadata.General.title) == (type(cut), "a row")
    assert again.axes_manager.as_dictionary() == cut.axes_manager.as_dictionary()
    assert np.array_equal(np.asarray(again.data), np.asarray(cut.data))
    assert elsewhere(cut, "float(held.data.sum())") == float(cut.data.sum())


@pytest.mark.parametrize("place", ["local", "far"])
def test_packages_files_and_datasets_are_opened_again(
    client: Any, elsewhere: Elsewhere, place: str, request: pytest.FixtureRequest
) -> None:
    package: Package = request.getfixturevalue(place)
    if place == "far":
        client.run(take_keys, request.getfixturevalue("s3_server"))
    assert elsewhere(package, "held.id, held.verify().ok, len(held)") == (package.id, True, len(package))
    dataset, shape = package["EELS_SI.dm4"], (2, 2, 2048)
    assert elsewhere(dataset, "held.package.id, held.load().data.shape") == (package.id, shape)
    assert elsewhere(package.record, "held.datasets['EELS_SI.dm4'].package.id") == package.id
    with package.open("EELS_SI.dm4") as file:
        assert elsewhere(file, "held.read_at(20, 4)") == file.read_at(20, 4)


def test_keys_and_passwords_stay_where_they_are(far: Package, s3_server: S3Server) -> None:
    signal = far.load("4d_stem.hspy")
    for held in (far, far.fs, far.open("test1.blo"), far["test1.blo"], signal, signal.data):
        sent = pickle.dumps(held)
        assert s3_server.secret.encode() not in sent
        assert s3_server.endpoint.encode() in sent
        assert copy.deepcopy(held) is not None, "in this process nothing is opened anew"


def test_a_package_in_a_zip_is_opened_again(local: Package, elsewhere: Elsewhere, tmp_path: Path) -> None:
    path = shutil.make_archive(str(tmp_path / "s"), "zip", local.path)
    with diadem.open(path).open("test1.blo") as file:
        assert elsewhere(file, "len(held.read())") == file.size


def test_another_package_in_its_place_is_refused(tmp_path: Path) -> None:
    session = tmp_path / "session"
    session.mkdir()
    (session / "some.txt").write_text("some")
    package = diadem.pack(session, tmp_path / "store")
    sent = pickle.dumps(package)
    (session / "more.txt").write_text("more")
    other = diadem.pack(session, tmp_path / "other")
    assert package.path is not None
    assert other.path is not None
    place = package.path
    (tmp_path / "store").rename(tmp_path / "away")
    with pytest.raises(diadem.NotFound):
        pickle.loads(sent)
    shutil.copytree(other.path, place)
    with pytest.raises(diadem.IntegrityError):
        pickle.loads(sent)


def test_a_package_of_no_address_says_so(local: Package) -> None:
    with pytest.raises(UsageError, match="no address"):
        pickle.dumps(Package(local.bundle))
