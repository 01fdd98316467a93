"""What holds for each family of GANs alike."""

import copy

import pytest
import test_dcgan
import test_pggan
import test_stylegan
import test_stylegan3
import torch
from fake_device import FakeDevice
from torch import Tensor

from zstar.generators.base import AbstractGenerator

SMALL = {"dcgan": test_dcgan.small, "pggan": test_pggan.small}
SMALL |= {"stylegan": test_stylegan.small, "stylegan3": test_stylegan3.small}


def descend(generator: AbstractGenerator, z: Tensor) -> Tensor:
    z = z.detach().requires_grad_()
    image = generator.synthesize(z, "z")
    image.square().sum().backward()
    return torch.cat([image.detach().flatten(1), z.grad.flatten(1)], dim=1)


@pytest.mark.parametrize("name", SMALL)
def test_on_another_device_nothing_waits_and_nothing_is_copied(name: str) -> None:
    here = SMALL[name]()
    with FakeDevice() as device:
        there = copy.deepcopy(here).to(device.name)
        z, away = (one.sample(2, torch.Generator().manual_seed(0)) for one in (here, there))
        assert str(away.device) == device.name and torch.equal(away.cpu(), z)
        descend(there, away)  # what follows from the weights alone is computed once
        with device.watching() as seen:
            found = descend(there, away)
        assert not seen.waits and not seen.copies
        assert torch.allclose(found.cpu(), descend(here, z), atol=1e-4)
