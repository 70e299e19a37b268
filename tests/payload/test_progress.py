import threading
import time

import pytest

from slam.progress import attend


def test_says_what_changed_while_it_waits(capsys: pytest.CaptureFixture[str]) -> None:
    lines = iter([None, "1 of 2", "1 of 2", "2 of 2"])
    go_on = threading.Event()

    def describe() -> str | None:
        line = next(lines, "2 of 2")
        if line == "2 of 2":
            go_on.set()
        return line

    assert attend(lambda: go_on.wait(10), describe, period_s=0.01)
    assert capsys.readouterr().out.splitlines() == ["1 of 2", "2 of 2"]


def test_raises_what_the_call_raises() -> None:
    def fail() -> None:
        time.sleep(0.02)
        raise ValueError("no features")

    with pytest.raises(ValueError, match="no features"):
        attend(fail, lambda: None, period_s=0.01)
