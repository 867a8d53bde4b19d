"""Loading real files: the same arrays as the reader gives, damage found where it is, nothing else read."""

from __future__ import annotations

import cProfile
import importlib
import os
import pstats
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import diadem
from diadem.archive.load import proof as headers
from diadem.archive.load import proof as proving
from diadem.archive.load.files import load
from diadem.errors import DigestMismatch, NotFound, ReaderError, StoreError, UsageError
from diadem.testing.faults import flip_byte, truncate
from diadem.testing.samples import Axis, signal_dictionary, write_mrc, write_signal
from tests.archive.load_sources import Payload, as_list, offer, same, values
from tests.plugins.velox.made_up import MINIMAL, velox

pytestmark = [
    # HyperSpy and RosettaSciIO on files of other programs and other times.
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

#: Leaf-proven: reader, folder and file names, side files.
LEAVES: Sequence[tuple[str, str, Sequence[str]]] = (
    ("blockfile", "blo/test1.blo", ()),
    ("digitalmicrograph", "dm/EELS_SI.dm4", ()),
    ("digitalmicrograph", "dm/Fei HAADF-DE_location.dm3", ()),
    ("digitalmicrograph", "dm/Fei HAADF-MX_location.dm3", ()),
    ("digitalmicrograph", "dm/JEOL3010_TEM_diffraction_dataZeroed.dm3", ()),
    ("digitalmicrograph", "dm/Titan_EDS_SI_dataZeroed.dm4", ()),
    ("digitalmicrograph", "dm/Titan_EELS_proc_1_dataZeroed.dm3", ()),
    ("digitalmicrograph", "dm/Titan_survey_image_dataZeroed.dm3", ()),
    ("digitalmicrograph", "dm/multi_signal.dm3", ()),
    ("digitalmicrograph", "dm/neoarm-gatan_image_dataZeroed.dm4", ()),
    ("digitalmicrograph", "dm/test-1.dm3", ()),
    ("digitalmicrograph", "dm/test-EELS_spectrum.dm3", ()),
    ("digitalmicrograph", "dm/test-MonarcCL_spectrum-ccd.dm4", ()),
    ("digitalmicrograph", "dm/test_STEM_image.dm3", ()),
    ("digitalmicrograph", "dm/test_diffraction_pattern.dm3", ()),
    ("emd", "de5/de5_public.de5", ()),
    ("emd", "emd-ncem/Si100_3D.emd", ()),
    ("emd", "emd-ncem/example_metadata.emd", ()),
    ("emd", "emd-ncem/example_signal.emd", ()),
    ("emd", "emd-ncem/py4DSTEM_size2x3x4x5.h5", ()),
    ("emd", "emd-velox/1532 Camera Ceta.emd", ()),
    ("emd", "emd-velox/fei_emd_image.emd", ()),
    ("emd", "emd-velox/fei_example_dpc_titles.emd", ()),
    ("emd", "emd-velox/fei_example_tem_stack.emd", ()),
    ("hspy", "hspy/4d_stem.hspy", ()),
    ("hspy", "hspy/EDS_SEM_TM002.hspy", ()),
    ("hspy", "hspy/example1_v1.2.hdf5", ()),
    ("hspy", "hspy/example2_v3.1.hspy", ()),
    ("mrc", "mrc/HAADFscan.mrc", ()),
    (
        "mrc",
        "mrc/20241021_00405_movie.mrc",
        ("mrc/20241021_00405_info.txt", "mrc/20241021_00405_0_Virt 0_sum.mrc", "mrc/20241021_00405_final.mrc"),
    ),
    ("quantumdetector", "mib/002_4x2_6bit_roi128.mib", ("mib/002_4x2_6bit_roi128.hdr",)),
    ("quantumdetector", "mib/Single_1_Frame_CounterDepth_12_Rows_256.mib", ()),
    ("tia", "tia/128x128_TEM_acquire-sum1.emi", ("tia/128x128_TEM_acquire-sum1_1.ser",)),
    (
        "tia",
        "tia/16x16-line_profile_horizontal_5x128x128_EDS.emi",
        tuple(f"tia/16x16-line_profile_horizontal_5x128x128_EDS_{n}.ser" for n in (1, 2)),
    ),
    ("tia", "tia/16x16-spectrum_image-5x5x1024.emi", ("tia/16x16-spectrum_image-5x5x1024_1.ser",)),
    (
        "tia",
        "tia/Titan_TEM_1_STEM_image_dataZeroed.emi",
        tuple(f"tia/Titan_TEM_1_STEM_image_dataZeroed_{n}.ser" for n in (1, 2)),
    ),
    ("tia-ser", "tia/64x64_TEM_images_acquire_1.ser", ()),
    ("tia-ser", "tia/16x16-spectrum_image-5x5x1024_1.ser", ()),
    ("tia-ser", "tia/Titan_TEM_4_eds_line_scan_2_dataZeroed_1.ser", ()),
    ("tvips", "tvips/test_tvips_2233_000.tvips", ()),
    ("ripple", "rpl/test_ripple_sdim-1_ndim-1_uint16.rpl", ("rpl/test_ripple_sdim-1_ndim-1_uint16.raw",)),
    ("tiff", "tif-fei/FEI-Helios-Ebeam-8bits.tif", ()),
    ("tiff", "tif-gatan/test_loading_image_saved_with_DM.tif", ()),
    ("tiff", "tif-hamamatsu/test_hamamatsu_streak_FOCUS.tif", ()),
    ("tiff", "tif-tvips/TVIPS_bin4.tif", ()),
    ("tiff", "tif-zeiss/test_tiff_Zeiss_SEM_512pix.tif", ()),
)

#: Proven first: packed values, or formats whose layout nobody tells.
FIRST: Sequence[tuple[str, str, Sequence[str]]] = (
    ("digitalmicrograph", "dm/test_fft_packed_complex8.dm4", ()),
    ("bruker", "bruker/test_TEM.bcf", ()),
    ("bruker", "bruker/bruker_nano.spx", ()),
    ("msa", "msa/example1.msa", ()),
    ("nexus", "nxs/simple_signal.nxs", ()),
    ("pantarhei", "prz/panta_rhei_sample.prz", ()),
    ("tiff", "tif-zeiss-orion/orion-zeiss_dataZeroed.tif", ()),
)


@pytest.fixture(scope="module")
def payload(unpacked_data: Path) -> Payload:
    """All real files, pinned in leaves of 4 KiB, so that small files have many."""
    return Payload(unpacked_data, leaf_size=4096)


def _reference(reader: str, path: Path, lazy: bool = False) -> list[Any]:
    """What HyperSpy makes of RosettaSciIO's dictionaries."""
    from hyperspy.io import dict2signal

    chosen = offer(reader)
    module, _, name = chosen.load.partition(":")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read = getattr(importlib.import_module(module), name)(str(path), **{"lazy": lazy, **chosen.options})
        return [dict2signal(found, lazy=lazy) for found in read if "data" in found]


def _metadata(signal: Any) -> Any:
    tree = signal.metadata.as_dictionary()
    tree["General"].pop("diadem", None)
    tree["Signal"].pop("binned", None)
    tree.pop("_HyperSpy", None)  # signals among the metadata, told apart by the addresses of their functions
    return _in_order(tree)


def _in_order(tree: Any) -> Any:
    """Its class may have said some of it, and then later: the order tells nothing."""
    return {key: _in_order(tree[key]) for key in sorted(tree)} if isinstance(tree, dict) else tree


@pytest.mark.parametrize("lazy", [True, False])
@pytest.mark.parametrize(("reader", "path", "sidecars"), LEAVES, ids=lambda value: value if "/" in value else None)
def test_the_same_as_the_reader_leaf_by_leaf(
    payload: Payload, reader: str, path: str, sidecars: Sequence[str], lazy: bool
) -> None:
    found = as_list(load(payload.source(path, sidecars), offer=offer(reader), lazy=lazy))
    wanted = _reference(reader, payload.folder / path)
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert one.metadata.General.diadem.verify == "leaves"
        assert one.metadata.General.diadem.path == path
        assert one._lazy == lazy
        assert same(values(one), other.data)
        assert [axis.size for axis in one.axes_manager._axes] == [axis.size for axis in other.axes_manager._axes]
        assert repr(_metadata(one)) == repr(_metadata(other))


@pytest.mark.parametrize(("reader", "path", "sidecars"), FIRST, ids=lambda value: value if "/" in value else None)
def test_the_same_as_the_reader_proven_first(payload: Payload, reader: str, path: str, sidecars: Sequence[str]) -> None:
    found = as_list(load(payload.source(path, sidecars), offer=offer(reader)))
    wanted = _reference(reader, payload.folder / path)
    for one, other in zip(found, wanted, strict=True):
        assert one.metadata.General.diadem.verify == "proven-file"
        assert one._lazy
        assert same(values(one), other.data)


def test_a_folder_that_is_a_dataset(payload: Payload) -> None:
    folder = "zspy/signal1d_10x10-DirectoryStore.zspy"
    every = (payload.folder / folder).rglob("*")
    inside = sorted(path.relative_to(payload.folder).as_posix() for path in every if path.is_file())
    source = payload.source(inside[0], inside[1:], entry=folder)
    (wanted,) = _reference("zspy", payload.folder / folder)
    signal = load(source, offer=offer("zspy"))
    assert same(values(signal), wanted.data)
    assert signal.metadata.General.diadem.path == folder
    with payload.damaged(next(name for name in inside if name.endswith("/0.1")), 20), pytest.raises(DigestMismatch):
        load(source, offer=offer("zspy"), verify="always")


@pytest.mark.parametrize(("reader", "path", "sidecars"), [LEAVES[i] for i in (0, 1, 24, 28, 30)])
def test_far_away(payload: Payload, reader: str, path: str, sidecars: Sequence[str]) -> None:
    source = payload.source(path, sidecars, far=True)
    found = as_list(load(source, offer=offer(reader)))
    for one, other in zip(found, _reference(reader, payload.folder / path), strict=True):
        assert one.metadata.General.diadem.verify == "leaves"
        assert same(values(one), other.data)


def test_far_away_proven_first_keeps_one_copy(payload: Payload) -> None:
    path = "nxs/simple_signal.nxs"
    source = payload.source(path, far=True)
    wanted, *_ = _reference("nexus", payload.folder / path)
    assert same(values(load(source, offer=offer("nexus"), signal=0)), wanted.data)
    before = payload.read
    assert same(values(load(source, offer=offer("nexus"), signal=0)), wanted.data)
    assert payload.read - before <= payload.folder.joinpath(path).stat().st_size  # a look at the primary, no copy


def test_proven_copies_do_not_pile_up(payload: Payload, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that fails goes at once; one that is made again takes the place of the other, under whoever reads that."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    path = "nxs/nexus_dls_example.nxs"
    source = payload.source(path, far=True)
    with payload.damaged(path, 20), pytest.raises(DigestMismatch):
        load(source, offer=offer("nexus"))
    assert not list(tmp_path.iterdir())
    first = load(source, offer=offer("nexus"), signal=0)
    assert same(values(load(source, offer=offer("nexus"), verify="always", signal=0)), values(first))
    assert len(list(tmp_path.iterdir())) == 1


def test_no_room_for_a_copy(payload: Payload, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proving, "_SPARE", 1 << 62)
    with pytest.raises(StoreError, match="needs"):
        load(payload.source("msa/example1.msa", far=True), offer=offer("msa"))


# -- damage --------------------------------------------------------------------------------------------------------


def _stack(folder: Path) -> tuple[str, int, int]:
    """An MRC of 64 frames of 64 KiB: name, bytes before the first frame, bytes in a frame."""
    data = np.random.default_rng(5).integers(0, 1000, (64, 128, 256)).astype(np.uint16)
    write_mrc(folder / "stack.mrc", data, (1.0, 1.0, 1.0), "frames")
    return "stack.mrc", 1024, 65536


def test_a_flipped_byte_spoils_its_chunk_only(tmp_path: Path) -> None:
    name, start, frame = _stack(tmp_path)
    (wanted,) = _reference("mrc", tmp_path / name)
    payload = Payload(tmp_path, leaf_size=4096)
    signal = load(payload.source(name), offer=offer("mrc"))
    with payload.damaged(name, start + 20 * frame + 30_000):
        assert same(signal.data[:20].compute(), wanted.data[:20])
        assert same(signal.inav[21:].data.compute(), wanted.data[21:])
        with pytest.raises(DigestMismatch) as caught:
            signal.data[20].compute()
        with pytest.raises(DigestMismatch):
            signal.sum().compute()
        again = load(payload.source(name), offer=offer("mrc"))
        assert same(again.data[:20].compute(), wanted.data[:20])
        with pytest.raises(DigestMismatch):
            load(payload.source(name), offer=offer("mrc"), lazy=False)
    assert caught.value.where == "data/stack.mrc"
    assert caught.value.range is not None
    assert caught.value.range[0] <= start + 20 * frame + 30_000 < caught.value.range[1]


def test_a_flipped_byte_in_the_header_raises_at_load(tmp_path: Path) -> None:
    name, _, _ = _stack(tmp_path)
    payload = Payload(tmp_path, leaf_size=4096)
    with payload.damaged(name, 200), pytest.raises(DigestMismatch):
        load(payload.source(name), offer=offer("mrc"))


def test_every_byte_of_every_format_is_guarded(payload: Payload) -> None:
    """A flip anywhere raises at load or at compute; nothing damaged is ever returned."""
    random = np.random.default_rng(11)
    for reader, path, sidecars in [LEAVES[i] for i in (0, 1, 16, 24, 28, 30, 34)]:
        (wanted, *_) = _reference(reader, payload.folder / path)
        size = (payload.folder / path).stat().st_size
        for offset in (0, *random.integers(0, size, 6)):
            with payload.damaged(path, int(offset)):
                try:
                    found = as_list(load(payload.source(path, sidecars), offer=offer(reader)))[0]
                    data = values(found)
                except DigestMismatch:
                    continue
            # The byte belongs to nothing that was asked for: alignment, a virtual image, another signal.
            assert same(data, wanted.data)


def test_hdf5_chunks_other_than_the_damaged_one_compute(tmp_path: Path) -> None:
    import h5py
    from rsciio.hspy import file_writer

    data = np.random.default_rng(2).random((16, 64, 64))
    axes = (Axis("n", 1, "", navigate=True), Axis("y", 1, "nm"), Axis("x", 1, "nm"))
    written = signal_dictionary(data, axes, {"General": {"title": "a"}, "Signal": {}})
    file_writer(str(tmp_path / "a.hspy"), written, chunks=(4, 64, 64))
    with h5py.File(tmp_path / "a.hspy") as file:
        stored = file["Experiments"]["a"]["data"].id
        chunks = [stored.get_chunk_info(number) for number in range(stored.get_num_chunks())]
    middle = chunks[len(chunks) // 2]
    payload = Payload(tmp_path, leaf_size=4096)
    signal = load(payload.source("a.hspy"), offer=offer("hspy"))
    assert len(chunks) > 2
    with payload.damaged("a.hspy", middle.byte_offset + middle.size // 2):
        with pytest.raises(DigestMismatch) as caught:
            signal.data[middle.chunk_offset[0]].compute()
        assert same(signal.data[0].compute(), data[0])
        assert same(signal.data[-1].compute(), data[-1])
    assert caught.value.where == "data/a.hspy"


def test_a_damaged_side_file_raises(payload: Payload) -> None:
    path, sidecars = next(one[1:] for one in LEAVES if one[2])
    with payload.damaged(sidecars[0], 3), pytest.raises(DigestMismatch) as caught:
        load(payload.source(path, sidecars), offer=offer("ripple"), verify="always")
    assert caught.value.where == f"data/{sidecars[0]}"


# -- what counts as a proof ----------------------------------------------------------------------------------------


def test_a_proof_counts_until_the_file_changes(tmp_path: Path, unpacked_data: Path) -> None:
    target = tmp_path / "a.bcf"
    shutil.copyfile(unpacked_data / "bruker/test_TEM.bcf", target)
    payload = Payload(tmp_path, leaf_size=1024)
    source = payload.source("a.bcf")

    def read() -> int:
        before = payload.read
        load(source, offer=offer("bruker"))
        return int(payload.read - before)

    first = read()
    assert read() < first
    flip_byte(target, target.stat().st_size - 1)  # the modification time stays: only a new look finds it
    load(source, offer=offer("bruker"))
    with pytest.raises(DigestMismatch):
        load(source, offer=offer("bruker"), verify="always")
    status = target.stat()
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns + 2_000_000_000))
    with pytest.raises(DigestMismatch):
        load(source, offer=offer("bruker"))


def test_a_damaged_head_is_found_at_every_load(tmp_path: Path, unpacked_data: Path) -> None:
    target = tmp_path / "a.msa"
    shutil.copyfile(unpacked_data / "msa/example1.msa", target)
    source = Payload(tmp_path, leaf_size=64).source("a.msa")
    load(source, offer=offer("msa"))
    flip_byte(target, 700)  # the modification time stays
    with pytest.raises(DigestMismatch):
        load(source, offer=offer("msa"))


def test_never_reads_what_is_there_and_says_so(tmp_path: Path) -> None:
    name, start, _ = _stack(tmp_path)
    payload = Payload(tmp_path, leaf_size=4096)
    with payload.damaged(name, start + 100):
        signal = load(payload.source(name), offer=offer("mrc"), verify="never")
        assert signal.metadata.General.diadem.verify == "never"
        assert same(values(signal), _reference("mrc", tmp_path / name)[0].data)


def test_always_says_so(tmp_path: Path) -> None:
    name, start, _ = _stack(tmp_path)
    payload = Payload(tmp_path, leaf_size=4096)
    assert (
        load(payload.source(name), offer=offer("mrc"), verify="always").metadata.General.diadem.verify == "proven-file"
    )
    with payload.damaged(name, start + 100), pytest.raises(DigestMismatch):
        load(payload.source(name), offer=offer("mrc"), verify="always")


def test_another_word_is_refused(payload: Payload) -> None:
    with pytest.raises(UsageError, match="'maybe'"):
        load(payload.source("msa/example1.msa"), offer=offer("msa"), verify="maybe")  # type: ignore[arg-type]


# -- what is read --------------------------------------------------------------------------------------------------


def test_pixels_of_a_velox_file_are_read_once(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 1 << 16, (1024, 1024, 2), np.uint16)
    velox(tmp_path / "a.emd", [MINIMAL] * 2, data=pixels)
    payload = Payload(tmp_path, leaf_size=4096)
    loaded = load(payload.source("a.emd"), offer=offer("emd"), lazy=False)
    assert np.array_equal(loaded.data, pixels.transpose(2, 0, 1))
    assert payload.read < 1.5 * pixels.nbytes


def test_a_slice_reads_its_leaves_only(tmp_path: Path) -> None:
    name, _, frame = _stack(tmp_path)
    payload = Payload(tmp_path, leaf_size=4096)
    signal = load(payload.source(name), offer=offer("mrc"))
    assert payload.read <= 16 * 4096
    payload.read = 0
    signal.data[30].compute()
    assert payload.read <= frame + 2 * 8 * 4096


def test_headers_that_are_too_long_are_proven_with_the_file(payload: Payload, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headers, "MAX_BYTES", 1000)
    signal = load(payload.source("mrc/HAADFscan.mrc"), offer=offer("mrc"))
    assert signal.metadata.General.diadem.verify == "proven-file"
    assert same(values(signal), _reference("mrc", payload.folder / "mrc/HAADFscan.mrc")[0].data)


def test_a_truncated_scan(tmp_path: Path, unpacked_data: Path) -> None:
    shutil.copyfile(unpacked_data / "blo/test1.blo", tmp_path / "a.blo")
    truncate(tmp_path / "a.blo", 100_000)
    source = Payload(tmp_path).source("a.blo")
    with pytest.raises(ReaderError, match="promises at least"):
        load(source, offer=offer("blockfile"))
    rest = load(source, offer=offer("blockfile"), lazy=False)
    assert rest.metadata.General.diadem.verify == "proven-file"
    assert rest.data.any()


def test_blo_written_here(tmp_path: Path) -> None:
    data = np.random.default_rng(3).integers(0, 255, (5, 7, 16, 16)).astype(np.uint8)
    axes = (Axis("y", 2, "nm", True), Axis("x", 2, "nm", True), Axis("ky", 0.1, "cm"), Axis("kx", 0.1, "cm"))
    metadata = {"General": {"title": "a"}, "Signal": {"signal_type": ""}}
    write_signal(tmp_path / "a.blo", signal_dictionary(data, axes, metadata))
    signal = load(Payload(tmp_path).source("a.blo"), offer=offer("blockfile"))
    assert signal.metadata.General.diadem.verify == "leaves"
    assert same(values(signal), data)


# -- what comes back -----------------------------------------------------------------------------------------------


def test_choosing_a_signal(payload: Payload) -> None:
    source = payload.source("emd-velox/fei_example_dpc_titles.emd")
    every = load(source, offer=offer("emd"))
    titles = [signal.metadata.General.title for signal in every]
    assert same(values(load(source, offer=offer("emd"), signal=2)), values(every[2]))
    assert same(values(load(source, offer=offer("emd"), signal=-1)), values(every[-1]))
    chosen = next(title for title in titles if titles.count(title) == 1)
    assert load(source, offer=offer("emd"), signal=chosen).metadata.General.title == chosen
    assert same(values(load(source, offer=offer("emd"), signal="s3")), values(every[2]))
    with pytest.raises(NotFound, match="no signal 'nothing'") as caught:
        load(source, offer=offer("emd"), signal="nothing")
    told = str(caught.value.next).split("; ")
    assert len(set(told)) == len(every)
    assert all(
        f"{number} (s{number + 1}) '{title}'" in one
        for number, (title, one) in enumerate(zip(titles, told, strict=True))
    )
    with pytest.raises(NotFound, match="It has: 0 "):
        load(source, offer=offer("emd"), signal=99)


def test_saving_without_a_name_does_not_write_into_the_package(
    payload: Payload, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = set(payload.folder.rglob("*"))
    signal = load(payload.source("mrc/HAADFscan.mrc"), offer=offer("mrc"))
    signal.metadata.General.original_filename = "out.hspy"
    signal.save()
    assert (tmp_path / "out.hspy").exists()
    assert set(payload.folder.rglob("*")) == before


def test_saving_beside_does_not_close_the_lazy_file(
    payload: Payload, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    signal = load(payload.source("hspy/4d_stem.hspy"), offer=offer("hspy"))
    small = load(payload.source("msa/example1.msa"), offer=offer("msa"), lazy=False)
    small.save("4d_stem.hspy")
    assert same(values(signal), _reference("hspy", payload.folder / "hspy/4d_stem.hspy")[0].data)


def test_a_missing_package_is_named(payload: Payload) -> None:
    from dataclasses import replace

    broken = replace(offer("msa"), load="package_that_is_not_there:read")
    with pytest.raises(ReaderError, match="not installed: package_that_is_not_there") as caught:
        load(payload.source("msa/example1.msa"), offer=broken)
    assert caught.value.where == "msa/example1.msa"


def test_a_process_ends_well_with_lazy_hdf5_open(payload: Payload) -> None:
    """HDF5 closes its files after Python has gone, which would crash a process that left one open."""
    program = (
        "import sys; sys.path[:0] = sys.argv[1:2]\n"
        "from pathlib import Path\n"
        "from tests.archive.load_sources import Payload, offer\n"
        "from diadem.archive.load.files import load\n"
        "signal = load(Payload(Path(sys.argv[2])).source('4d_stem.hspy'), offer=offer('hspy'))\n"
        "print(signal.data.sum().compute() >= 0)\n"
    )
    here = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", program, here, str(payload.folder / "hspy")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "True"), done.stderr


def test_a_chunk_is_read_without_a_graph_of_its_own(tmp_path: Path) -> None:
    """What a reader has cut with Dask is read itself: a graph in each chunk costs ten times the reading."""
    with h5py.File(tmp_path / "scan.hspy", "w") as file:
        file.attrs["file_format"], file.attrs["file_format_version"] = "HyperSpy", "3.3"
        scan = file.create_group("Experiments/scan")
        scan.create_dataset("data", data=np.arange(4096, dtype="u2").reshape(64, 64), chunks=(8, 8))
        for number in range(2):
            axis = scan.create_group(f"axis-{number}")
            axis.attrs.update({"name": "yx"[number], "size": 64, "scale": 1.0, "offset": 0.0, "navigate": False})
            axis.attrs.update({"units": "nm", "index_in_array": number, "_type": "UniformDataAxis"})
        scan.create_group("metadata/General").attrs["title"] = "counts"
        scan.create_group("metadata/Signal").attrs["signal_type"] = ""
        scan.create_group("original_metadata")
    data = diadem.pack(tmp_path / "scan.hspy", tmp_path / "archive").load("scan.hspy").data
    assert data.npartitions > 1
    profile = cProfile.Profile()
    assert profile.runcall(data.sum().compute, scheduler="synchronous") == sum(range(4096))
    stats = pstats.Stats(profile).get_stats_profile().func_profiles
    assert stats["get_sync"].ncalls == "1", "one graph is computed, and none within it"
