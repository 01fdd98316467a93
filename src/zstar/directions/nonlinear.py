"""Non-linear directions: fⁿ(z), a step that depends on the latent, taken n times."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zstar.directions.base import AbstractLatentDirection, Label


class Step(nn.Module):
    """f(v) = v + T₂(tanh(T₁(v))), a residual step between latents that starts as the identity.

    Arguments:
        size: Coordinates of a latent.
        width: Hidden units.
        mean, spread: The prior's statistics: the network sees latents relative to them.
        open: 1 for the coordinates that may move, else 0.
        keep_norm: Whether the distance from the prior's mean stays what it was before the step, along these
            coordinates and so altogether.
    """

    def __init__(
        self,
        size: int,
        width: int,
        mean: Float[Tensor, " size"],
        spread: float,
        open: Float[Tensor, " size"],  # noqa: A002
        keep_norm: bool,
    ) -> None:
        super().__init__()
        self.enter, self.leave = nn.Linear(size, width), nn.Linear(width, size)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)
        self.keep_norm = keep_norm
        self.register_buffer("mean", mean.clone())
        self.register_buffer("spread", torch.tensor(spread))
        self.register_buffer("open", open.clone())

    def forward(self, latent: Float[Tensor, "b size"]) -> Float[Tensor, "b size"]:
        """One step."""
        placed = (latent - self.mean) / self.spread
        moved = placed + self.leave(torch.tanh(self.enter(placed)))
        if self.keep_norm:
            before, after = ((self.open * at).norm(dim=1, keepdim=True) for at in (placed, moved))
            moved = moved * (before / after.clamp_min(1e-8))
        return latent + self.spread * self.open * (moved - placed)  # closed coordinates stay, bit for bit


class Nonlinear(AbstractLatentDirection):
    """α ≥ 0 is f taken α/ε times, α < 0 its counterpart g taken −α/ε times; between two steps lies a straight line.

    Arguments:
        space: Name of the latent space.
        forward, backward: f and g.
        epsilon: α of one step, forward and backward, both positive.
        label: What is known of it.
    """

    def __init__(
        self, space: str, forward: Step, backward: Step, epsilon: tuple[float, float], label: Label | None = None
    ) -> None:
        self.space, self.label = space, label or Label()
        self.steps, self.epsilon = {1: forward, -1: backward}, epsilon

    def move(self, latent: Float[Tensor, "b ..."], alpha: Float[Tensor, " b"]) -> Float[Tensor, "b ..."]:
        flat, alpha = latent.flatten(1), alpha.to(latent)
        for sign, epsilon in zip(self.steps, self.epsilon, strict=True):
            flat = self._walk(self.steps[sign].to(flat.device), flat, (sign * alpha / epsilon).clamp_min(0))
        return flat.view_as(latent)

    @staticmethod
    def _walk(step: Step, flat: Float[Tensor, "b size"], count: Float[Tensor, " b"]) -> Float[Tensor, "b size"]:
        """``count`` steps of each latent, the last one in part."""
        for done in range(int(count.max().ceil()) if len(count) else 0):
            left = count - done
            share = torch.where(left <= 1, left, 1.0).clamp_min(0)[:, None]  # with a gradient at whole steps too
            flat = torch.where(share > 0, flat.lerp(step(flat), share), flat)
        return flat

    def pack(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        names = {1: "forward", -1: "backward"}
        tensors = {f"{names[s]}.{k}": v for s, step in self.steps.items() for k, v in step.state_dict().items()}
        return tensors, {"epsilon": list(self.epsilon), "keep_norm": self.steps[1].keep_norm}

    @classmethod
    def unpack(cls, space: str, label: Label, tensors: dict[str, Tensor], settings: dict[str, Any]) -> "Nonlinear":
        epsilon, keep_norm = settings["epsilon"], settings["keep_norm"]
        if (
            not isinstance(keep_norm, bool)
            or len(epsilon) != 2
            or not all(isinstance(e, float) and e > 0 for e in epsilon)
        ):
            raise ValueError("a non-linear direction has two steps epsilon above 0 and a flag keep_norm")
        steps = []
        for name in ("forward", "backward"):
            own = {k.removeprefix(f"{name}."): v for k, v in tensors.items() if k.startswith(f"{name}.")}
            width, size = own["enter.weight"].shape
            step = Step(size, width, own["mean"], float(own["spread"]), own["open"], keep_norm)
            step.load_state_dict(own)
            steps.append(step.eval().requires_grad_(False))
        return cls(space, *steps, (epsilon[0], epsilon[1]), label)
