"""Reading a policy: what it says, and what is told of a fault."""

from __future__ import annotations

import contextlib
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diadem.errors import DocumentError
from diadem.model.policy import AllowedTransfer, Policy
from diadem.policy.policy_text import MAX_CHARACTERS, default_policy, read_policy
from diadem.serialization.toml_text import line_of


def refusal(text: str) -> DocumentError:
    """The error of a policy."""
    with pytest.raises(DocumentError) as caught:
        read_policy(text, where="/node/policy.toml")
    return caught.value


def test_what_is_said_counts_and_the_rest_has_its_default() -> None:
    policy = read_policy(
        """
        [copies]
        minimum = 3
        kinds = {offsite = 1, nas = 0}
        [scrub]
        interval = "2 weeks"
        [scrub.kinds]
        cold = "2 years"
        [incoming]
        max_size = "1.5 TB"
        [archive]
        quiet = "90 s"
        [[transfer.allow]]
        to = "*@nmi"
        route = "direct"
        """
    )
    assert policy.copies.minimum == 3
    assert policy.copies.kinds == {"offsite": 1}
    assert policy.scrub.interval_for("disk") == timedelta(days=14)
    assert policy.scrub.interval_for("cold") == timedelta(days=730)
    assert policy.incoming.max_size == 1_500_000_000_000
    assert policy.archive.quiet == timedelta(seconds=90)
    assert policy.transfer.allow == (AllowedTransfer("owner", "*@nmi", "direct"),)
    assert policy.retention == Policy().retention


def test_whole_numbers_are_whole_numbers() -> None:
    policy = read_policy("[copies]\nminimum = 3.0\n[retention]\nyears = 5.0")
    assert type(policy.copies.minimum) is int
    assert type(policy.retention.years) is int


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm() -> None:
    assert read_policy("\ufeff" + default_policy().replace("\n", "\r\n")) == Policy()


def test_an_unknown_key_is_named_with_its_line_and_what_comes_close() -> None:
    error = refusal("# our rules\n\n[copies]\nminimun = 2\n")
    assert error.message == "line 4: [copies] has no key 'minimun'"
    assert error.next == "Did you mean minimum?"
    assert error.where == "/node/policy.toml"


def test_an_unknown_section_is_named_with_its_line() -> None:
    error = refusal("[copies]\nminimum = 2\n[copys]\nminimum = 2\n")
    assert error.message == "line 3: there is no section [copys]"
    assert error.next == "Did you mean copies?"


def test_with_nothing_close_the_known_ones_are_listed() -> None:
    assert refusal("[xyzzy]").next == (
        "Known here: copies, stores, scrub, parity, metadata, retention, archive, watch, access, transfer, incoming, "
        "hub, quality."
    )


def test_a_value_out_of_range_is_told_with_line_rule_and_example() -> None:
    error = refusal("[scrub]\nlevel = 'full'\n\n  interval = '90 years'  # often enough\n")
    assert error.message.startswith('line 4: scrub.interval = "90 years" is refused. The rule: Longest time')
    assert "from 1 hour to 10 years" in error.message
    assert error.next == 'Example: interval = "90 days"'


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[copies]\nminimum = 99", 2),
        ("copies = {minimum = 99}", 1),
        ("copies.minimum = 99", 1),
        ("\n[copies]\n'minimum' = 99", 3),
        ("[scrub.kinds]\n\ncold = '1 s'", 3),
        ("[[transfer.allow]]\nto = '*'\n[[transfer.allow]]\nto = 'nobody'", 4),
        ("[metadata]\nrequired = [\n 'sample.nam',\n]", 2),
        ("[incoming]\nmax_size = '1 kB'", 2),
        ("[copies.kinds]\ntape = 1", 2),
        ("copies = 3", 1),
    ],
)
def test_the_line_is_found(text: str, line: int) -> None:
    assert refusal(text).message.startswith(f"line {line}: ")


def test_of_several_faults_the_first_is_told_and_the_others_are_counted() -> None:
    error = refusal("[scrub]\ninterval = 90\n[copies]\nminimum = 0\nfoo = 1\n")
    assert error.message.startswith("line 2: scrub.interval = 90 is refused")
    assert error.message.endswith("(and 2 more)")


def test_a_key_that_no_record_has_cannot_be_required() -> None:
    error = refusal("[metadata]\nrequired = ['sample.name', 'sample.nmae']")
    assert "there is no field 'sample.nmae'" in error.message
    assert str(error.next).startswith("Did you mean sample.name")


def test_a_field_that_only_instruments_state_cannot_be_required() -> None:
    error = refusal("[metadata]\nrequired = ['beam.acceleration_voltage']")
    assert "stated by instruments only" in error.message


@pytest.mark.parametrize(
    "text",
    [
        "[copies",
        "[copies]\nminimum = 2\nminimum = 3",
        "x = " + "[" * 5000,
        "x = " + "{a=" * 3000,
        "[copies]\nminimum = " + "9" * 6000,
        "[copies]\nminimum = " + "9" * 30,
        "[copies]\nminimum = 1e400",
        "[copies]\nminimum = nan",
        "[copies]\nminimum = -inf",
        "[copies]\nminimum = 2026-03-14",
        "[copies]\nminimum = 09:26:53",
        "[scrub]\ninterval = '99999999999999999999 days'",
        "[retention]\nyears = 0x7fffffffffffffffffff",
        "\x00",
        "x" * (MAX_CHARACTERS + 1),
    ],
)
def test_hostile_text_is_refused(text: str) -> None:
    assert refusal(text).message


@given(st.text(alphabet=st.sampled_from("[]{}.=\"'#, \n\\acdeiklmnoprsu0129-"), max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(DocumentError):
        read_policy(text)


LINES = default_policy().splitlines()


@given(st.integers(0, len(LINES) - 1), st.sampled_from(["", "= ", "-7", "'?'", "x"]), st.booleans())
def test_a_spoilt_default_is_read_or_refused(number: int, noise: str, cut: bool) -> None:
    line = LINES[number]
    spoilt = line[: len(line) // 2] + noise if cut else line + noise
    with contextlib.suppress(DocumentError):
        read_policy("\n".join([*LINES[:number], spoilt, *LINES[number + 1 :]]))


@given(st.text(max_size=60), st.lists(st.text(max_size=4) | st.integers(0, 3), max_size=4))
def test_a_line_is_within_the_text_or_none(text: str, path: list[str | int]) -> None:
    line = line_of(text, path)
    assert line is None or 1 <= line <= len(text.splitlines())
