"""What kind of value each option takes, by its long name; a test says that none of Slipway's is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

# Invoke's own options that nobody types.
HIDDEN = frozenset({"--complete", "--print-completion-script", "--prompt-for-sudo-password", "--write-pyc"})

FOLDERS = frozenset({"--into", "--path", "--search-root", "--tensorboard", "--write"})
FILES = frozenset({"--config", "--file", "--picture"})
# Keys of a profile that name files and folders of this machine.
PATH_KEYS = frozenset(
    {
        "CA_BUNDLE",
        "CODE_DIR",
        "DATA_DIR",
        "DEFINITION",
        "DOCKERFILE",
        "DROID_SLAM_SOURCE",
        "LIETORCH_SOURCE",
        "WEIGHTS_DIR",
    }
)

CHOICES: Mapping[str, Sequence[str]] = {
    "--attempt": ("all", "last"),
    "--by": ("user", "run", "partition"),
    "--compression": ("zstd", "gzip"),
    "--engine": ("dask",),
    "--dependency": ("afterok:", "afterany:", "afternotok:", "after:", "aftercorr:"),
    "--notify": ("mail", "mail:", "desktop", "https://"),
    "--hide": ("out", "err", "both"),
    "--kind": ("runs", "code", "cache", "data", "packed", "images", "results"),
    "--mlflow": ("http://", "https://", "sqlite:///"),
    "--list-format": ("flat", "nested", "json"),
    "--prefer": ("start", "cost"),
    "--print-completion-script": ("bash", "zsh", "fish"),
    "--shell": ("bash", "zsh", "fish"),
    "--state": (
        "PENDING",
        "RUNNING",
        "COMPLETING",
        "SUSPENDED",
        "COMPLETED",
        "FAILED",
        "CANCELLED",
        "TIMEOUT",
        "OUT_OF_MEMORY",
        "NODE_FAIL",
        "PREEMPTED",
        "SUBMITTING",
        "UNKNOWN",
    ),
    # Those that people use; any other may be typed.
    "--sbatch": (
        "--begin=",
        "--comment=",
        "--deadline=",
        "--exclude=",
        "--hold",
        "--licenses=",
        "--mail-type=",
        "--mail-user=",
        "--nice=",
        "--nodelist=",
        "--reservation=",
        "--tmp=",
    ),
}
# What only the user knows.
FREE = frozenset(
    {
        "--account",
        "--array",
        "--hours",
        "--renew",
        "--cache",
        "--collection",
        "--command-timeout",
        "--constraint",
        "--continue-after-limit",
        "--cost",
        "--count",
        "--cpus",
        "--each",
        "--from",
        "--gpu-hours",
        "--from-registry",
        "--grep",
        "--image",
        "--interval",
        "--keep-last",
        "--list",
        "--list-depth",
        "--mem",
        "--memory",
        "--metric",
        "--most-tries",
        "--node",
        "--nodes",
        "--port",
        "--only",
        "--older-than",
        "--qos",
        "--registry",
        "--scratch",
        "--since",
        "--tag",
        "--tail",
        "--task",
        "--threads",
        "--throttle",
        "--pack-minutes",
        "--per-node",
        "--time",
        "--to",
        "--url",
        "--user",
        "--via",
        "--workers",
    }
)
