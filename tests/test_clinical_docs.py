"""What ``docs/clinical-formats.md`` shows runs as it stands."""

import re
from pathlib import Path

import numpy as np
import pytest

from clinical import dicom, nifti

PAGE = Path(__file__).parents[1] / "docs" / "clinical-formats.md"
RNG = np.random.default_rng(0)


@pytest.mark.filterwarnings("ignore::UserWarning")  # notes on how the files are shown
def test_the_python_of_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dicom(Path("scan.dcm"), RNG.integers(0, 1000, (64, 64)).astype(np.uint16))
    for place in ("brain.nii.gz", "volumes/healthy/a.nii", "volumes/tumour/b.nii"):
        nifti(Path(place), RNG.integers(0, 200, (16, 16, 5)).astype(np.int16))
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(code, str(PAGE), "exec"), names)
    assert len(names["inputs"].names) == 5
    assert len(names["data"]) == 10
    assert names["third"].name == "brain-coronal-03"
    assert names["best"].name.startswith("brain-axial-")
    assert names["second"].name == "brain-axial-02"


def test_the_commands_of_the_page_run(medxgan, tmp_path, monkeypatch, tiny_bundle):
    monkeypatch.chdir(tmp_path)
    dicom(Path("scan.dcm"), RNG.integers(0, 1000, (32, 32)).astype(np.uint16))
    for number in range(2):
        dicom(Path(f"series/{number}.dcm"), RNG.integers(0, 9, (32, 32)).astype(np.uint16))
    nifti(Path("brain.nii.gz"), RNG.integers(0, 200, (16, 16, 5)).astype(np.int16))
    for patient in range(12):
        voxels = RNG.integers(0, 200, (16, 16, 4)).astype(np.int16)
        nifti(Path(f"volumes/{'healthy' if patient % 2 else 'tumour'}/{patient}.nii"), voxels)
    (block,) = re.findall(r"```console\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    commands = [line.split()[1:] for line in block.splitlines()]
    assert {command[0] for command in commands} == {"inspect", "explain", "fit-classifier"}
    quick = {"explain": ("--methods", "difference"), "fit-classifier": ("--epochs", "1")}
    for command in commands:
        words = [str(tiny_bundle) if word == "brain-phantom" else word for word in command]
        outcome = medxgan(*words, *quick.get(command[0], ()))
        assert outcome.code == 0, outcome.err
