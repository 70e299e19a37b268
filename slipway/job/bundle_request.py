"""What jobs ask for that several tasks share, and what each of these does. Pure."""

from __future__ import annotations

from dataclasses import replace

from slipway.errors import UsageError
from slipway.job.bundles import Bundles
from slipway.scheduler.limits import ResourceRequest


def job_request(request: ResourceRequest, bundles: Bundles | None) -> ResourceRequest:
    """What a job asks for, by what each of its tasks does."""
    if bundles is None:
        return request
    origins = dict(request.origins)
    if bundles.minutes:
        origins["time"] = "of all that share a job"
    if bundles.width > 1:
        for key in ("cpus", "mem", "gpus"):
            where = f", {origins[key]}" if key in origins else ""
            origins[key] = f"of {bundles.width} side by side{where}"
    return ResourceRequest(resources=bundles.ask(request.resources), origins=origins)


def task_request(each: ResourceRequest, settled: ResourceRequest) -> ResourceRequest:
    """What each task asks for, in the partition that was found for its job."""
    name = settled.resources.partition
    if name == each.resources.partition:
        return each
    origins = {**each.origins, "partition": settled.named("partition", "").strip(" ()")}
    return replace(each, resources=each.resources.model_copy(update={"partition": name}), origins=origins)


def check_bundles(bundles: Bundles | None, each: ResourceRequest) -> None:
    """Refuse what does not go with tasks that share jobs.

    Raises:
        UsageError: it is asked for.
    """
    wanted = each.resources
    if bundles is None:
        return
    if (wanted.nodes or 1) > 1:
        asked = each.named("nodes", f"{wanted.nodes} nodes")
        raise UsageError(
            f"elements share jobs of one node, and {asked} contradict that: leave nodes out, or pack_minutes "
            "and per_node"
        )
    if wanted.continue_after_limit:
        raise UsageError(
            "elements that share a job do not begin again after its time limit: leave continue_after_limit "
            "out, or pack_minutes and per_node. `invoke monitor` submits again what has reached its limit"
        )
