"""The command ``slipway``, also as ``python -m slipway``."""

import sys

from slipway.completion.answer import ASKS
from slipway.completion.answer import main as complete


def main() -> None:
    """Run the task that the command line names, or answer a shell that completes one."""
    if sys.argv[1:2] == [ASKS]:
        # Without Invoke, which takes longer to load than somebody waits for an answer.
        complete(sys.argv[2:])
    from slipway.cli.program import main as run

    run()


if __name__ == "__main__":
    main()
