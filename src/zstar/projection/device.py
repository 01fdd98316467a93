"""The device that a run computes on."""

import torch


def pick_device(name: str) -> torch.device:
    """``auto`` is the first GPU where there is one, else the CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"device: '{name}' is no device to compute on; choose auto, cpu or cuda")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device: '{name}' was asked for and torch sees {torch.cuda.device_count()} GPUs; choose device=cpu or auto"
        )
    return device


def require_compilable(way: str | None, device: torch.device) -> None:
    """Refuse a CUDA graph on another device."""
    if way == "graph" and device.type != "cuda":
        raise ValueError(
            f"compile: graph records the kernels of a GPU and this run is on {device}; set compile=null, or device=cuda"
        )
