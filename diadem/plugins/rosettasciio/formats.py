"""What RosettaSciIO's own list of readers does not say: magic numbers, side files, and where a suffix is shared.

Magic numbers are those that the readers check themselves or that the formats' own documents state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from diadem.hooks.offers import Group, Magic

_PROBES = "diadem.plugins.rosettasciio.probes:"
_READERS = "diadem.plugins.rosettasciio.reader:"

#: HDF5 allows a user block of 0, 512, 1024 … bytes before its signature.
HDF5 = tuple(Magic(offset, b"\x89HDF\r\n\x1a\n") for offset in (0, 512, 1024, 2048))
TIFF = tuple(Magic(0, data) for data in (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"))
ZIP = (Magic(0, b"PK\x03\x04"), Magic(0, b"PK\x05\x06"))
PICTURES = tuple(
    Magic(0, data) for data in (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"P1", b"P2", b"P3", b"P4", b"P5", b"P6")
)


@dataclass(frozen=True, slots=True)
class Format:
    """Additions to one reader of RosettaSciIO; empty values leave its own list as it is."""

    magic: tuple[Magic, ...] = ()
    groups: tuple[Group, ...] = ()
    folders: tuple[str, ...] = ()
    probe: str = ""
    suffixes: tuple[str, ...] = ()
    open: str = ""
    load: str = ""
    describe: str = ""
    priority: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    signature: bytes | None = None


#: Readers whose arrays lie in the file as they are, and who tells where.
LAYOUTS: Mapping[str, str] = {
    name: f"diadem.plugins.rosettasciio.layouts.{module}:layout"
    for name, module in (
        ("blockfile", "blo"),
        ("emd", "hdf5"),
        ("hspy", "hdf5"),
        ("quantumdetector", "mib"),
    )
}

FORMATS: Mapping[str, Format] = {
    "arina": Format(
        HDF5,
        (Group("{stem}_master.h5", ("{stem}_data_*.h5", "{stem}.h5"), required=True),),
        probe=_PROBES + "is_arina",
        priority=3,
    ),
    "blockfile": Format((Magic(0, b"IMGBLO"),)),
    "bruker": Format(
        load="diadem.plugins.bruker.reader:read_bruker",
        signature=rb"AAMVHFSS|(?:\xef\xbb\xbf)?\s*<\?xml[^>]*>\s*<TRTSpectrum>",
    ),
    "delmic": Format(HDF5, probe=_PROBES + "is_delmic"),
    "digitalmicrograph": Format(
        (Magic(0, b"\x00\x00\x00\x03"), Magic(0, b"\x00\x00\x00\x04")),
        # version, length of the root, byte order, and the root's two flags
        signature=rb"\0\0\0(?:\x03.{4}|\x04.{8})\0\0\0[\x00\x01][\x00\x01][\x00\x01]\0",
        open="diadem.plugins.gatan.files:open",
    ),
    "digitalsurf": Format((Magic(0, b"DIGITAL SURF"), Magic(0, b"DSCOMPRESSED"))),
    "edax": Format(
        groups=(
            Group("{stem}.spd", ("{stem}.ipr",), ("{stem}.spc", "{stem}_img.ipr")),
            Group("{stem}.lsd", sidecars=("{stem}.spc", "{stem}.csv")),
        )
    ),
    "emd": Format(
        HDF5,
        suffixes=(".emd", ".de5", ".h5"),
        probe=_PROBES + "is_emd",
        load=_READERS + "read_emd",
        describe="diadem.plugins.velox.describe:describe",
    ),
    "empad": Format(
        groups=(Group("{stem}.xml", ("{stem}.raw", "scan_x[0-9]*_y[0-9]*.raw", "series_x[0-9]*.raw"), required=True),),
        probe=_PROBES + "is_empad",
        load="diadem.plugins.empad.reader:read",
    ),
    "hamamatsu": Format((Magic(0, b"IM"),)),
    "hspy": Format(HDF5, probe=_PROBES + "is_hspy"),
    "image": Format(
        PICTURES,
        suffixes=(".png", ".jpg", ".jpeg", ".jpe", ".gif", ".bmp", ".dib", ".ppm", ".pgm", ".pbm"),
        options={"lazy": False},
        groups=tuple(
            Group(f"{{stem}}{suffix}", sidecars=("{stem}.hdr", f"{{stem}}-{suffix[1:]}.hdr", "{stem}.txt"))
            for suffix in (".png", ".jpg", ".jpeg", ".bmp")
        ),
        load="diadem.plugins.pictures.reader:read",
        signature=rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff[\xdb-\xef]|GIF8[79]a",
    ),
    "impulse": Format(
        groups=(Group("{stem}_[!_]* raw.csv", sidecars=("{stem}_metadata.log",)),), probe=_PROBES + "is_impulse"
    ),
    "jeol": Format(
        (Magic(4, b"PTTDFILE"), Magic(4, b"JED-2200"), Magic(17, b"FileType")),
        (Group("{stem}.asw", ("sample/**",), required=True),),
        suffixes=(".asw", ".img", ".map", ".pts"),
        describe="diadem.plugins.jeol.describe:describe",
        signature=b"",  # the suffix tells the kind of file
    ),
    "jobinyvon": Format(probe=_PROBES + "is_jobinyvon"),
    "mrc": Format(
        groups=(
            Group(
                "{stem}_movie.mrc",
                ("{stem}_[0-9]*_*.mrc", "{stem}_virt[0-9]*.mrc", "{stem}_ext[0-9]*.mrc", "{stem}_final.mrc"),
                ("{stem}_info.txt", "{stem}_scan_coordinates.csv"),
            ),
            Group("{stem}.mrc", sidecars=("{stem}.xml", "{stem}.mrc.mdoc", "{stem}.mdoc")),
            Group("{stem}.ali", sidecars=("{stem}.ali.mdoc", "{stem}.mdoc")),
        ),
        open="diadem.plugins.mrc.files:open",
        signature=rb".{208}MAP[ \0]",  # MRC2014, word 53; older files have nothing there
    ),
    "mrcz": Format(probe=_PROBES + "is_mrcz", priority=1, load="diadem.plugins.mrc.mrcz_reader:read"),
    "msa": Format(signature=rb"\s*#FORMAT\s*:\s*EMSA/MAS"),
    "netcdf": Format((Magic(0, b"CDF"), *HDF5)),
    "nexus": Format(HDF5),
    "numpy": Format((Magic(0, b"\x93NUMPY"),)),
    "pantarhei": Format(ZIP),
    "phenom": Format((Magic(0, b"BZh"),)),
    "protochips": Format(probe=_PROBES + "is_protochips"),
    "quantumdetector": Format(
        (Magic(0, b"MQ1"),), (Group("{stem}.mib", sidecars=("{stem}.hdr",)),), signature=rb"MQ1,\d{6},\d+,"
    ),
    "renishaw": Format((Magic(0, b"WDF1"),), load="diadem.plugins.optical.reader:read_renishaw"),
    "ripple": Format(groups=(Group("{stem}.rpl", ("{stem}.raw",), required=True),)),
    "tia": Format(
        groups=(Group("{stem}.emi", ("{stem}_[0-9]*.ser",), required=True),),
        suffixes=(".emi",),
        open="diadem.plugins.tia.files:open",
    ),
    "tiff": Format(
        TIFF,
        (
            Group("{stem}.tif", sidecars=("{stem}.hdr", "{stem}-tif.hdr", "{stem}.xml", "{stem}.txt")),
            Group("{stem}.tiff", sidecars=("{stem}.hdr", "{stem}-tiff.hdr", "{stem}.xml", "{stem}.txt")),
        ),
        load="diadem.plugins.tiff.reader:read",
        signature=rb"II[*+]\0|MM\0[*+]",
    ),
    "tofwerk": Format(HDF5, probe=_PROBES + "is_tofwerk"),
    "topspin": Format(
        HDF5,
        load="diadem.plugins.nanomegas.reader:read_topspin",
        describe="diadem.plugins.nanomegas.describe:signals",
    ),
    "tvips": Format(
        groups=(Group("{stem}_000.tvips", ("{stem}_[0-9][0-9][0-9].tvips",)),),
        load="diadem.plugins.tvips_movie.reader:read",
    ),
    "usid": Format(HDF5, probe=_PROBES + "is_usid"),
    "zspy": Format(ZIP, folders=(".zspy",), load="diadem.plugins.hyperspy.reader:read_zspy"),
}

#: Kinds of file that share a reader but not its magic number: name of the offer to reader and additions.
MORE: Mapping[str, tuple[str, Format]] = {
    "jeol-eds": ("jeol", Format(suffixes=(".eds",), describe="diadem.plugins.jeol.describe:describe")),
    "tia-ser": (
        "tia",
        Format(
            (Magic(0, b"II\x97\x01"),),
            suffixes=(".ser",),
            open="diadem.plugins.tia.files:open",
            signature=b"",  # the reader goes by the suffix
        ),
    ),
}
