"""``python3 -m slam``."""

import sys

from slam.command import main

sys.exit(main())
