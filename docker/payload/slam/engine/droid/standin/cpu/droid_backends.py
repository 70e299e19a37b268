"""Found by upstream's ``import droid_backends`` where its folder is on the path."""

from slam.engine.droid.kernels import *  # noqa: F403
