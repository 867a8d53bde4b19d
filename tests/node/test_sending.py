"""What doctor says of how this machine sends."""

from __future__ import annotations

from pathlib import Path

from diadem.node.doctor import judge_sending, tcp_settings


def test_cubic_and_small_buffers_are_noted_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "tcp_congestion_control").write_text("cubic\n")
    (tmp_path / "tcp_wmem").write_text("4096\t16384\t4194304\n")
    (tmp_path / "tcp_rmem").write_text("4096\t131072\t33554432\n")
    control, buffers = judge_sending(tcp_settings(tmp_path))
    assert control.verdict == buffers.verdict == "note"
    assert "cubic" in control.message
    assert "tcp_congestion_control=bbr" in control.next
    assert "4,194,304" in buffers.message


def test_bbr_and_large_buffers_are_well() -> None:
    large = "4096 65536 33554432"
    rows = judge_sending({"tcp_congestion_control": "bbr", "tcp_wmem": large, "tcp_rmem": large})
    assert [row.verdict for row in rows] == ["ok", "ok"]


def test_a_system_that_does_not_say_is_not_judged(tmp_path: Path) -> None:
    assert list(judge_sending(tcp_settings(tmp_path / "nothing"))) == []
