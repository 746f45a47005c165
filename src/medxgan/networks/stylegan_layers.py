"""Layers of StyleGAN2 (Karras et al. 2020, arXiv 1912.04958), as pure functions and small modules.

Weights are stored with unit variance and scaled when used (equalised learning rate, Karras et al.
2018), so that one step of Adam changes every layer by the same share.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d, interpolate, leaky_relu, linear, pad

SLOPE = 0.2
GAIN = math.sqrt(2)
"""Leaky ReLU halves the variance, roughly; this restores it."""
SMALLEST = 1e-8
STYLE_DEVIATION = 0.25
"""Of the first styles about 1, where 1 is published: images begin alike and learn to differ, which
reaches the right shapes sooner than beginning with as many wrong ones."""


def upsample(features: Tensor) -> Tensor:
    """Double height and width of ``[N, C, H, W]`` by the filter [1, 3, 3, 1] (bilinear).

    >>> upsample(torch.tensor([[[[0.0, 4.0]]]]))[0, 0, 0].tolist()
    [0.0, 1.0, 3.0, 4.0]
    """
    return interpolate(features, scale_factor=2.0, mode="bilinear", align_corners=False)


def downsample(features: Tensor) -> Tensor:
    """Halve height and width of ``[N, C, H, W]`` by the filter [1, 3, 3, 1] / 8.

    Three means over two neighbours make up that filter, at half the cost of a convolution on CPUs.

    >>> downsample(torch.ones(1, 1, 4, 4)).flatten().tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    padded = pad(features, (1, 1, 1, 1), mode="replicate")
    return avg_pool2d(avg_pool2d(avg_pool2d(padded, 2, stride=1), 2, stride=1), 2)


def modulated_conv(features: Tensor, weight: Tensor, style: Tensor, demodulate: bool) -> Tensor:
    """Convolve each image with weights whose inputs its style scales (arXiv 1912.04958, eq. 1-3).

    Instead of one weight an image, as written there, the features are scaled before the
    convolution and after it, which is the same and on CPUs two to eight times as fast as a grouped
    convolution. Demodulation keeps unit variance for independent inputs of unit variance.

    Args:
        features: ``[N, I, H, W]``.
        weight: ``[O, I, k, k]``, k odd.
        style: factor on each input channel, ``[N, I]``.
        demodulate: divide by the expected deviation of each output channel.

    Returns:
        ``[N, O, H, W]``.

    >>> weight = torch.ones(1, 1, 1, 1)
    >>> modulated_conv(torch.ones(1, 1, 1, 1), weight, torch.tensor([[3.0]]), False).item()
    3.0
    >>> modulated_conv(torch.ones(1, 1, 1, 1), weight, torch.tensor([[3.0]]), True).item()
    1.0
    """
    scaled = features * style[:, :, None, None].to(features.dtype)
    convolved = conv2d(scaled, weight, padding=weight.shape[-1] // 2)
    if not demodulate:
        return convolved
    scale = demodulation(weight, style)[:, :, None, None]
    return convolved * scale.to(convolved.dtype)


def demodulation(weight: Tensor, style: Tensor) -> Tensor:
    """One over the expected deviation of each output channel (arXiv 1912.04958, eq. 3).

    Weights ``[O, I, k, k]`` and styles ``[N, I]`` -> ``[N, O]``.
    """
    energy = linear(style.square(), weight.square().sum(dim=(2, 3)))
    return torch.rsqrt(energy + SMALLEST)


class EqualLinear(nn.Module):
    """Linear layer with equalised learning rate.

    Args:
        inputs: features before.
        outputs: features after.
        bias: initial value of all biases.
        deviation: of the initial outputs, for inputs of unit variance.
        rate: factor on the learning rate of weights and biases.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        bias: float = 0.0,
        deviation: float = 1.0,
        rate: float = 1.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) * deviation / rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias / rate))
        self.weight_gain, self.bias_gain = rate / math.sqrt(inputs), rate

    def forward(self, features: Tensor) -> Tensor:
        """``[..., inputs]`` -> ``[..., outputs]``."""
        return linear(features, self.weight * self.weight_gain, self.bias * self.bias_gain)


class EqualConv(nn.Module):
    """Convolution with equalised learning rate and zero padding; ``kernel`` is odd."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, *, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.gain = 1 / math.sqrt(inputs * kernel**2)

    def forward(self, features: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` -> ``[N, outputs, H, W]``."""
        weight = self.weight * self.gain
        return conv2d(features, weight, self.bias, padding=weight.shape[-1] // 2)


class StyleConv(nn.Module):
    """Modulated 3 x 3 convolution, upsampling if asked for, noise if any, bias, leaky ReLU.

    Args:
        inputs: channels before.
        outputs: channels after.
        code: dimensions of w.
        grow: double the map; behind the convolution, where it costs a quarter.
        noise: have a learned strength of noise, 0 at first.
    """

    strength: nn.Parameter | None

    def __init__(self, inputs: int, outputs: int, code: int, *, grow: bool, noise: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.affine = EqualLinear(code, inputs, bias=1.0, deviation=STYLE_DEVIATION)
        self.strength = nn.Parameter(torch.zeros(())) if noise else None
        self.grow, self.gain = grow, 1 / math.sqrt(inputs * 9)

    def forward(self, features: Tensor, code: Tensor, noise: Tensor | None = None) -> Tensor:
        """``[N, inputs, H, W]``, w ``[N, d]`` and noise of the output's size -> outputs."""
        weight = self.weight * self.gain
        with float32_arithmetic(features):
            style = self.affine(code.float())
            scale = GAIN * demodulation(weight, style)
        drawn = modulated_conv(features, weight, style, demodulate=False)
        if self.grow:
            drawn = upsample(drawn)
        # The gain of the leaky ReLU, which is homogeneous, goes before it into factors at hand.
        bias, factor = GAIN * self.bias[None, :, None, None], scale[:, :, None, None]
        drawn = torch.addcmul(bias.to(drawn.dtype), drawn, factor.to(drawn.dtype))
        if self.strength is not None and noise is not None:
            drawn = drawn + (GAIN * self.strength * noise).to(drawn.dtype)
        activated: Tensor = leaky_relu(drawn, SLOPE)
        return activated


class ToImage(nn.Module):
    """Features -> image: modulated 1 x 1 convolution without demodulation, in float32."""

    def __init__(self, inputs: int, channels: int, code: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, inputs))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.affine = EqualLinear(code, inputs, bias=1.0, deviation=STYLE_DEVIATION)
        self.gain = 1 / math.sqrt(inputs)

    def forward(self, features: Tensor, code: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` and w ``[N, d]`` -> float32 ``[N, channels, H, W]``."""
        with float32_arithmetic(features):
            style = self.affine(code.float()) * self.gain
        weight = self.weight * style.unsqueeze(1)  # [N, channels, inputs]
        pixels = features.permute(0, 2, 3, 1).flatten(1, 2)  # [N, H W, inputs], no copy
        drawn = torch.bmm(pixels, weight.to(pixels.dtype).transpose(1, 2)).float()
        image: Tensor = drawn.transpose(1, 2).unflatten(2, features.shape[2:])
        return image + self.bias[None, :, None, None]


def float32_arithmetic(like: Tensor) -> torch.autocast:
    """Switch autocast off: styles and demodulation need more than bfloat16's three digits."""
    return torch.autocast(like.device.type, enabled=False)
