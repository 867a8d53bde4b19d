"""Which set of data is which signal: the order in which RosettaSciIO gives them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from diadem.plugins.velox.container import Item, items


@dataclass(frozen=True, slots=True)
class Order:
    """Signals of a file, by number from 0.

    Attributes
    ----------
    signals : list of Item
        The set of data behind each; a spectrum image stands for all streams, which are added up.
    streams : list of Item
        Streams of events, one for each detector, of the spectrum image, which is the last signal; none where the file
        has been pruned.
    stacks : bool
        Whether images keep all their frames; beside a spectrum image only the first is given.
    """

    signals: list[Item] = field(default_factory=list)
    streams: list[Item] = field(default_factory=list)
    stacks: bool = True

    def numbers(self, item: Item) -> tuple[int, ...]:
        """Numbers of the signals that a set of data is about; none where no signal comes of it."""
        if item in self.signals:
            return (self.signals.index(item),)
        mapped = self.streams and item.kind in ("SpectrumStream", "SpectrumImage")
        return (len(self.signals) - 1,) if mapped else ()


def order_of(root: Any) -> Order:
    """The order of a file.

    RosettaSciIO looks for images first of all: with images and a spectrum image there are single spectra, images,
    energy-loss spectrum images and the sum of all streams; with images alone nothing else is looked for.
    """
    data = root["Data"]
    if "Image" not in data:
        return Order(items(root, "Spectrum"))
    if "SpectrumImage" not in data:
        return Order(items(root, "Image"))
    streams = items(root, "SpectrumStream")
    signals = [*items(root, "Spectrum"), *items(root, "Image"), *items(root, "EelsSpectrumImage"), *streams[:1]]
    return Order(signals, streams, stacks=False)
