"""The two-code generator's promises, to the bit."""

import pytest
import torch

from medxgan.config import load_settings
from medxgan.errors import ConfigError
from medxgan.networks.blocks import HomogeneousConv, pixel_norm
from medxgan.networks.discriminator import Discriminator, append_deviation
from medxgan.networks.encoder import Encoder, Posterior
from medxgan.networks.medxgan import TwoCodeGenerator

SETTINGS = load_settings("tiny").network


@pytest.fixture
def generator() -> TwoCodeGenerator:
    torch.manual_seed(0)
    return TwoCodeGenerator(32, 1, SETTINGS).eval()


def codes(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(1)
    return (
        torch.randn(count, SETTINGS.structure_code, generator=random),
        torch.randn(count, SETTINGS.pathology_code, generator=random),
    )


def test_zero_pathology_code_is_the_structure_branch_alone_to_the_bit(generator):
    z1, z2 = codes(3)
    alone = generator.render(generator.structure(z1))
    assert torch.equal(generator(z1, torch.zeros_like(z2)), alone)
    assert not torch.equal(generator(z1, z2), alone)


@pytest.mark.parametrize("strength", [0.0, 0.25, 1.0, 2.0])
def test_pathology_stream_is_positively_homogeneous(generator, strength):
    z1, z2 = codes(3)
    anatomy = generator.structure(z1)
    torch.testing.assert_close(
        generator.pathology(strength * z2, anatomy), strength * generator.pathology(z2, anatomy)
    )


def test_film_equals_generating_each_frame(generator):
    z1, z2 = codes(2)
    strengths = torch.tensor([0.0, 0.5, 1.0])
    slow = torch.stack([generator(z1, t * z2) for t in strengths])
    torch.testing.assert_close(generator.film(z1, z2, strengths), slow)


def test_a_change_of_features_stays_near_its_place(generator):
    """The renderer's receptive field: a change of one feature pixel moves at most 5 pixels away."""
    anatomy = generator.structure(codes(1)[0])
    change = torch.zeros_like(anatomy.features)
    change[:, :, 8, 8] = 1.0
    moved = (generator.render(anatomy, change) - generator.render(anatomy)).abs()[0, 0] > 0
    rows, columns = torch.nonzero(moved, as_tuple=True)
    assert 16 - 5 <= rows.min() <= rows.max() <= 17 + 5
    assert 16 - 5 <= columns.min() <= columns.max() <= 17 + 5


def test_images_lie_in_range_and_gradients_pass_the_limit(generator):
    z1, z2 = (40 * code for code in codes(2))
    z1.requires_grad_()
    image = generator(z1, z2)
    assert image.min() >= -1 and image.max() <= 1
    (gradient,) = torch.autograd.grad(image.sum(), z1)
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize(("size", "channels"), [(32, 3), (64, 1), (128, 1), (256, 3)])
def test_all_networks_take_every_size(size, channels):
    z1, z2 = codes(2)
    generator = TwoCodeGenerator(size, channels, SETTINGS)
    images = generator(z1, z2)
    assert images.shape == (2, channels, size, size)
    first, second = Encoder(size, channels, SETTINGS)(images)
    assert first.mean.shape == z1.shape and second.mean.shape == z2.shape
    logits = Discriminator(size, channels, SETTINGS)(images, torch.tensor([True, False]))
    assert logits.shape == (2,)


@pytest.mark.parametrize("size", [16, 48, 512])
def test_other_sizes_are_refused(size):
    with pytest.raises(ConfigError, match=f"32, 64, 128 or 256 pixels, got {size}"):
        TwoCodeGenerator(size, 1, SETTINGS)


def test_homogeneous_bias_grows_with_the_code():
    layer = HomogeneousConv(2, 3)
    torch.nn.init.ones_(layer.bias)
    nothing = torch.zeros(2, 2, 4, 4)
    out = layer(nothing, torch.tensor([0.0, 2.0]))
    assert torch.equal(out[0], torch.zeros(3, 4, 4))
    assert torch.equal(out[1], torch.full((3, 4, 4), 2.0))


def test_pixel_norm_gives_unit_mean_square():
    features = torch.randn(2, 8, 3, 3, generator=torch.Generator().manual_seed(0))
    squares = pixel_norm(7 * features).square().mean(dim=1)
    torch.testing.assert_close(squares, torch.ones(2, 3, 3), atol=1e-4, rtol=0)


def test_divergence_of_the_prior_is_zero_and_of_a_shift_is_half_its_square():
    prior = Posterior(torch.zeros(1, 4), torch.zeros(1, 4))
    shifted = Posterior(torch.tensor([[2.0, 0.0]]), torch.zeros(1, 2))
    assert prior.divergence().item() == 0.0
    assert shifted.divergence().item() == pytest.approx(2.0)


def test_posterior_sample_without_noise_is_the_mean():
    posterior = Posterior(torch.tensor([[1.0, -1.0]]), torch.zeros(1, 2))
    assert torch.equal(posterior.sample(torch.zeros(1, 2)), posterior.mean)


def test_deviation_channel_tells_collapsed_from_varied():
    same = append_deviation(torch.ones(4, 2, 3, 3))[:, -1]
    varied = append_deviation(torch.arange(4.0).view(4, 1, 1, 1).expand(4, 2, 3, 3))[:, -1]
    assert same.max() < 1e-3
    torch.testing.assert_close(varied, torch.full((4, 3, 3), 1.25**0.5))


def test_discriminator_answers_for_the_class_it_is_asked_about():
    torch.manual_seed(0)
    judge = Discriminator(32, 1, SETTINGS)
    images = torch.randn(2, 1, 32, 32)
    asked = torch.tensor([True, True])
    assert not torch.equal(judge(images, asked), judge(images, ~asked))
