"""Ancestors of a result: every one once, by a shortest way, whatever the links look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from diadem.model.assessments import Assessment
from diadem.model.lineage import Source, ancestors, cautions

PROPERTY = settings(max_examples=100, derandomize=True, deadline=None)
NAMES = st.sampled_from("abcdefg")
LINKS = st.dictionaries(NAMES, st.lists(st.builds(Source, NAMES, st.sampled_from(["", "x", "y"])), max_size=4))


def closure(links: Mapping[str, Sequence[Source]], start: str) -> set[str]:
    """What can be reached, by another way than the engine's."""
    reached: set[str] = set()
    while True:
        more = {one.package for child in {start, *reached} for one in links.get(child, ())} - reached
        if not more:
            return reached - {start}
        reached |= more


@PROPERTY
@given(LINKS, NAMES)
def test_every_ancestor_is_told_once_with_a_way_that_exists(links: dict[str, list[Source]], start: str) -> None:
    asked: list[str] = []

    def sources_of(packages: Sequence[str]) -> Mapping[str, Sequence[Source]]:
        asked.extend(packages)
        return {one: links[one] for one in packages if one in links}

    found = ancestors(start, sources_of)
    assert len(asked) == len(set(asked)), "nobody is asked twice, so a ring ends"
    assert {one.package for one in found} == closure(links, start)
    assert len({one.package for one in found}) == len(found)
    lengths = [len(one.way) for one in found]
    assert lengths == sorted(lengths)
    for one in found:
        assert one.way[-1] == one.package
        for child, parent in zip((start, *one.way), one.way, strict=False):
            assert parent in {source.package for source in links[child]}
        children = {start, *closure(links, start)}
        used = {source.path for child in children for source in links.get(child, ()) if source.package == one.package}
        assert one.paths == (frozenset() if "" in used else used)


def test_a_doubt_matters_where_the_dataset_was_used() -> None:
    judged = [
        Assessment("1" * 64, 1, "a@n", "reject", "EELS", dataset="d1"),
        Assessment("2" * 64, 2, "a@n", "limited", "EELS", dataset="d2"),
        Assessment("3" * 64, 3, "b@n", "accept", "EELS", dataset="d2"),
        Assessment("4" * 64, 4, "a@n", "reject", "EELS"),
    ]
    paths = {"d1": "x", "d2": "y"}
    (used,) = ancestors("c", lambda _: {"c": [Source("p", "y")]})
    found = cautions("p", judged, paths, used)
    assert [(one.path, one.disputed, one.way) for one in found] == [("y", True, ("p",)), ("", False, ("p",))]
    assert len(cautions("p", judged, paths)) == 3
