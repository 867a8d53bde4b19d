"""Ways to other nodes as lines for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_MARGIN = " " * 17


def routes_lines(found: Mapping[str, Any]) -> list[str]:
    """Which way is taken to a peer, and how each of them does."""
    lines = [f"{_MARGIN}takes  {found['chosen']}"]
    for view in found["routes"]:
        name = f"hub '{view['hub']}'" if view["hub"] else view["route"]
        lines.append(f"{_MARGIN}{name:16} {_state(view)}")
    return lines


def _state(view: Mapping[str, Any]) -> str:
    if not view["possible"]:
        return f"not possible: {view['why']}"
    allowed = "allowed" if view["allowed"] else "not allowed by the policy"
    if view["works"] is None:
        return f"{allowed}, not tried yet"
    if view["works"]:
        return f"{allowed}, worked {_moment(view['worked'])}"
    return f"{allowed}, FAILS since {_moment(view['failing'])}: {view['error']}"


def _moment(text: str) -> str:
    return text.replace("T", " ")[:16] + " UTC"


def peers_section(peers: Sequence[Mapping[str, Any]]) -> list[str]:
    """The section of `status`: the way to each peer, and what of it does not work; none where there is no peer."""
    lines = []
    for one in peers:
        lines.append(f"{one['peer']:16} {one['chosen']}")
        lines += [f"{'':16} PROBLEM: {one['trouble']}"] if one["trouble"] else []
    told = [f"{'' if number else 'peers':10} {line}" for number, line in enumerate(lines)]
    return ["", *told] if told else []
