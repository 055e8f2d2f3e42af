"""The live progress display: its content, and that it fits into 80 columns."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any

import pytest
from rich.console import Console

from ratio_hpo.core.plans import TrialPlan
from ratio_hpo.core.trial import Progress, State, TrialRecord
from ratio_hpo.metrics.front import Front
from ratio_hpo.report.formatting import duration
from ratio_hpo.report.live import StudyProgress, trial_line


def record(number: int, state: State, *, evaluations: int = 2, worker: str | None = None) -> TrialRecord:
    curve = tuple(
        Progress(stage="intermediate", windows=3200 * k, cost=3200.0 * k, scores={"score/mean": 0.3 * k})
        for k in range(1, evaluations + 1)
    )
    params = {"ratio": 0.437, "learning_rate": 0.00123}
    return TrialRecord(
        number=number,
        state=state,
        kind="sampled",
        params=params,
        curve=curve,
        worker=worker,
        plan=TrialPlan(cost=12800.0),
    )


@dataclass
class AView:
    """The data that the display reads: a running study without a storage."""

    records: list[TrialRecord]
    front: Front = field(default_factory=Front)


def a_view(records: list[TrialRecord]) -> Any:
    view = AView(records)
    for each in records:
        for index, progress in enumerate(each.curve):
            view.front.add(each.number, index, progress)
    return view


def shown(picture: StudyProgress, width: int = 80) -> list[str]:
    console = Console(width=width, file=io.StringIO(), record=True, force_terminal=True)
    console.print(picture.render())
    return console.export_text().splitlines()


def test_the_picture_names_study_front_and_running_trials_in_80_columns() -> None:
    records = [
        record(0, State.COMPLETE),
        record(1, State.PRUNED, evaluations=1),
        record(2, State.RUNNING, worker="host:1"),
        record(3, State.RUNNING, evaluations=0, worker="host:2"),
        record(4, State.RUNNING),  # no process runs it
    ]
    picture = StudyProgress("a-study-with-a-name-that-is-much-too-long-for-a-line", 16, 0, 12800.0)
    picture.update(a_view(records))
    lines = shown(picture)
    assert max(map(len, lines)) <= 80
    assert "2/16" in lines[0]
    assert "left" in lines[0]
    assert lines[1].startswith("1 pruned · front of 2 · hypervolume 0.")
    assert "best rung 0.600 at ratio 0.44" in lines[1]
    assert "trial   2  ratio 0.44  lr 0.0012" in lines[2]
    assert "intermediate 6,400" in lines[2]
    assert "score 0.600" in lines[2]
    assert "trial   3" in lines[3]
    assert "starting" in lines[3]
    assert len([line for line in lines if "trial" in line]) == 2


def test_many_running_trials_are_counted() -> None:
    picture = StudyProgress("study", 100, 0, 12800.0)
    picture.update(a_view([record(k, State.RUNNING, worker="host:1") for k in range(40)]))
    assert "and 24 more running" in "\n".join(shown(picture))


def test_a_failed_trial_says_why_and_a_pruned_one_needs_no_reason() -> None:
    failed = TrialRecord(number=7, state=State.FAIL, kind="sampled", params={"ratio": 0.5}, reason="ValueError: no")
    assert trial_line(failed) == "trial   7 FAIL     sampled: ratio 0.50, no score (ValueError: no)"
    assert len(trial_line(record(12, State.PRUNED))) <= 80


def test_durations_suit_their_size() -> None:
    assert [duration(s) for s in (3, 200, 9000)] == ["3 s", "3 min", "2.5 h"]


def test_the_report_is_served_and_made_anew_only_when_more_is_known() -> None:
    import http.client
    import urllib.error
    import urllib.request

    from ratio_hpo.report.server import ReportServer

    made, known = [], ["one"]

    def make() -> str:
        made.append(known[0])
        if known[0] == "away":
            raise OSError("the storage is away")
        return f"<p>{known[0]}</p>"

    def get(path: str = "") -> str:
        with urllib.request.urlopen(server.address + path, timeout=10) as answer:
            return answer.read().decode()

    server = ReportServer(make, lambda: known[0])
    server.start()
    try:
        assert server.address.startswith("http://127.0.0.1:")
        assert [get(), get(), get("?again")] == ["<p>one</p>"] * 3
        known[0] = "away"
        with pytest.raises(urllib.error.HTTPError) as failed:
            get()
        assert failed.value.code == 503
        known[0] = "two"
        assert get() == "<p>two</p>"
        assert made == ["one", "away", "two"]
        for host, code in (("evil.example", 403), ("localhost:1", 200), ("127.0.0.1", 200), ("", 403)):
            asked = http.client.HTTPConnection("127.0.0.1", int(server.address.rsplit(":", 1)[1].strip("/")))
            asked.request("HEAD", "/", headers={"Host": host})
            answer = asked.getresponse()
            assert (answer.status, answer.read()) == (code, b"")
            asked.close()
        with pytest.raises(urllib.error.HTTPError):
            get("etc/passwd")
    finally:
        server.stop()


def test_a_reader_who_leaves_is_no_error_of_the_server(capfd: pytest.CaptureFixture[str]) -> None:
    import socket
    import struct
    import threading

    from ratio_hpo.report.server import ReportServer

    asked, left = threading.Event(), threading.Event()

    def make() -> str:
        asked.set()
        left.wait(10)
        return "<p>x</p>" * 1_000_000  # larger than a socket buffer

    server = ReportServer(make, lambda: "one")
    server.start()
    try:
        reader = socket.create_connection(server._server.server_address[:2])
        reader.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert asked.wait(10)
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # resets the connection at once
        reader.close()
        left.set()
        assert len(server.page()) == 8_000_000
    finally:
        server.stop()
        for thread in threading.enumerate():
            if "process_request" in thread.name:
                thread.join(10)
    assert "Traceback" not in capfd.readouterr().err
