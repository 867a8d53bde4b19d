"""The section of `diadem status` about a hub: boxes and relays by the names of nodes, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from diadem.cli.output import size_text
from diadem.model.plain_text import count_text


def hub_text(seen: Mapping[str, Any]) -> str:
    """The text of what `HubSeen.to_dict` gives."""
    what = f"{count_text(seen['objects'], 'sealed window')} and {count_text(seen['messages'], 'sealed message')}"
    lines = [f"hub        {what} wait ({size_text(seen['bytes'])}); room for {size_text(seen['room'])} more"]
    lines += _table([_relay(row) for row in seen["relays"]])
    lines += _table([_box(row) for row in seen["boxes"]])
    if seen["owed"]:
        lines.append(f"  {count_text(seen['owed'], 'relay')} ended and not in the log yet: a store does not answer")
    return "\n".join(lines)


def _relay(row: Mapping[str, Any]) -> tuple[str, ...]:
    way = f"{row['sender']} to {row['recipient']}"
    amount = f"{count_text(row['objects'], 'window')}, {size_text(row['bytes'])}"
    return ("relay", row["id"][:8], way, amount, *_times(row))


def _box(row: Mapping[str, Any]) -> tuple[str, ...]:
    amount = f"{count_text(row['messages'], 'message')}, {size_text(row['bytes'])}"
    return ("box of", row["node"], amount, *_times(row))


def _times(row: Mapping[str, Any]) -> tuple[str, str]:
    end = f"ends {_moment(row['expires'])}"
    return f"since {_moment(row['since'])}", f"{end}, SOON" if row["soon"] else end


def _moment(text: str) -> str:
    return text.replace("T", " ")[:16]


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    if not rows:
        return []
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
