"""Captions drawn into pictures."""

import pytest
import torch

from zstar.reports.captions import SMALLEST, bar, labelled, letters


def ink(bars: torch.Tensor) -> int:
    return int((bars < 0).sum())


def test_each_cell_has_its_label_below_it_and_all_have_a_title() -> None:
    images = torch.linspace(-1, 1, 5)[:, None, None, None].expand(5, 3, 64, 64)
    made = labelled(images, ["target", "−1", "0", "+1", ""], 3, "season", gap=4)
    line = bar("", 64, letters(64), 3).shape[1]
    assert made.shape == (3, line + 2 * (64 + line) + 4, 3 * 68 - 4)
    for index in range(5):
        top, left = line + (index // 3) * (64 + line + 4), (index % 3) * 68
        assert torch.equal(made[:, top : top + 64, left : left + 64], images[index])
        assert bool(ink(made[:, top + 64 : top + 64 + line, left : left + 64])) == (index < 4)
    assert ink(made[:, :line]) > 0


def test_letters_grow_with_the_picture_and_long_texts_are_cut() -> None:
    assert letters(16) == SMALLEST and letters(1024) > 6 * SMALLEST
    assert bar("x" * 500, 48, 11, 1).shape == (1, 19, 48) and ink(bar("x" * 500, 48, 11, 1)) > 0
    assert ink(bar("anything", 1, 11, 1)) == 0


@pytest.mark.parametrize("text", ["−", "α", "σ", "→", "²", "ж"])
def test_signs_and_greek_letters_are_there(text: str) -> None:
    assert not torch.equal(bar(text, 48, 24, 1), bar("\uffff", 48, 24, 1))
