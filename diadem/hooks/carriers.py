"""What a plugin that offers carriers implements and raises; see `diadem.hooks.offers.TransportOffer`."""

from __future__ import annotations

from diadem.model.carriers import MAX_OBJECT, Carried, Carrier, CarrierFull

__all__ = ["MAX_OBJECT", "Carried", "Carrier", "CarrierFull"]
