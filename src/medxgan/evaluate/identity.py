"""What is measured and by what, in a few words to compare."""

import hashlib
from typing import Any

import numpy as np
import torch

from medxgan.bundle import Manifest
from medxgan.classifiers import fingerprint_of
from medxgan.data import Dataset
from medxgan.evaluate.redrawn import networks_of
from medxgan.explainer import Explainer
from medxgan.version import __version__

SHOWN = 12
"""Digits of a fingerprint that people see."""


def identity_of(explainer: Explainer, data: Dataset, settings: dict[str, Any]) -> dict[str, Any]:
    """Words for the bundle and the data that change with anything in them, and the settings.

    Args:
        explainer: its networks, its classifier and its limits are looked at.
        data: every pixel, label, group, mask and twin is.
        settings: what else decides the figures, by name, in values that JSON can hold.
    """
    return {
        "medxgan": __version__,
        "bundle": f"{explainer.bundle.name} {_digest_of_bundle(explainer)[:SHOWN]}",
        "data": f"{len(data)} images {digest_of_data(data)[:SHOWN]}",
        **settings,
    }


def name_of_device(device: torch.device) -> str:
    """What computes, as people know it.

    >>> name_of_device(torch.device("cpu"))
    'cpu'
    """
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _digest_of_bundle(explainer: Explainer) -> str:
    manifest: Manifest = explainer.bundle
    described = manifest.model_dump_json(include={"target", "network", "thresholds"})
    parts = [explainer.classifier.fingerprint, described]
    parts += [fingerprint_of(network, manifest.spec) for network in networks_of(explainer).values()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def digest_of_data(data: Dataset) -> str:
    """A name for the images that changes with any pixel, label, value, group, mask or twin."""
    table, rows = data.table, data.rows
    digest = hashlib.sha256(f"{table.limits} {table.class_names}".encode())
    for column in (
        *(table.pixels, table.masks, table.twins, table.has_mask, table.labels),
        table.values,
    ):
        if column is not None:
            chosen = np.ascontiguousarray(column[rows])
            digest.update(f"{chosen.dtype} {chosen.shape}".encode())
            digest.update(chosen.tobytes())
    digest.update("\n".join([*data.groups.tolist(), *data.names.tolist()]).encode())
    return digest.hexdigest()
