"""Where the explanations of a cohort fall: closed forms, and slower, simpler versions."""

from itertools import product

import pytest
import torch
from scipy.ndimage import label
from scipy.stats import binom
from torch import Tensor

from medxgan.errors import DataError
from medxgan.metrics.cohort import (
    connected_regions,
    critical_count,
    even_chance,
    group_means,
    grow,
    tail_of_count,
    touched_pixels,
    varied_pixels,
)


def drawn(text: str) -> Tensor:
    """A mask drawn with # and dots, a line a row."""
    return torch.tensor([[cell == "#" for cell in line] for line in text.split()])


class TestTouchedPixels:
    def test_half_of_a_flat_map_is_half_of_its_pixels(self):
        assert touched_pixels(torch.ones(3, 4, 4)).sum(dim=(1, 2)).tolist() == [8, 8, 8]

    def test_the_pixel_that_crosses_the_share_is_in(self):
        heat = torch.tensor([[[5.0, 3.0, 2.0]]])
        assert touched_pixels(heat, 0.5).sum() == 1
        assert touched_pixels(heat, 0.51).sum() == 2
        assert touched_pixels(heat, 0.81).sum() == 3

    def test_all_of_the_evidence_leaves_out_pixels_without_any(self):
        heat = torch.tensor([[[5.0, 0.0, 2.0]]])
        assert touched_pixels(heat, 1.0).tolist() == [[[True, False, True]]]

    def test_no_evidence_touches_nothing(self):
        assert not touched_pixels(torch.zeros(2, 3, 3)).any()

    def test_the_unit_does_not_matter(self):
        heat = torch.rand(5, 8, 8, generator=torch.Generator().manual_seed(0))
        assert torch.equal(touched_pixels(heat), touched_pixels(1e-6 * heat))

    def test_each_image_for_itself(self):
        heat = torch.rand(4, 6, 6, generator=torch.Generator().manual_seed(1))
        one_by_one = torch.cat([touched_pixels(each[None]) for each in heat])
        assert torch.equal(touched_pixels(heat), one_by_one)

    @pytest.mark.parametrize(
        ("heat", "share", "words"),
        [
            (torch.ones(3, 3), 0.5, "must be \\[N, H, W\\]"),
            (-torch.ones(1, 2, 2), 0.5, "not negative"),
            (torch.full((1, 2, 2), torch.nan), 0.5, "NaN"),
            (torch.ones(1, 2, 2), 0.0, "above 0 and at most 1"),
            (torch.ones(1, 2, 2), 1.1, "above 0 and at most 1"),
        ],
    )
    def test_refuses(self, heat: Tensor, share: float, words: str):
        with pytest.raises(DataError, match=words):
            touched_pixels(heat, share)


class TestVariedPixels:
    def test_the_limit_is_a_standard_deviation(self):
        images = torch.tensor([1.0, -1.0]).view(2, 1, 1, 1) * torch.tensor([0.019, 0.021])
        mean, mean_square = images.mean(dim=0), images.square().mean(dim=0)
        assert varied_pixels(mean, mean_square).tolist() == [[False, True]]

    def test_one_channel_is_enough(self):
        mean_square = torch.tensor([[[0.0, 0.0]], [[0.0, 1.0]]])
        assert varied_pixels(torch.zeros(2, 1, 2), mean_square).tolist() == [[False, True]]


class TestEvenChance:
    def test_touched_over_all_places(self):
        places = drawn("##. ##.")
        touched = torch.stack([drawn("#.. ..."), drawn("##. ##."), drawn("... ..#")])
        assert even_chance(touched, places).tolist() == [0.25, 1.0, 0.0]

    def test_refuses_shapes_that_do_not_fit(self):
        with pytest.raises(DataError, match="must be \\[N, H, W\\] and \\[H, W\\]"):
            even_chance(torch.ones(1, 2, 3).bool(), torch.ones(2, 2).bool())

    def test_refuses_no_place(self):
        with pytest.raises(DataError, match="images do not differ"):
            even_chance(torch.ones(1, 2, 2).bool(), torch.zeros(2, 2).bool())


class TestTailOfCount:
    def test_against_all_outcomes_one_by_one(self):
        chances = torch.tensor([0.1, 0.5, 0.9, 0.3])
        expected = torch.zeros(5, dtype=torch.float64)
        for outcome in product((0, 1), repeat=4):
            happened = torch.tensor(outcome)
            weight = torch.where(happened == 1, chances, 1 - chances).double().prod()
            expected[: happened.sum() + 1] += weight
        torch.testing.assert_close(tail_of_count(chances), expected)

    def test_equal_chances_are_binomial(self):
        tail = tail_of_count(torch.full((50,), 0.2, dtype=torch.float64))
        expected = torch.from_numpy(binom.sf(torch.arange(51).numpy() - 1, 50, 0.2))
        torch.testing.assert_close(tail, expected)

    def test_certain_and_impossible_events(self):
        assert tail_of_count(torch.tensor([1.0, 0.0])).tolist() == [1.0, 1.0, 0.0]

    def test_nothing_can_happen_to_nobody(self):
        assert tail_of_count(torch.empty(0)).tolist() == [1.0]


class TestCriticalCount:
    def test_the_smallest_count_that_is_rare_enough(self):
        chances = torch.full((4,), 0.5)  # P(count >= 4) = 1/16, P(count >= 3) = 5/16
        assert critical_count(chances, tests=1, level=1 / 16) == 4
        assert critical_count(chances, tests=1, level=5 / 16) == 3

    def test_looking_at_more_places_asks_for_more(self):
        chances = torch.full((4,), 0.5)
        assert critical_count(chances, tests=2, level=5 / 16) == 4
        assert critical_count(chances, tests=9, level=5 / 16) == 5  # more than there are

    def test_false_alarms_stay_below_the_level(self):
        random = torch.Generator().manual_seed(0)
        chances = torch.full((30,), 0.3)
        critical = critical_count(chances, tests=64, level=0.05)
        happened = torch.rand(2000, 30, 64, generator=random) < 0.3
        alarms = (happened.sum(dim=1) >= critical).any(dim=1).float().mean()
        assert alarms <= 0.05


class TestGroupMeans:
    def test_a_patient_counts_once(self):
        values = torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
        means = group_means(values, torch.tensor([1, 1, 0]))
        assert means.tolist() == [[1.0, 1.0], [0.5, 0.0]]

    def test_takes_masks(self):
        masks = torch.stack([drawn("#. .#"), drawn(".. .#")])
        assert group_means(masks, torch.tensor([0, 0])).tolist() == [[[0.5, 0.0], [0.0, 1.0]]]


class TestGrow:
    def test_diagonal_neighbours_too(self):
        assert torch.equal(
            grow(drawn("..... ..... ..#.. ..... ....."), 1), drawn("..... .###. .###. .###. .....")
        )

    def test_no_steps_no_growth(self):
        mask = drawn("#. .#")
        assert torch.equal(grow(mask, 0), mask)

    def test_keeps_leading_dimensions_apart(self):
        masks = torch.stack([drawn("#.. ..."), drawn("... ...")])
        assert grow(masks, 1).sum(dim=(1, 2)).tolist() == [4, 0]


class TestConnectedRegions:
    def test_largest_first(self):
        regions = connected_regions(drawn("#..## #..## ..... ...#."))
        assert regions.tolist() == [
            [2, 0, 0, 1, 1],
            [2, 0, 0, 1, 1],
            [0, 0, 0, 0, 0],
            [0, 0, 0, 3, 0],
        ]

    def test_diagonal_neighbours_belong_together(self):
        assert int(connected_regions(drawn("#.. .#. ..#")).max()) == 1

    def test_a_winding_region_is_one(self):
        spiral = drawn("###### .....# ####.# #..#.# #....# ######")
        assert int(connected_regions(spiral).max()) == 1

    def test_a_bridge_joins_without_filling(self):
        gap = drawn("#..#")
        assert connected_regions(gap).tolist() == [[1, 0, 0, 2]]  # of equal size: as one reads
        assert connected_regions(gap, bridge=1).tolist() == [[1, 0, 0, 1]]

    def test_nothing_is_no_region(self):
        assert not connected_regions(torch.zeros(4, 4).bool()).any()

    def test_against_scipy(self):
        mask = torch.rand(24, 24, generator=torch.Generator().manual_seed(3)) < 0.35
        ours = connected_regions(mask)
        theirs, count = label(mask.numpy(), structure=torch.ones(3, 3).numpy())
        assert int(ours.max()) == count
        pairs = set(zip(ours.flatten().tolist(), theirs.flatten().tolist(), strict=True))
        assert len(pairs) == count + 1  # each of our regions is exactly one of theirs
