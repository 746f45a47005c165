"""Data-parallel training: gradients are averaged, and two processes finish a run together."""

import subprocess
import sys

import torch
from torch import nn

from medxgan.bundle import load_bundle
from medxgan.training.loop import average_gradients


class TwoProcesses:
    """Stands in for Fabric where the other process has gradients of zero."""

    world_size = 2

    def all_reduce(self, value: torch.Tensor, reduce_op: str) -> torch.Tensor:
        assert reduce_op == "mean"
        return value / 2


def test_gradients_become_the_mean_over_processes():
    first, second = nn.Parameter(torch.ones(2, 3)), nn.Parameter(torch.ones(4))
    unused = nn.Parameter(torch.ones(1))
    first.grad, second.grad = torch.full((2, 3), 4.0), torch.arange(4.0)
    average_gradients(TwoProcesses(), [first, unused, second])
    assert torch.equal(first.grad, torch.full((2, 3), 2.0))
    assert torch.equal(second.grad, torch.tensor([0.0, 0.5, 1.0, 1.5]))
    assert unused.grad is None


def test_two_processes_train_one_bundle(phantom_archive, classifier_file, tmp_path):
    run = tmp_path / "run"
    command = [sys.executable, "-m", "medxgan.cli", "train", str(phantom_archive)]
    command += ["--classifier", str(classifier_file), "--out", str(run), "--preset", "tiny"]
    command += ["--set", "run.images=64", "--processes", "2", "--device", "cpu", "--quiet"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    manifest = load_bundle(run).manifest
    assert manifest.training["processes"] == 2
    assert manifest.training["images_shown"] == 64
