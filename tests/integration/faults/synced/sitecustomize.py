"""Python begins with this where the folder is on its path: it notes the files that a command has synced.

What a power cut leaves of a file is sure only from then on.
"""

import os

_NOTES = os.environ.get("SLIPWAY_TEST_SYNCED")
_fsync = os.fsync


def _noted(file: int) -> None:
    number = file if isinstance(file, int) else file.fileno()
    _fsync(number)
    with open(str(_NOTES), "a") as notes:  # noqa: PTH123 - it must cost little
        notes.write(f"{os.fstat(number).st_ino}\n")


if _NOTES:
    os.fsync = _noted
if os.environ.get("FAKETIME"):
    # The library that shifts the clock refuses the call by which Python sleeps.
    import select
    import time

    time.sleep = lambda seconds: select.select((), (), (), seconds)  # type: ignore[assignment,return-value]
