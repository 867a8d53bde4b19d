"""A policy in sentences, for whoever does not read `policy.toml`."""

from __future__ import annotations

from collections.abc import Iterator

from diadem.model.plain_text import count_text, duration_words, size_text
from diadem.model.policy import Policy
from diadem.policy.case import joined


def policy_sentences(policy: Policy) -> Iterator[tuple[str, str]]:
    """What a policy asks for: the name of each section of `policy.toml`, and what it says."""
    kinds = [f"{count} on {kind}" for kind, count in policy.copies.kinds.items()]
    copies = count_text(policy.copies.minimum, "proven copy", "proven copies")
    yield (
        "copies",
        f"{copies} of everything, on different disks, shares or buckets"
        + (f"; at least {joined(kinds)}." if kinds else "."),
    )
    other = [f"{duration_words(span)} on {kind}" for kind, span in policy.scrub.kinds.items()]
    yield (
        "scrub",
        f"Every copy is read again within {duration_words(policy.scrub.interval)}"
        + (f" ({joined(other)})." if other else "."),
    )
    yield "stores", f"A store may be away for {duration_words(policy.stores.unseen)}."
    parity = policy.parity
    on = joined(list(parity.stores)) if parity.stores else "every store"
    yield "parity", f"Parity is beside the packages on {on}." if parity.enabled else "No parity is wanted."
    required = list(policy.metadata.required)
    yield "metadata", f"A session must state {joined(required)}." if required else "A session need not state anything."
    yield "archive", f"A session is finished when nothing in it has changed for {duration_words(policy.archive.quiet)}."
    if policy.archive.license:
        yield "licence", f"{policy.archive.license}, where nothing else is said."
    yield "watch", f"A session in a watched folder waits {duration_words(policy.watch.waiting)} at most."
    yield "retention", f"Packages are kept for {count_text(policy.retention.years, 'year')} at least."
    seen = "its owner and whom the owner grants it" if policy.access.default == "private" else "every user of the node"
    yield "access", f"A new package is for {seen}."
    who = {"owner": "its owner", "*": "every user here"}
    allowed = [f"{who.get(one.who, one.who)} to {one.to.replace('*', 'anybody')}" for one in policy.transfer.allow]
    yield "transfer", f"It may be sent by {joined(allowed)}." if allowed else "Nothing may be sent to other nodes."
    yield (
        "incoming",
        (
            f"Others may offer packages of up to {size_text(policy.incoming.max_size)}, "
            f"{policy.incoming.max_per_day:,} a day."
        ),
    )
