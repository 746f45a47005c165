"""Reading images and data sets; every format ends in the same `Dataset`."""

from medxgan.data.archive import write_npz
from medxgan.data.building import build_dataset
from medxgan.data.dataset import Dataset, Table
from medxgan.data.images import image_files, read_image, write_image
from medxgan.data.inputs import Inputs, read_inputs
from medxgan.data.opening import open_dataset
from medxgan.data.phantom_files import phantom_dataset, write_phantoms
from medxgan.data.presentation import (
    KeptPresentation,
    Presentation,
    Window,
    parse_presentation,
)

__all__ = [
    "Dataset",
    "Inputs",
    "KeptPresentation",
    "Presentation",
    "Table",
    "Window",
    "build_dataset",
    "image_files",
    "open_dataset",
    "parse_presentation",
    "phantom_dataset",
    "read_image",
    "read_inputs",
    "write_image",
    "write_npz",
    "write_phantoms",
]
