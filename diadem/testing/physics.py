"""Simulated measurements: small arrays that look like what a microscope writes, from a few textbook formulas.

Lengths are in nm, energies in keV (X-rays) or eV (energy loss), reciprocal lengths in 1/nm. Every function takes the
random generator, so that the same seed gives the same counts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]

#: Lattice parameter a of wurtzite ZnO in nm (JCPDS 36-1451).
ZNO_A = 0.32498
#: Characteristic X-ray lines in keV (X-ray Data Booklet, LBNL, table 1-2) and their relative strength here.
ZNO_LINES = {
    "C_Ka": (0.277, 0.05),
    "O_Ka": (0.525, 0.45),
    "Zn_La": (1.012, 0.80),
    "Cu_Ka": (8.048, 0.10),
    "Zn_Ka": (8.639, 1.00),
    "Zn_Kb": (9.572, 0.14),
}
#: Detector resolution in keV, full width at half maximum of Mn Ka at 5.895 keV.
RESOLUTION_MN_KA = 0.130
#: Full width at half maximum over standard deviation of a Gaussian, 2 sqrt(2 ln 2).
FWHM_OVER_SIGMA = 2.3548
#: Bulk plasmon of ZnO and its width in eV, rounded.
ZNO_PLASMON = (18.8, 5.0)


def hexagonal_columns(
    shape: tuple[int, int], pixel: float, *, angle: float = 0.0, shift: tuple[float, float] = (0.0, 0.0)
) -> Array:
    """Intensity of a hexagonal lattice seen along [0001], between 0 and 1.

    Three plane waves of the {10-10} reflections, 120 degrees apart, sharpened by an exponential so that columns are
    bright dots on a dark ground as in a HAADF image. `pixel` and `shift` (y, x) are in nm, `angle` is in radians.
    """
    y, x = np.mgrid[: shape[0], : shape[1]] * pixel
    spacing = ZNO_A * np.sqrt(3) / 2
    waves = np.zeros(shape)
    for turn in range(3):
        direction = angle + turn * 2 * np.pi / 3
        along = (x - shift[1]) * np.cos(direction) + (y - shift[0]) * np.sin(direction)
        waves += np.cos(2 * np.pi * along / spacing)
    sharp = np.exp(waves - 3)
    return np.asarray((sharp - sharp.min()) / np.ptp(sharp))


def haadf_image(
    random: np.random.Generator,
    shape: tuple[int, int],
    pixel: float,
    *,
    dose: float = 400.0,
    shift: tuple[float, float] = (0.0, 0.0),
) -> npt.NDArray[np.uint16]:
    """A HAADF image in counts: two grains, a thickness ramp, a dark background, shot noise.

    `dose` is the count of the brightest pixel before noise.
    """
    left = hexagonal_columns(shape, pixel, angle=0.1, shift=shift)
    right = hexagonal_columns(shape, pixel, angle=0.42, shift=shift)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    boundary = columns + 0.25 * rows < 0.6 * shape[1]
    thickness = 0.7 + 0.3 * rows / shape[0]
    expected = dose * (0.15 + 0.85 * np.where(boundary, left, right)) * thickness
    return np.asarray(random.poisson(expected), np.uint16)


def line_width(energy: float) -> float:
    """Standard deviation of an X-ray line in keV: noise of the electronics and of charge creation in silicon.

    ``FWHM² = FWHM²(Mn Ka) + 2.3548² F ε (E - 5.895)`` with Fano factor F = 0.114 and ε = 3.8 eV per electron-hole pair.
    """
    fano = FWHM_OVER_SIGMA**2 * 0.114 * 3.8e-3
    return float(np.sqrt(RESOLUTION_MN_KA**2 + fano * (energy - 5.895))) / FWHM_OVER_SIGMA


def xray_spectrum(energies: Array, zinc: float = 1.0) -> Array:
    """Expected counts a channel of a ZnO film on a copper grid, scaled to a maximum near `zinc`.

    Gaussian lines on a Kramers background, ``(E0 - E) / E``, with E0 = 200 keV, absorbed below 0.5 keV.
    """
    above = np.clip(energies, 0.05, None)
    background = 4e-5 * (200 - above) / above * (1 - np.exp(-((above / 0.5) ** 3)))
    spectrum = np.where(energies > 0.05, background, 0.0)
    for name, (energy, strength) in ZNO_LINES.items():
        amount = zinc if name.startswith(("Zn", "O")) else 1.0
        spectrum = spectrum + amount * strength * np.exp(-0.5 * ((energies - energy) / line_width(energy)) ** 2)
    return np.asarray(spectrum)


def xray_map(random: np.random.Generator, shape: tuple[int, int], energies: Array) -> npt.NDArray[np.uint16]:
    """An EDS map (y, x, energy) in counts: ZnO particles on a carbon film."""
    y, x = np.mgrid[: shape[0], : shape[1]] / max(shape)
    amount = np.full(shape, 0.05)
    for centre, radius in (((0.3, 0.35), 0.2), ((0.65, 0.7), 0.15), ((0.8, 0.2), 0.1)):
        amount += np.exp(-((((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / radius**2) ** 2))
    film, particle = xray_spectrum(energies, 0.0), xray_spectrum(energies, 1.0)
    expected = 40.0 * (film + amount[..., None] * (particle - film))
    return random.poisson(np.clip(expected, 0, None)).astype(np.uint16)


def low_loss_line(random: np.random.Generator, positions: int, energies: Array) -> npt.NDArray[np.float32]:
    """Low-loss spectra (position, energy) in counts: drifting zero-loss peak and a plasmon that grows with thickness.

    Single scattering: the plasmon carries t/λ of the zero-loss intensity (Egerton, EELS in the Electron Microscope).
    """
    thickness = np.linspace(0.2, 0.8, positions)[:, None]
    drift = 0.3 * np.sin(np.linspace(0, 3, positions))[:, None]
    sigma = 0.9 / FWHM_OVER_SIGMA
    zero = np.exp(-0.5 * ((energies - drift) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
    centre, width = ZNO_PLASMON
    plasmon = (width / 2 / np.pi) / ((energies - centre - drift) ** 2 + (width / 2) ** 2)
    return np.asarray(random.poisson(2e4 * (zero + thickness * plasmon)), np.float32)


def diffraction_patterns(random: np.random.Generator, scan: tuple[int, int], pixels: int) -> npt.NDArray[np.uint8]:
    """Diffraction patterns (y, x, ky, kx) in counts: two grains of [0001] ZnO across the scan, shot noise.

    Spots at the {10-10} and {11-20} distances, weaker outwards, around a bright central beam.
    """
    ky, kx = np.mgrid[:pixels, :pixels] - (pixels - 1) / 2
    unit = pixels / 7
    grains = []
    for angle in (0.1, 0.42):
        pattern = 230 * np.exp(-(kx**2 + ky**2) / (2 * 3.0**2))
        for ring, (distance, start, strength) in enumerate(
            ((1.0, 0.0, 90.0), (3**0.5, np.pi / 6, 60.0), (2.0, 0.0, 35.0))
        ):
            for spot in range(6):
                phi = angle + start + spot * np.pi / 3
                squared = (kx - unit * distance * np.cos(phi)) ** 2 + (ky - unit * distance * np.sin(phi)) ** 2
                pattern += strength * np.exp(-squared / (2 * (2.2 + 0.1 * ring) ** 2))
        grains.append(pattern + 1.5)
    share = 1 / (1 + np.exp((np.arange(scan[1]) - 0.55 * scan[1]) / 0.8))
    expected = share[None, :, None, None] * grains[0] + (1 - share)[None, :, None, None] * grains[1]
    counts = random.poisson(np.broadcast_to(expected, (*scan, pixels, pixels)))
    limited: npt.NDArray[np.uint8] = np.clip(counts, 0, 255).astype(np.uint8)
    return limited
