"""Where the latents of images lie: a mixture of normal distributions."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

SPREAD = 1e-4  # the least variance of a component
EM = 500  # steps of expectation–maximisation, at most


class Mixture(nn.Module):
    """Σ π_k N(m_k, F_k F_kᵀ), which samples are drawn from in place of a prior that the latents only come near to: the
    aggregated posterior, estimated after the training (Ghosh et al. 2020, https://arxiv.org/abs/1903.12436).

    Buffers: ``shares`` π [k], ``means`` m [k, z], ``factors`` F [k, z, z], lower triangular.
    """

    shares: Tensor
    means: Tensor
    factors: Tensor

    def __init__(self, components: int, latents: int) -> None:
        super().__init__()
        self.register_buffer("shares", torch.full((components,), 1 / components))
        self.register_buffer("means", torch.zeros(components, latents))
        self.register_buffer("factors", torch.eye(latents).repeat(components, 1, 1))

    @classmethod
    def fitted(cls, latents: Float[Tensor, "n z"], components: int, seed: int) -> "Mixture":
        """The mixture that explains latents best, as far as expectation–maximisation finds it; of fewer components
        where there are not 50 latents for each."""
        from sklearn.mixture import GaussianMixture

        components = max(1, min(components, len(latents) // 50))
        points = latents.double().cpu().numpy()
        found = GaussianMixture(
            components, reg_covar=SPREAD, random_state=seed, init_params="k-means++", max_iter=EM
        ).fit(points)
        self = cls(components, latents.shape[1])
        self.shares = torch.from_numpy(found.weights_).float()
        self.means = torch.from_numpy(found.means_).float()
        self.factors = torch.linalg.cholesky(torch.from_numpy(found.covariances_)).float()
        return self.to(latents.device)

    def sample(self, n: int, rng: torch.Generator, truncation: float = 1.0) -> Float[Tensor, "n z"]:
        """``n`` draws, scaled towards the mean of all by ``truncation``."""
        device = self.means.device
        shares = self.shares.to(rng.device)
        which = torch.multinomial(shares / shares.sum(), n, replacement=True, generator=rng).to(device)
        noise = torch.randn(n, self.means.shape[1], generator=rng, device=rng.device).to(device)
        drawn = self.means[which] + torch.einsum("nij,nj->ni", self.factors[which], noise)
        middle = self.shares @ self.means
        return middle + truncation * (drawn - middle)
