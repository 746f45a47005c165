"""From images to codes by optimisation."""

import pytest
import torch

from medxgan.config import StyleNetworkSettings
from medxgan.errors import ConfigError
from medxgan.networks.stylegan import StyleGenerator
from medxgan.networks.stylegan_statistics import CodeStatistics, measure_codes
from medxgan.style_inversion import image_distance, refine_codes

SMALL = StyleNetworkSettings(code=8, mapping_layers=2, base_width=8, maximum_width=16)


@pytest.fixture(scope="module")
def generator() -> StyleGenerator:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return StyleGenerator(32, 1, SMALL).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def codes(generator: StyleGenerator) -> torch.Tensor:
    return generator.map(torch.randn(3, 8, generator=torch.Generator().manual_seed(1)))


def test_the_distance_of_an_image_from_itself_is_zero():
    image = torch.rand(2, 3, 16, 16)
    assert image_distance(image, image).tolist() == [0, 0]


def test_fine_patterns_count_less_than_coarse_ones():
    """A chequered difference vanishes in every mean; one of the same size all over does not."""
    chequered = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(4, 4)[None, None]
    nothing = torch.zeros(1, 1, 8, 8)
    assert image_distance(chequered, nothing).item() == 1.0
    assert image_distance(chequered.abs(), nothing).item() == 2.5


def test_codes_are_found_again(generator, codes):
    images = generator(codes)
    start = codes + 0.3 * torch.randn(codes.shape, generator=torch.Generator().manual_seed(2))
    before = image_distance(generator(start), images)
    found = refine_codes(generator, images, start, steps=60)
    assert found.shape == codes.shape
    assert (image_distance(generator(found), images) < 0.2 * before).all()


def test_each_layer_moves_on_its_own(generator, codes):
    start = codes.unsqueeze(1).repeat(1, generator.layers, 1)
    images = generator(codes.flip(0))
    found = refine_codes(generator, images, start, steps=5)
    assert found.shape == start.shape
    assert not torch.allclose(found[:, 0], found[:, 1])


def test_no_image_gets_worse(generator, codes):
    images = generator(codes)
    found = refine_codes(generator, images, codes, steps=3)
    assert torch.equal(found, codes)


def test_no_steps_return_the_start(generator, codes):
    found = refine_codes(generator, generator(codes.flip(0)), codes, steps=0)
    assert torch.equal(found, codes)


def test_an_image_does_not_depend_on_its_batch(generator, codes):
    images = generator(codes.flip(0))
    together = refine_codes(generator, images, codes, steps=4)
    alone = refine_codes(generator, images[:1], codes[:1], steps=4)
    torch.testing.assert_close(together[:1], alone, rtol=1e-3, atol=1e-4)


def test_the_prior_holds_codes_back(generator, codes):
    statistics = measure_codes(generator, 500)
    images = torch.ones(3, 1, 32, 32)  # nothing that it can draw
    free = refine_codes(generator, images, codes, steps=40)
    held = refine_codes(
        generator, images, codes, steps=40, statistics=statistics, prior_weight=10.0
    )
    assert (statistics.distance(held) < statistics.distance(free)).all()


def test_the_mean_is_a_place_to_start_from(generator):
    """The distance has no slope there; its square does."""
    statistics = CodeStatistics(torch.zeros(8), torch.eye(8))
    images = generator(torch.ones(1, 8))
    found = refine_codes(generator, images, torch.zeros(1, 8), steps=3, statistics=statistics)
    assert found.isfinite().all() and found.abs().sum() > 0


@pytest.mark.parametrize("off", [torch.no_grad, torch.inference_mode])
def test_it_works_where_gradients_are_switched_off(generator, codes, off):
    statistics = measure_codes(generator, 100)
    with off():
        images, start = generator(codes.flip(0)), codes.clone()
        found = refine_codes(generator, images, start, steps=3, statistics=statistics)
    assert not torch.equal(found, codes)


def test_bad_numbers_are_refused(generator, codes):
    images = generator(codes)
    with pytest.raises(ConfigError, match="steps must be at least 0, got -1"):
        refine_codes(generator, images, codes, steps=-1)
    with pytest.raises(ConfigError, match=r"of the prior must be at least 0, got -0\.5"):
        refine_codes(generator, images, codes, steps=1, prior_weight=-0.5)
