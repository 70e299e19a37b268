"""SLURM's daemons on a box, which tests end and begin again."""

from tests.integration.small_image import SmallImageBox
from tests.waiting import wait_until

# How one sees that a daemon serves.
ANSWERS = {"slurmctld": "scontrol ping", "slurmdbd": "sacctmgr -n show cluster | grep -q box"}


def end(small: SmallImageBox, name: str) -> None:
    """End a daemon; before it has written its state, another one would not begin."""
    # Debian calls it slurmctld-wlm once it has read its configuration again.
    pattern = f"{name}.*"
    small.as_root("pkill", "-x", pattern)
    wait_until(
        lambda: small.is_so(f"! pgrep -x '{pattern}'"), lambda: f"{name} did not end\n{log(small, name)}"
    )


def begin(small: SmallImageBox, name: str) -> None:
    """Begin a daemon, and wait until it answers."""
    small.as_root(name)
    ask = f"{ANSWERS[name]} >/dev/null 2>&1"
    wait_until(lambda: small.is_so(ask), lambda: f"{name} does not answer\n{log(small, name)}")


def log(small: SmallImageBox, name: str) -> str:
    return small.as_root("sh", "-c", f"pgrep -a slurm; tail -n 40 /var/log/slurm/{name}.log", code=None)
