"""Failures: from a run's ending, and the last that it printed, to what decides what helps. Pure."""

from __future__ import annotations

import re

from slipway.job.run import Reason, Status
from slipway.monitor.rule import Failure
from slipway.text.escapes import neutral

# So much of a log's end is looked at: the first thing that went wrong may stand behind a long traceback.
END_BYTES = 16_384
_SHOWN = 12
_BY_REASON = {
    Reason.OUT_OF_MEMORY: Failure.OUT_OF_MEMORY,
    Reason.TIME_LIMIT: Failure.TIME_LIMIT,
    Reason.PREEMPTED: Failure.PREEMPTED,
    Reason.NODE_FAILURE: Failure.NODE_FAILURE,
    Reason.LAUNCH_FAILURE: Failure.LAUNCH_FAILURE,
    Reason.PROGRAM_ERROR: Failure.PROGRAM_ERROR,
    Reason.CANCELLED: Failure.CANCELLED,
}
# What CUDA, cuDNN, PyTorch, JAX and TensorFlow say where a GPU's memory is full.
_GPU_MEMORY = re.compile(
    r"CUDA out of memory|CUDA error: out of memory|cudaErrorMemoryAllocation|CUDA_ERROR_OUT_OF_MEMORY|"
    r"torch\.(?:cuda\.)?OutOfMemoryError|CUBLAS_STATUS_ALLOC_FAILED|CUDNN_STATUS_ALLOC_FAILED|"
    r"HIP out of memory|hipErrorOutOfMemory|RESOURCE_EXHAUSTED: .*[Oo]ut of memory|"
    r"the GPU's memory does not suffice|GPU memory (?:is|was) exhausted"
)
# What Python, C++ and the payload say where the node's memory is; its limit kills without a word.
_MEMORY = re.compile(
    r"(?m)^(?:numpy\.\S*_ArrayMemoryError|MemoryError)\b|std::bad_alloc|Cannot allocate memory|"
    r"DefaultCPUAllocator: (?:can't allocate|not enough) memory|"
    r"^slam: .*(?:ran out of memory|there was not enough memory)"
)
# Quota and a full disk are none of these: they do not pass by themselves.
_FILE_SYSTEM = re.compile(
    r"Stale file handle|Input/output error|Transport endpoint is (?:not connected|shutdown)|"
    r"Remote I/O error|Cannot send after transport endpoint shutdown|OSError: \[Errno (?:5|107|108|116|121)\]"
)
_QUOTA = re.compile(r"Disk quota exceeded|No space left on device|OSError: \[Errno (?:122|28)\]")
_KINDS = {
    Failure.OUT_OF_GPU_MEMORY: _GPU_MEMORY,
    Failure.OUT_OF_MEMORY: _MEMORY,
    Failure.FILE_SYSTEM: _FILE_SYSTEM,
}
# The same for a program that knows no more of Slipway than what it is told.
PATTERNS = {"quota": _QUOTA.pattern, **{kind.value: form.pattern for kind, form in _KINDS.items()}}


def classify(status: Status, log_end: str) -> Failure | None:
    """Why a run or a task of it failed; ``None`` where it did not, or is not over.

    Args:
        status: how it ended.
        log_end: the last that it printed; nothing where that is not known.
    """
    if not status.state.is_over or status.reason == Reason.OK:
        return None
    known = next((failure for reason, failure in _BY_REASON.items() if status.reason == reason), None)
    if known is not Failure.PROGRAM_ERROR and known is not Failure.LAUNCH_FAILURE:
        return known or Failure.UNKNOWN
    return _by_words(last_attempt(log_end)) or known


def _by_words(log_end: str) -> Failure | None:
    """What a log's end tells; where it tells several things, the last of them."""
    if _QUOTA.search(log_end):
        return Failure.PROGRAM_ERROR
    last = {
        kind: max((hit.start() for hit in form.finditer(log_end)), default=-1)
        for kind, form in _KINDS.items()
    }
    kind = max(last, key=lambda one: last[one])
    return kind if last[kind] >= 0 else None


def last_attempt(log_end: str) -> str:
    """The part of a log that tells why it ended: its last lines."""
    return "\n".join(log_end.replace("\r", "\n").splitlines()[-60:])


def shown_end(log_end: str) -> list[str]:
    """The last lines of a log, for a person."""
    lines = [line for line in log_end.replace("\r", "\n").splitlines() if line.strip()]
    return [neutral(line[:300]) for line in lines[-_SHOWN:]]
