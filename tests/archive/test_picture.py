"""Pictures of real datasets: what they show, in true proportions, with lengths; and how little they read."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import diadem
from diadem.archive.package import Package
from diadem.archive.picture import Picture
from diadem.errors import DigestMismatch, NotFound, ReaderError, UsageError
from diadem.testing import samples
from diadem.testing.faults import flip_byte

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


def pixels(picture: Picture) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """A picture's pixels, which must be what it says."""
    with Image.open(io.BytesIO(picture.png)) as image:
        assert (image.format, image.size) == ("PNG", (picture.width, picture.height))
        return np.asarray(image.convert("RGB"))


def bar_of(shown: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> int:
    """Length of the longest white run in the lower left corner: the scale bar."""
    corner = shown[shown.shape[0] * 3 // 4 :, : shown.shape[1] // 2].min(axis=2) == 255
    runs = ["".join("x" if one else " " for one in row) for row in corner]
    return max(len(run) for row in runs for run in row.split() or [""])


@pytest.mark.parametrize(
    ("name", "about", "size"),
    [
        ("dm/test_STEM_image.dm3", "test_STEM_image, 68 × 68, scale bar 5 nm", (476, 476)),
        ("mrc/HAADFscan.mrc", "HAADFscan.mrc, 16 × 16, scale bar 20 nm", (512, 512)),
        ("emd-velox/fei_emd_image.emd", "HAADF, 512 × 512, scale bar 500 nm", (512, 512)),
        ("dm/test_diffraction_pattern.dm3", "test_diffraction_pattern, 87 × 87, scale bar 2 1/nm", (435, 435)),
        ("msa/example1.msa", "NIO EELS OK SHELL, 21, Energy 520.1 eV to 582.1 eV", (512, 307)),
        ("blo/test1.blo", "test1.blo, 3 × 2 × 144 × 144, sum at each place, scale bar 5 nm", (340, 510)),
        ("dm/EELS_SI.dm4", "EELS_SI, 2 × 2 × 2,048, sum at each place, scale bar 1 nm", (512, 512)),
        ("mrcz/haadf_public.mrcz", "stack from fei_emd_image.emd, 2 × 96 × 128, frame 1 of 2", (512, 384)),
        ("image/renishaw_wire.jpg", "renishaw_wire.jpg, 480 × 752, scale bar 500 µm", (512, 338)),
    ],
)
def test_what_a_picture_shows(corpus: Package, name: str, about: str, size: tuple[int, int]) -> None:
    picture = corpus[name].picture()
    assert picture.about == about
    assert (picture.width, picture.height) == size
    assert pixels(picture).std() > 5, "there is something to be seen"
    assert picture._repr_png_() == picture.png
    assert about in repr(picture)


def test_the_bar_has_the_length_that_it_says(corpus: Package) -> None:
    for name, length, across in (
        ("mrc/HAADFscan.mrc", 20, 16 * 5.679131),
        ("emd-velox/fei_emd_image.emd", 500, 2714.8),
    ):
        shown = pixels(corpus[name].picture())
        assert bar_of(shown) == pytest.approx(shown.shape[1] * length / across, abs=2), name


@pytest.mark.parametrize("channels", [200, 700, 1024, 5000])
def test_a_peak_stands_at_its_place_on_the_axis(channels: int, tmp_path: Path) -> None:
    counts = np.zeros(channels)
    counts[round(0.8 * channels)] = 1000.0
    (tmp_path / "session").mkdir()
    metadata = {"General": {"title": "peak"}, "Signal": {"signal_type": ""}}
    signal = samples.signal_dictionary(counts, (samples.Axis("Energy", 0.01, "keV", navigate=False),), metadata)
    samples.write_signal(tmp_path / "session" / "peak.hspy", signal)
    package = diadem.pack(tmp_path / "session", tmp_path / "store")
    shown = pixels(package["peak.hspy"].picture(size=384)).astype(int)
    blue = shown[:, :, 2] - shown[:, :, 0] > 60
    frame = np.flatnonzero(blue.any(axis=0))
    top = np.flatnonzero(blue[: shown.shape[0] // 3].any(axis=0)).mean()
    assert (top - frame[0]) / (frame[-1] - frame[0]) == pytest.approx(0.8, abs=0.012)
    with Image.open(io.BytesIO(next(iter(package.previews().values())))) as preview:
        dark = np.asarray(preview.convert("L")) < 100
    along = np.flatnonzero(dark.any(axis=0))
    top = np.flatnonzero(dark[: dark.shape[0] // 3].any(axis=0)).mean()
    assert (top - along[0]) / (along[-1] - along[0]) == pytest.approx(0.8, abs=0.02)


def test_the_pixels_are_those_of_the_data(corpus: Package) -> None:
    dataset = corpus["mrc/HAADFscan.mrc"]
    shown = pixels(dataset.picture(size=512))[:400, :, 0].astype(float)  # above the bar
    data = np.kron(np.asarray(dataset.load().data), np.ones((32, 32)))[:400]
    assert np.corrcoef(shown.ravel(), data.ravel())[0, 1] > 0.98


def test_a_place_of_a_scan_a_frame_of_a_stack_a_signal_of_several(corpus: Package) -> None:
    four = corpus["blo/test1.blo"]
    pattern = four.picture(at=(2, 1))
    assert (pattern.width, pattern.height) == (432, 432)
    assert "at 2, 1" in pattern.about
    spectrum = corpus["dm/EELS_SI.dm4"].picture(at=(0, 1))
    assert "Energy loss 300 eV to 2.347 keV" in spectrum.about
    stack = corpus["mrcz/haadf_public.mrcz"]
    assert stack.picture(at=0).png != stack.picture(at=1).png == stack.picture().png
    several = corpus["dm/multi_signal.dm3"]
    assert len(several.signals) == 2
    drawn = [several.picture(one) for one in ("s1", "s2")]
    assert drawn[0].png != drawn[1].png
    assert several.picture(1).png == drawn[1].png
    with pytest.raises(NotFound, match="no signal 's9'"):
        several.picture("s9")


def test_colours_stay_colours(corpus: Package) -> None:
    shown = pixels(corpus["image/renishaw_wire.jpg"].picture())
    assert shown[..., 0].mean() - shown[..., 1].mean() > 10, "the wire lies on something red"


@pytest.mark.parametrize("size", [64, 2048])
def test_sizes(corpus: Package, size: int) -> None:
    for name in ("dm/test_STEM_image.dm3", "msa/example1.msa", "dm/Fei HAADF-DE_location.dm3"):
        picture = corpus[name].picture(size=size)
        assert size * 0.9 <= max(picture.width, picture.height) <= size


def test_what_cannot_be_drawn_says_so(corpus: Package) -> None:
    image = corpus["mrc/HAADFscan.mrc"]
    for wrong in (10, 5000):
        with pytest.raises(UsageError, match="64 to 4096"):
            image.picture(size=wrong)
    with pytest.raises(UsageError, match="without places"):
        image.picture(at=(0, 0))
    for place in ((3, 0), (0,), (0, 0, 0)):
        with pytest.raises(UsageError, match="no place") as raised:
            corpus["blo/test1.blo"].picture(at=place)
        assert raised.value.next == "There are 3 × 2."
    with pytest.raises(NotFound, match="no file"):
        corpus.picture("nothing.dm3")
    with pytest.raises(ReaderError):
        corpus.picture("empad/EMPAD_v1.2.2_x32_y64_size0.8.xml")


def test_damage_is_never_drawn(shared_data: Path, tmp_path: Path) -> None:
    source = tmp_path / "s"
    source.mkdir()
    (source / "scan.mrc").write_bytes((shared_data / "mrc" / "HAADFscan.mrc").read_bytes())
    package = diadem.pack(source, tmp_path / "store")
    assert package.path is not None
    flip_byte(package.path / "data" / "scan.mrc", package.files[0].size - 7)
    with pytest.raises(DigestMismatch):
        package["scan.mrc"].picture()


def test_a_part_of_a_frame_is_read_alone(tmp_path: Path) -> None:
    """Damage further down is not met, for nothing of it is read."""
    source, side = tmp_path / "s", 2048
    source.mkdir()
    header = bytearray(1024)
    struct.pack_into("<4i", header, 0, side, side, 2, 1)
    struct.pack_into("<3i", header, 28, side, side, 2)
    header[208:214] = b"MAP DD"
    frames = np.random.default_rng(0).integers(0, 1000, (2, side, side)).astype("<i2")
    (source / "stack.mrc").write_bytes(bytes(header) + frames.tobytes())
    package = diadem.pack(source, tmp_path / "store")
    assert package.path is not None
    flip_byte(package.path / "data" / "stack.mrc", frames.nbytes // 2 - 300_000)
    dataset = package["stack.mrc"]
    part = dataset.picture(at=0, crop=(10, 20, 64, 64), size=64, levels=(0, 999))
    assert "10 to 73 × 20 to 83" in part.about
    data = frames[0, 10:74, 20:84] * (255 / 999)
    assert np.abs(pixels(part)[..., 0].astype(float) - data)[:40].max() <= 1
    dataset.picture(at=1)
    for whole in ({"at": 0}, {"at": 0, "crop": (1900, 0, 148, 148)}, {"at": "mean"}):
        with pytest.raises(DigestMismatch):
            dataset.picture(**whole)
    for wrong in ((0, 0, 0, 5), (-1, 0, 5, 5), (2000, 0, 64, 64), (0, 0, 64)):
        with pytest.raises(UsageError):
            dataset.picture(at=1, crop=wrong)
    with pytest.raises(UsageError, match="not a place"):
        dataset.picture(at="middle")


LARGE = """
import resource, sys
import diadem, hyperspy.api, dask.array
package = diadem.open(sys.argv[1])
package["small.mrc"].picture()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
picture = package["large.mrc"].picture()
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024, picture.width, picture.about)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no getrusage")
@pytest.mark.program("an image of half a gigabyte")
def test_a_large_image_is_not_read_into_memory(tmp_path: Path) -> None:
    source = tmp_path / "s"
    source.mkdir()
    for name, side in (("small", 64), ("large", 12_000)):
        header = bytearray(1024)
        struct.pack_into("<4i", header, 0, side, side, 1, 2)
        struct.pack_into("<3i", header, 28, side, side, 1)
        struct.pack_into("<3f", header, 40, 2.0 * side, 2.0 * side, 1.0)
        struct.pack_into("<3i", header, 64, 1, 2, 3)
        header[208:214] = b"MAP DD"
        with (source / f"{name}.mrc").open("wb") as file:
            file.write(header)
            file.truncate(1024 + 4 * side * side)
    package = diadem.pack(source, tmp_path / "store")
    done = subprocess.run(
        [sys.executable, "-c", LARGE, str(package.path)], capture_output=True, check=True, encoding="utf-8"
    )
    grown, width, about = done.stdout.strip().split(" ", 2)
    assert int(grown) < 120, "MB, of 549"
    assert (width, about) == ("512", "large.mrc, 12,000 × 12,000, scale bar 500 nm")
