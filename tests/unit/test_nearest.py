import pytest

from slipway.text.nearest import find_nearest, nearest

TASKS = ["base", "build", "push", "publish", "weights", "stage", "job", "status", "logs", "pull", "cancel"]
TASKS += ["demo", "test", "box.up", "box.down", "ssh.trust"]
OPTIONS = ["--profile", "--site", "--set", "--wait", "--dry-run", "--gpus", "--time", "--echo", "--timeout"]


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("jbo", TASKS, "job"),
        ("statsu", TASKS, "status"),
        ("stat", TASKS, "status"),
        ("Log", TASKS, "logs"),
        ("cancle", TASKS, "cancel"),
        ("psuh", TASKS, "push"),
        ("box.pu", TASKS, "box.up"),
        ("--gpu", OPTIONS, "--gpus"),
        ("--dryrun", OPTIONS, "--dry-run"),
        ("--prof", OPTIONS, "--profile"),
        ("--sites", OPTIONS, "--site"),
        ("--tiem", OPTIONS, "--time"),
        ("CUPS", ["CPUS", "TIME"], "CPUS"),
        # Only alike, and nothing that anybody would have meant.
        ("--watch", OPTIONS, None),
        ("sites", TASKS, None),
        ("submit", TASKS, None),
        ("list", TASKS, None),
        ("run", TASKS, None),
        ("x", TASKS, None),
        ("--", OPTIONS, None),
        ("", TASKS, None),
        ("word", [], None),
    ],
)
def test_slips_are_seen_and_nothing_far_off(word: str, known: list[str], meant: str | None) -> None:
    assert find_nearest(word, known) == meant
    assert nearest(word, known) == ("" if meant is None else f" (did you mean {meant}?)")
