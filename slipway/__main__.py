"""``python -m slipway``: what the command ``slipway`` is."""

from slipway.cli.program import main

if __name__ == "__main__":
    main()
