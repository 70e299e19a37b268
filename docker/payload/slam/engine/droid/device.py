"""Upstream's code names CUDA everywhere; here it runs on the CPU all the same, unmodified."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_Arguments = dict[str, Any]


class _OnCpu(TorchFunctionMode):  # type: ignore[misc]
    """Sends to the CPU what is asked of CUDA, and makes single what is asked in half precision.

    Outside of a GPU most layers have no half precision, and nothing would be saved by it.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: _Arguments | None = None,
    ) -> Any:
        named = {name: _redirect(value) for name, value in (kwargs or {}).items()}
        if func is torch.Tensor.cuda:
            return args[0]
        if func is torch.Tensor.half:
            return args[0].float()
        if func is torch.Tensor.to:
            args = tuple(_redirect(value) for value in args)
        return func(*args, **named)


def _redirect(value: Any) -> Any:
    if isinstance(value, torch.device) and value.type == "cuda":
        return torch.device("cpu")
    if isinstance(value, str) and value.partition(":")[0] == "cuda":
        return "cpu"
    return torch.float32 if value is torch.float16 else value


@contextmanager
def on_cpu() -> Iterator[None]:
    """Within it, in this thread, ``cuda`` means the CPU, and mixed precision is off.

    Import upstream's modules within it as well: they choose their precision when they are loaded.
    """
    autocast, set_threads = torch.autocast, torch.set_num_threads
    torch.autocast = functools.partial(_exact, autocast)
    # DROID-SLAM's asynchronous mode asks for eight threads, whatever the job was given.
    torch.set_num_threads = lambda _count: None
    try:
        with _OnCpu():
            yield
    finally:
        torch.autocast = autocast
        torch.set_num_threads = set_threads


def _exact(autocast: Callable[..., Any], device_type: str, **_options: Any) -> Any:
    return autocast("cpu" if device_type == "cuda" else device_type, enabled=False)
