"""What training a style-based generator leaves behind: no classifier, and so no class.

The JSON says what images it draws, what the networks are, how they were trained and what was
measured; the safetensors file holds generator and encoder (packed, see ``packing.py``) and the
statistics of w as they are.
"""

from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from medxgan.config import StyleNetworkSettings
from medxgan.data.presentation import NOTHING_KEPT, KeptPresentation
from medxgan.errors import BundleError
from medxgan.networks.stylegan import StyleGenerator
from medxgan.networks.stylegan_encoder import StyleEncoder
from medxgan.networks.stylegan_statistics import CodeStatistics
from medxgan.packing import fill, pack

STYLE_FORMAT = 3
"""First format of this kind; programs that read up to 2 say that they must be updated."""
STATISTICS = "statistics."


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ImageSpec(_Part):
    """What images a bundle draws and takes.

    Attributes:
        size: height and width, pixels.
        channels: 1 grey, 3 colour.
    """

    size: Literal[32, 64, 128, 256]
    channels: Literal[1, 3]


class StyleThresholds(_Part):
    """Limits beyond which a code does not stand for its image, measured on held-out images.

    Attributes:
        reconstruction_error: largest mean absolute error of a reconstruction, scale of [-1, 1].
        code_distance: largest distance of a code, refined in W+, from the mean of mapped ones, see
            ``CodeStatistics.distance``.
        images: number of held-out images they come from.
        quantile: share of these images that lies within each limit.
    """

    reconstruction_error: float = Field(ge=0)
    code_distance: float = Field(ge=0)
    images: int = Field(ge=1)
    quantile: float


class StyleManifest(_Part):
    """Content of ``bundle.json``.

    Attributes:
        format_version: of this file.
        name: of the bundle, for people.
        method: how it was made.
        images: what it draws.
        network: sizes of generator and encoder.
        thresholds: for the status of explanations.
        training: summary of the run.
        metrics: figures measured on held-out images.
        intensity_limits: stored values of the training images that became -1 and +1; for 16-bit
            files, whose depth one image cannot tell.
        presentation: window and axis of the training images, for DICOM and NIfTI files to explain;
            nothing in bundles that were written before this was kept.
        data_licence: what the training images may be used for.
        generator_version: version of this program that wrote the bundle.
    """

    format_version: Literal[3] = 3
    name: str
    method: Literal["stylegan"] = "stylegan"
    images: ImageSpec
    network: StyleNetworkSettings
    thresholds: StyleThresholds
    training: dict[str, Any]
    metrics: dict[str, Any]
    intensity_limits: tuple[float, float] | None = None
    presentation: KeptPresentation = NOTHING_KEPT
    data_licence: str
    generator_version: str


class StyleBundle(NamedTuple):
    """A loaded bundle: its manifest, networks and statistics, on the CPU, in evaluation mode."""

    manifest: StyleManifest
    generator: StyleGenerator
    encoder: StyleEncoder
    statistics: CodeStatistics


def style_tensors(bundle: StyleBundle) -> dict[str, Tensor]:
    """What the safetensors file of a bundle holds, by name."""
    tensors = {
        f"{part}.{name}": value
        for part, network in (("generator", bundle.generator), ("encoder", bundle.encoder))
        for name, value in pack(network.state_dict()).items()
    }
    # A covariance in 8 bits could not be inverted.
    tensors[f"{STATISTICS}mean"] = bundle.statistics.mean.contiguous()
    tensors[f"{STATISTICS}covariance"] = bundle.statistics.covariance.contiguous()
    return tensors


def load_style_bundle(
    manifest: StyleManifest, tensors: dict[str, Tensor], folder: Path
) -> StyleBundle:
    """Build the networks of a manifest and fill them.

    Raises:
        BundleError: the tensors do not fit the manifest.
    """
    spec, code = manifest.images, manifest.network.code
    generator = StyleGenerator(spec.size, spec.channels, manifest.network)
    encoder = StyleEncoder(spec.size, spec.channels, manifest.network)
    fill(generator, tensors, "generator", folder)
    fill(encoder, tensors, "encoder", folder)
    mean = tensors.get(f"{STATISTICS}mean")
    covariance = tensors.get(f"{STATISTICS}covariance")
    if (
        mean is None
        or covariance is None
        or mean.shape != (code,)
        or covariance.shape != (code, code)
    ):
        raise BundleError(
            f"the statistics of w in {folder} are missing or do not fit its {code} dimensions; "
            "copy the bundle again"
        )
    return StyleBundle(manifest, generator, encoder, CodeStatistics(mean, covariance))
