"""2-D classification networks of MONAI (optional package), by name."""

from typing import Any

from torch import nn

from medxgan.errors import ClassifierError, MissingPackageError, nearest

MONAI_PREFIX = "monai:"

# name -> function of monai.networks.nets, what it calls the input channels and the outputs
_DENSENET = ("in_channels", "out_channels")
_RESNET = ("n_input_channels", "num_classes")
_SE_RESNET = ("in_channels", "num_classes")
MONAI_NETWORKS = {
    "DenseNet121": ("DenseNet121", *_DENSENET),
    "DenseNet169": ("DenseNet169", *_DENSENET),
    "DenseNet201": ("DenseNet201", *_DENSENET),
    "ResNet10": ("resnet10", *_RESNET),
    "ResNet18": ("resnet18", *_RESNET),
    "ResNet34": ("resnet34", *_RESNET),
    "ResNet50": ("resnet50", *_RESNET),
    "SEResNet50": ("SEResNet50", *_SE_RESNET),
}


def build_monai(name: str, channels: int, outputs: int) -> nn.Module:
    """A MONAI network for ``channels`` input channels and ``outputs`` scores, not pretrained.

    Raises:
        ClassifierError: unknown name.
        MissingPackageError: MONAI is not installed.
    """
    if name not in MONAI_NETWORKS:
        raise ClassifierError(
            f"no MONAI architecture is named '{name}'; {nearest(name, MONAI_NETWORKS)}"
        )
    try:
        from monai.networks import nets
    except ImportError as error:
        raise MissingPackageError(
            f"the architecture 'monai:{name}' needs MONAI; pip install 'medxgan[monai]'"
        ) from error
    function, channels_name, outputs_name = MONAI_NETWORKS[name]
    sizes: dict[str, Any] = {"spatial_dims": 2, channels_name: channels, outputs_name: outputs}
    network: nn.Module = getattr(nets, function)(**sizes)
    return network
