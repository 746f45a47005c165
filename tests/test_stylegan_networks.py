"""The style-based networks: their layers against slower forms, and what they promise."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d, leaky_relu, pad

from medxgan.config import StyleNetworkSettings
from medxgan.errors import ConfigError
from medxgan.networks.stylegan import StyleGenerator, layer_count, mix_styles
from medxgan.networks.stylegan_discriminator import StyleDiscriminator
from medxgan.networks.stylegan_encoder import StyleEncoder
from medxgan.networks.stylegan_layers import (
    EqualConv,
    EqualLinear,
    StyleConv,
    ToImage,
    demodulation,
    downsample,
    modulated_conv,
    upsample,
)
from medxgan.networks.stylegan_statistics import CodeStatistics, measure_codes

SMALL = StyleNetworkSettings(code=12, mapping_layers=2, base_width=8, maximum_width=16)
SIZES = (32, 64, 128, 256)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def generator(size: int = 32, channels: int = 1, **settings: object) -> StyleGenerator:
    return StyleGenerator(size, channels, SMALL.model_copy(update=settings)).eval()


# Layers.


def test_demodulation_keeps_unit_variance():
    """For independent inputs of unit variance, whatever the style."""
    weight, style = torch.randn(5, 64, 3, 3), 10 * torch.rand(1, 64)
    images = torch.randn(200, 64, 8, 8)
    drawn = modulated_conv(images, weight, style.expand(200, -1), demodulate=True)
    inner = drawn[:, :, 1:-1, 1:-1]  # zero padding has no variance
    torch.testing.assert_close(inner.var(dim=(0, 2, 3)), torch.ones(5), rtol=0.05, atol=0)


@pytest.mark.parametrize("demodulate", [True, False])
@pytest.mark.parametrize("kernel", [1, 3])
def test_modulated_convolution_equals_a_loop_over_images(kernel, demodulate):
    features, weight = torch.randn(4, 6, 9, 9), torch.randn(5, 6, kernel, kernel)
    style = torch.randn(4, 6)
    drawn = modulated_conv(features, weight, style, demodulate)
    for image, factors, found in zip(features, style, drawn, strict=True):
        own = weight * factors[None, :, None, None]
        if demodulate:
            own = own / (own.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
        wanted = conv2d(image[None], own, padding=kernel // 2)[0]
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_modulated_convolution_equals_a_grouped_one():
    features, weight, style = torch.randn(3, 6, 8, 8), torch.randn(4, 6, 3, 3), torch.randn(3, 6)
    own = weight * style[:, None, :, None, None]
    own = own * demodulation(weight, style)[:, :, None, None, None]
    grouped = conv2d(features.reshape(1, 18, 8, 8), own.reshape(12, 6, 3, 3), padding=1, groups=3)
    drawn = modulated_conv(features, weight, style, demodulate=True)
    torch.testing.assert_close(drawn, grouped.reshape(3, 4, 8, 8), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("grow", [True, False])
def test_a_style_layer_is_written_out(grow):
    layer = StyleConv(6, 4, code=3, grow=grow, noise=False)
    torch.nn.init.normal_(layer.bias)
    features, code = torch.randn(2, 6, 8, 8), torch.randn(2, 3)
    drawn = modulated_conv(features, layer.weight, layer.affine(code), demodulate=True)
    if grow:
        drawn = upsample(drawn)
    wanted = 2**0.5 * leaky_relu(drawn + layer.bias[:, None, None], 0.2)
    torch.testing.assert_close(layer(features, code), wanted, rtol=1e-4, atol=1e-5)


def test_to_image_is_a_convolution_without_demodulation():
    layer = ToImage(6, 3, code=5)
    torch.nn.init.normal_(layer.bias)
    features, code = torch.randn(2, 6, 8, 8), torch.randn(2, 5)
    weight = layer.weight[:, :, None, None] / 6**0.5
    wanted = modulated_conv(features, weight, layer.affine(code), demodulate=False)
    wanted = wanted + layer.bias[:, None, None]
    torch.testing.assert_close(layer(features, code), wanted, rtol=1e-4, atol=1e-5)
    images = features.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(layer(images, code), wanted, rtol=1e-4, atol=1e-5)


def filter_1331() -> Tensor:
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    return (taps[:, None] * taps)[None, None]


def test_downsampling_is_the_filter_1331():
    images = torch.randn(2, 3, 8, 8)
    padded = pad(images, (1, 1, 1, 1), mode="replicate").reshape(6, 1, 10, 10)
    wanted = conv2d(padded, filter_1331(), stride=2).reshape(2, 3, 4, 4)
    torch.testing.assert_close(downsample(images), wanted)


def test_upsampling_is_the_filter_1331():
    """Zeros between the pixels, then the filter, which must make up for them."""
    images = torch.randn(1, 1, 6, 6)
    spread = torch.zeros(1, 1, 12, 12)
    spread[:, :, ::2, ::2] = images
    wanted = conv2d(pad(spread, (2, 1, 2, 1)), 4 * filter_1331())
    torch.testing.assert_close(upsample(images)[..., 2:-2, 2:-2], wanted[..., 2:-2, 2:-2])


def test_equalised_layers_have_the_variance_of_their_inputs():
    linear, slow = EqualLinear(400, 300), EqualLinear(400, 300, rate=0.01, bias=1.0)
    features = torch.randn(500, 400)
    assert linear(features).var().item() == pytest.approx(1, rel=0.05)
    assert slow(features).var().item() == pytest.approx(1, rel=0.05)
    assert slow(0 * features).unique().tolist() == pytest.approx([1.0])
    convolved = EqualConv(40, 30)(torch.randn(20, 40, 8, 8))[:, :, 1:-1, 1:-1]
    assert convolved.var().item() == pytest.approx(1, rel=0.05)


def test_the_rate_scales_what_a_step_of_the_optimiser_does():
    """A step of Adam moves each stored weight by the same; what it does to the output is less."""
    features, moved = torch.randn(4, 8, dtype=torch.float64), []
    for rate in (1.0, 0.01):
        layer = EqualLinear(8, 8, rate=rate).double()
        before = layer(features)
        with torch.no_grad():
            layer.weight += 0.1
            layer.bias += 0.1
        moved.append(layer(features) - before)
    torch.testing.assert_close(moved[1], 0.01 * moved[0])


# The generator.


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", SIZES)
def test_all_networks_take_every_size(size, channels):
    draw = generator(size, channels)
    codes = draw.map(torch.randn(4, 12))
    assert codes.shape == (4, 12) and draw.layers == layer_count(size) == len(draw.convs)
    images = draw(codes)
    assert images.shape == (4, channels, size, size)
    assert images.min() >= -1 and images.max() <= 1
    assert StyleDiscriminator(size, channels, SMALL)(images).shape == (4,)
    assert StyleEncoder(size, channels, SMALL)(images).shape == (4, 12)
    wide = SMALL.model_copy(update={"encoder_space": "w+"})
    assert StyleEncoder(size, channels, wide)(images).shape == (4, draw.layers, 12)


@pytest.mark.parametrize("network", [StyleGenerator, StyleDiscriminator, StyleEncoder])
@pytest.mark.parametrize("size", [16, 48, 512])
def test_other_sizes_are_refused(network, size):
    with pytest.raises(ConfigError, match=f"32, 64, 128 or 256 pixels, got {size}"):
        network(size, 1, SMALL)


def test_layers_are_not_counted_for_other_sizes():
    with pytest.raises(ConfigError, match="got 100"):
        layer_count(100)


def test_the_same_code_gives_the_same_bits():
    """By default there is no noise: not while training either, and in no weight."""
    draw = generator()
    codes = draw.map(torch.randn(2, 12))
    first = draw(codes)
    torch.manual_seed(99)
    assert torch.equal(draw(codes), first)
    assert torch.equal(draw.train()(codes), first)
    assert not any("noise" in name or "strength" in name for name in draw.state_dict())


def test_noise_where_it_is_switched_on():
    draw = generator(noise=True)
    codes = draw.map(torch.randn(2, 12))
    silent = draw(codes)
    draw.train()
    assert torch.equal(draw(codes), silent)  # its strength is learned, and 0 at first
    for name, parameter in draw.named_parameters():
        if name.endswith("strength"):
            torch.nn.init.ones_(parameter)
    assert not torch.equal(draw(codes), draw(codes))
    draw.eval()
    assert torch.equal(draw(codes), draw(codes))
    assert not torch.equal(draw(codes), silent)


def test_an_image_does_not_depend_on_its_batch():
    draw = generator()
    codes = draw.map(torch.randn(5, 12))
    torch.testing.assert_close(draw(codes)[:1], draw(codes[:1]))


def test_one_code_for_all_layers_is_the_same_code_for_each():
    draw = generator()
    codes = draw.map(torch.randn(2, 12))
    repeated = codes.unsqueeze(1).repeat(1, draw.layers, 1)
    torch.testing.assert_close(draw(codes), draw(repeated))


def test_every_layer_has_a_say():
    draw = generator()
    codes = draw.map(torch.randn(1, 12)).unsqueeze(1).repeat(1, draw.layers, 1)
    before = draw(codes)
    for layer in range(draw.layers):
        changed = codes.clone()
        changed[:, layer] += 1
        assert not torch.equal(draw(changed), before), layer


def test_styles_are_mixed_at_the_cut():
    first, second = torch.zeros(3, 2), torch.ones(3, 2)
    mixed = mix_styles(first, second, torch.tensor([0, 2, 5]), layers=5)
    assert mixed.shape == (3, 5, 2)
    assert mixed[:, :, 0].tolist() == [[1, 1, 1, 1, 1], [0, 0, 1, 1, 1], [0, 0, 0, 0, 0]]


def test_a_mixed_image_is_neither_of_its_parents():
    draw = generator()
    first, second = draw.map(torch.randn(2, 12)).split(1)
    mixed = draw(mix_styles(first, second, torch.tensor([3]), draw.layers))
    assert not torch.allclose(mixed, draw(first))
    assert not torch.allclose(mixed, draw(second))


def test_only_the_direction_of_z_matters():
    draw = generator()
    z = torch.randn(3, 12)
    torch.testing.assert_close(draw.map(7 * z), draw.map(z), rtol=1e-4, atol=1e-5)


def test_truncation_moves_codes_towards_their_mean():
    draw = generator()
    z = torch.randn(6, 12)
    for _ in range(3_000):
        draw.mapping.follow(draw.mapping(z))
    mean = draw.mapping(z).mean(dim=0)
    torch.testing.assert_close(draw.mapping.mean, mean, rtol=0.01, atol=1e-3)
    torch.testing.assert_close(draw.map(z, 0.0), draw.mapping.mean.expand(6, -1))
    torch.testing.assert_close(draw.map(z, 1.0), draw.mapping(z))
    half = (draw.mapping(z) + draw.mapping.mean) / 2
    torch.testing.assert_close(draw.map(z, 0.5), half)


def test_bfloat16_draws_nearly_the_same():
    draw = generator()
    codes = draw.map(torch.randn(2, 12))
    exact = draw(codes)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        drawn = draw(codes)
    assert drawn.dtype == torch.float32
    assert (drawn - exact).abs().mean() < 0.03


def test_the_generator_can_be_differentiated_twice():
    """Path-length regularisation needs it."""
    draw = generator()
    codes = draw.map(torch.randn(2, 12)).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(draw(codes).square().sum(), codes, create_graph=True)
    gradient.square().sum().backward()
    assert codes.grad is not None and codes.grad.isfinite().all() and codes.grad.abs().sum() > 0


# Discriminator and encoder.


def test_the_discriminator_sees_whether_its_batch_varies():
    judge = StyleDiscriminator(32, 1, SMALL).eval()
    images = torch.rand(4, 1, 32, 32) * 2 - 1
    alike = images[:1].expand(4, -1, -1, -1)
    assert not torch.allclose(judge(images)[0], judge(alike)[0])


def test_logits_are_those_of_the_last_features():
    judge = StyleDiscriminator(32, 1, SMALL)
    images = torch.rand(4, 1, 32, 32)
    maps = judge.features(images)
    assert [part.shape[-1] for part in maps] == [8, 4]
    torch.testing.assert_close(judge.logits(maps[-1]), judge(images))


def test_the_encoder_begins_with_the_same_code_for_all_layers():
    encoder = StyleEncoder(32, 1, SMALL.model_copy(update={"encoder_space": "w+"}))
    codes = encoder(torch.rand(2, 1, 32, 32))
    assert torch.equal(codes, codes[:, :1].expand_as(codes))
    assert encoder.offsets is not None
    torch.nn.init.normal_(encoder.offsets.weight)
    codes = encoder(torch.rand(2, 1, 32, 32))
    assert not torch.equal(codes[:, 0], codes[:, 1])


# Statistics of w.


def test_mapped_codes_lie_at_distance_one():
    """By definition, in the root mean square over the codes that were measured."""
    draw = generator()
    statistics = measure_codes(draw, 4_000, seed=3)
    z = torch.randn(4_000, 12, generator=torch.Generator().manual_seed(3))
    distance = statistics.distance(draw.mapping(z))
    assert distance.square().mean().sqrt().item() == pytest.approx(1, rel=0.01)
    centre = statistics.distance(statistics.mean[None])
    torch.testing.assert_close(centre, torch.zeros(1), atol=1e-5, rtol=0)


def test_the_distance_of_layers_is_their_root_mean_square():
    statistics = CodeStatistics(torch.zeros(1), torch.ones(1, 1))
    assert statistics.distance(torch.tensor([[[3.0], [4.0]]])).item() == pytest.approx(12.5**0.5)


@pytest.mark.parametrize("variances", [[1.0, 0.0], [0.0, 0.0]])
def test_codes_that_do_not_vary_have_a_distance_all_the_same(variances):
    statistics = CodeStatistics(torch.zeros(2), torch.diag(torch.tensor(variances)))
    assert statistics.whitening().isfinite().all()
    assert statistics.distance(torch.zeros(1, 2)).item() == 0
