"""Named streams of random numbers; torch, whose import takes seconds, comes with the first that is its own."""

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

STRIDE = 0x9E3779B1  # odd, so that its multiples visit each 32-bit number once


def stream(
    purpose: str, seed: int, *names: object, index: int = 0, device: "torch.device | None" = None
) -> "torch.Generator":
    """The random numbers of one purpose: the same ones for the same arguments, and for no other.

    The state comes from a hash of the words, never from the seed itself: with ``seed=0`` everywhere, numbers drawn for
    one purpose would be those drawn for another, and a generator's latents those of its own initial weights.

    Arguments:
        purpose: What the numbers are for, in words that no other place in the code uses.
        seed: Other seeds, other numbers.
        names: What else tells the stream from others of the purpose, such as the name of an image.
        index: Number of an epoch, a step or a sample. torch's generator on the CPU takes in 32 bits alone, but no two
            indices below 2³² of the same words share theirs.
        device: Where numbers are drawn, the CPU if not given: a training draws on its GPU, which then waits for none.
            Numbers of another kind of device are others; whatever a result is compared by draws on the CPU.
    """
    import torch

    return torch.Generator(device or "cpu").manual_seed((stream_seed(purpose, seed, *names) + index * STRIDE) % 2**32)


def numpy_stream(purpose: str, seed: int) -> np.random.Generator:
    """As :func:`stream`, for numpy."""
    return np.random.default_rng(stream_seed(purpose, seed))


def seed_global(purpose: str, seed: int) -> None:
    """Begin torch's global random numbers anew, on every device, with those of a purpose.

    For the initial weights of networks, which draw from nothing else.
    """
    import torch

    torch.manual_seed(stream_seed(purpose, seed))


def chunks(count: int, size: int) -> list[int]:
    """How many of ``count`` draws are made at a time, so that no more than ``size`` are in memory at once."""
    return [size] * (count // size) + [count % size] * (count % size > 0)


def stream_seed(purpose: str, seed: int, *names: object) -> int:
    """A seed below 2³² for what has random numbers of its own: the first bits of a hash of the words."""
    words = " ".join(map(str, (purpose, seed, *names)))
    return int.from_bytes(hashlib.sha256(words.encode()).digest()[:4], "big")
