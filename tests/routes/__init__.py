"""A second way to every value: files read without any code or table of ours, keys found by name in their bytes.

A route is a function of a file and its side files that yields fields and their values, in the record's units, as that
route alone knows them. It may know several values of a field, one for each detector or frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.routes import binaries, digitalmicrograph, hierarchical, texts, tia, tiff

Route = Callable[[Path, Sequence[Path]], Iterator[tuple[str, Any]]]

#: Format, as `expected.json` names it, to the route.
ROUTES: Mapping[str, Route] = {
    "app5": hierarchical.topspin,
    "arina": hierarchical.arina,
    "bcf": texts.bruker,
    "blo": binaries.blockfile,
    "delmic": hierarchical.delmic,
    "dens": texts.dens,
    "dm3": digitalmicrograph.values,
    "dm4": digitalmicrograph.values,
    "ebsd-nordif": texts.nordif,
    "elid": texts.phenom,
    "emd-ncem": hierarchical.ncem,
    "emd-velox": hierarchical.velox,
    "emi": tia.values,
    "empad": texts.empad,
    "epu-xml": texts.epu,
    "hamamatsu": texts.hamamatsu,
    "hspy": hierarchical.hyperspy,
    "image": binaries.image,
    "impulse": texts.impulse,
    "jeol-asw": binaries.jeol,
    "jeol-eds": binaries.jeol,
    "jobinyvon": texts.jobin_yvon,
    "mdoc": texts.mdoc,
    "mib": texts.mib,
    "mrc": texts.direct_electron,
    "mrcz": binaries.mrcz,
    "msa": texts.msa,
    "nxs": hierarchical.nexus,
    "pro": texts.digital_surf,
    "protochips": texts.protochips,
    "prz": texts.panta_rhei,
    "rpl": texts.ripple,
    "semper": binaries.semper,
    "ser": tia.values,
    "spc": binaries.edax,
    "spx": texts.bruker,
    "sur": texts.digital_surf,
    "tif-fei": tiff.thermofisher,
    "tif-gatan": tiff.gatan,
    "tif-hamamatsu": texts.hamamatsu,
    "tif-jeol": tiff.jeol,
    "tif-tescan": tiff.tescan,
    "tif-tvips": tiff.tvips,
    "tif-zeiss": tiff.zeiss,
    "tif-zeiss-orion": tiff.orion,
    "tofwerk": hierarchical.tofwerk,
    "trivista": texts.trivista,
    "wdf": binaries.renishaw,
}
