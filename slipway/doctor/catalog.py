"""All checks, in the order in which they are made and shown; one that others need stands before them."""

from __future__ import annotations

from slipway.doctor.check import Check, Place
from slipway.doctor.here import apptainer, docker, key
from slipway.doctor.here import rsync as rsync_here
from slipway.doctor.node import container as node_container
from slipway.doctor.node import disk, gpu, job, limit, network
from slipway.doctor.there import container, image, login, module, quota, request, scheduler, scratch
from slipway.doctor.there import rsync as rsync_there

CHECKS: tuple[Check, ...] = (
    *docker.CHECKS,
    *apptainer.CHECKS,
    *rsync_here.CHECKS,
    *key.CHECKS,
    *login.CHECKS,
    *scratch.CHECKS,
    *quota.CHECKS,
    *rsync_there.CHECKS,
    *scheduler.CHECKS,
    *request.CHECKS,
    *module.CHECKS,
    *container.CHECKS,
    *image.CHECKS,
    *job.CHECKS,
    *disk.CHECKS,
    *limit.CHECKS,
    *network.CHECKS,
    *node_container.CHECKS,
    *gpu.CHECKS,
)


def checks_of(place: Place) -> list[Check]:
    """The checks that look there."""
    return [check for check in CHECKS if check.place is place]
