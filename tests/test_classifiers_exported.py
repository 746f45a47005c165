"""Files of torch.export and TorchScript: gradients, no layers, nothing unpickled."""

import io
import json
import warnings
import zipfile
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from medxgan.classifiers import TorchClassifier, load_classifier
from medxgan.classifiers.exported_files import is_torchscript
from medxgan.errors import ClassifierError
from models import SPEC, export, linear_module

IMAGES = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1


class AskedTwice(nn.Module):
    def forward(self, images: Tensor, age: Tensor) -> Tensor:
        return images.flatten(1)[:, :2] + age


class Restless(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        scores = images.flatten(1)[:, :2]
        return scores + torch.rand_like(scores)


def still_training() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 2), nn.BatchNorm1d(2)).train()


def save_exported(path: Path, module: nn.Module, least: int = 1, images: Tensor = IMAGES) -> Path:
    torch.export.save(export(module, images, least), path)
    return path


def save_script(path: Path, module: nn.Module) -> Path:
    with warnings.catch_warnings(action="ignore"):
        torch.jit.script(module).save(path)
    return path


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_exported(tmp_path_factory.mktemp("exported") / "model.pt2", linear_module().eval())


@pytest.fixture(scope="session")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_script(tmp_path_factory.mktemp("scripted") / "model.pt", linear_module())


@pytest.fixture(params=["exported", "scripted"])
def path(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


def test_it_answers_as_the_module_does_gradients_too(path):
    classifier, module = (
        load_classifier(path, spec=SPEC),
        load_classifier(linear_module(), spec=SPEC),
    )
    gradients = []
    for model in (classifier, module):
        leaf = IMAGES.clone().requires_grad_()
        gradients += torch.autograd.grad(model.log_odds(leaf, 1).sum(), leaf)
    torch.testing.assert_close(gradients[0], gradients[1])
    torch.testing.assert_close(classifier(IMAGES), module(IMAGES))
    assert classifier(IMAGES[:0]).shape == (0, 2)
    assert classifier.differentiable
    assert classifier.kind == ("exported" if path.suffix == ".pt2" else "torchscript")
    assert not any(weights.requires_grad for weights in classifier.module.parameters())


def test_its_layers_cannot_be_watched(path):
    classifier = load_classifier(path, spec=SPEC)
    assert classifier.last_convolution() is None
    assert TorchClassifier(classifier.module, SPEC).last_convolution() is None


def test_a_copy_has_weights_of_its_own(path):
    """As the copy with redrawn weights that explanations are compared with."""
    classifier = load_classifier(path, spec=SPEC)
    before = classifier(IMAGES)
    copy = deepcopy(classifier.module)
    with torch.no_grad():
        for weights in copy.parameters():
            weights.zero_()
    assert torch.equal(classifier(IMAGES), before)
    assert not copy(IMAGES).any()


@pytest.mark.parametrize("least", [0, 4])
def test_batches_that_the_program_does_not_take_are_padded_and_split(tmp_path, least):
    """``least`` 0: exported for batches of five, and no other."""
    file = save_exported(tmp_path / "fixed.pt2", linear_module().eval(), least)
    classifier, module = (
        load_classifier(file, spec=SPEC),
        load_classifier(linear_module(), spec=SPEC),
    )
    for count in (1, 4, 5, 7):
        images = IMAGES.repeat(2, 1, 1, 1)[:count]
        torch.testing.assert_close(classifier(images), module(images))


def test_a_batch_size_is_respected(path):
    classifier = load_classifier(path, spec=SPEC, batch_size=2)
    assert classifier.batch_size == 2
    assert classifier.module.batches.most == 2
    torch.testing.assert_close(classifier(IMAGES), load_classifier(path, spec=SPEC)(IMAGES))


def test_a_mutation_of_one_weight_changes_the_fingerprint(tmp_path, path):
    first = load_classifier(path, spec=SPEC)
    assert load_classifier(path, spec=SPEC).fingerprint == first.fingerprint
    changed = linear_module().eval()
    with torch.no_grad():
        changed[1].weight[0, 0] += 1e-6
    save = save_exported if path.suffix == ".pt2" else save_script
    other = save(tmp_path / path.name, changed)
    assert load_classifier(other, spec=SPEC).fingerprint != first.fingerprint


@pytest.mark.parametrize("save", [save_exported, save_script])
@pytest.mark.parametrize(
    ("module", "sentence"),
    [
        (still_training(), "statistics of the batch leak in"),
        (Restless(), "answers differently when asked twice"),
        (nn.Flatten(), r"must return \[2, 2\] for 2 images, got \[2, 64\]"),
    ],
    ids=["training", "restless", "flat"],
)
def test_a_model_that_is_no_classifier_is_refused(tmp_path, save, module, sentence):
    """A module with modes is put into evaluation mode where the file still knows of them."""
    file = save(tmp_path / f"model{'.pt2' if save is save_exported else '.pt'}", module)
    if save is save_script and isinstance(module, nn.Sequential):
        assert load_classifier(file, spec=SPEC).kind == "torchscript"
        return
    with pytest.raises(ClassifierError, match=sentence) as refused:
        load_classifier(file, spec=SPEC)
    assert "\n" not in str(refused.value)


def test_a_second_input_is_refused(tmp_path):
    with warnings.catch_warnings(action="ignore"):
        program = torch.export.export(AskedTwice(), (IMAGES, torch.zeros(5, 2)))
    torch.export.save(program, tmp_path / "two.pt2")
    with pytest.raises(ClassifierError, match=r"must have one input, images .*, got 2 \(\[5, 1"):
        load_classifier(tmp_path / "two.pt2", spec=SPEC)


def test_images_of_another_size_are_refused(path):
    other = SPEC.model_copy(update={"size": 16})
    with pytest.raises(ClassifierError, match=r"the model fails on images \[2, 1, 16, 16\]"):
        load_classifier(path, spec=other)


def test_a_specification_is_asked_for(path):
    with pytest.raises(ClassifierError, match="needs a specification"):
        load_classifier(path)
    with pytest.raises(ClassifierError, match="brings its own weights"):
        load_classifier(path, spec=SPEC, weights="weights.pt")


# Damaged and dangerous files


class Unsafe:
    def __reduce__(self):
        return (print, ("this must never be printed",))


def rewrite(source: Path, target: Path, changes: dict[str, bytes], root: str = "model/") -> Path:
    """A copy of an archive with other contents of some entries, and new ones."""
    with zipfile.ZipFile(source) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    entries |= {f"{root}{name}": content for name, content in changes.items()}
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return target


def pickled() -> bytes:
    buffer = io.BytesIO()
    torch.save({"a": Unsafe()}, buffer)
    return buffer.getvalue()


def with_pickled_weights(source: Path) -> dict[str, bytes]:
    name = "data/weights/model_weights_config.json"
    with zipfile.ZipFile(source) as archive:
        config = json.loads(archive.read(f"model/{name}"))
    for entry in config["config"].values():
        entry["use_pickle"] = True
    return {name: json.dumps(config).encode(), "data/weights/weight_0": pickled()}


@pytest.mark.parametrize(
    "changes",
    [
        with_pickled_weights,
        lambda _: {"data/sample_inputs/model.pt": pickled()},
        lambda _: {"data/weights/model.pt": pickled()},
        lambda _: {"data/constants/custom_obj_0": pickled()},
        lambda _: {"data/constants/opaque_obj_0": pickled()},
    ],
    ids=["weights", "examples", "older weights", "custom object", "opaque object"],
)
def test_pickled_objects_are_refused_and_never_run(tmp_path, exported, changes, capsys):
    file = rewrite(exported, tmp_path / "model.pt2", changes(exported))
    with pytest.raises(ClassifierError, match="holds pickled Python objects beside tensors"):
        load_classifier(file, spec=SPEC)
    assert capsys.readouterr().out == ""


def test_an_archive_of_the_older_format_is_refused(tmp_path, exported):
    file = rewrite(exported, tmp_path / "model.pt2", {"version": b"8.1"}, root="")
    with pytest.raises(ClassifierError, match=r"torch\.export\.save of PyTorch 2\.8 or newer"):
        load_classifier(file, spec=SPEC)


@pytest.mark.parametrize("kept", [0, 10, 500, -200])
def test_a_truncated_file_is_refused(tmp_path, exported, kept, capfd):
    (tmp_path / "cut.pt2").write_bytes(exported.read_bytes()[:kept] if kept else b"")
    with pytest.raises(ClassifierError, match=r"is damaged|is not a readable torch\.export file"):
        load_classifier(tmp_path / "cut.pt2", spec=SPEC)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("program", [b"{}", b"{", b'{"graph_module": 3}'])
def test_a_program_that_cannot_be_read_is_refused(tmp_path, exported, program, capfd):
    file = rewrite(exported, tmp_path / "model.pt2", {"models/model.json": program})
    with pytest.raises(ClassifierError, match=r"cannot be opened as torch\.export by PyTorch"):
        load_classifier(file, spec=SPEC)
    assert capfd.readouterr() == ("", "")


def test_damaged_torchscript_is_refused(tmp_path, scripted, capfd):
    file = rewrite(scripted, tmp_path / "model.pt", {"data.pkl": b"damaged"})
    assert is_torchscript(file)
    with pytest.raises(ClassifierError, match="cannot be opened as TorchScript by PyTorch") as said:
        load_classifier(file, spec=SPEC)
    assert "\n" not in str(said.value)
    assert capfd.readouterr() == ("", "")


def test_weights_are_not_taken_for_torchscript(tmp_path):
    torch.save(linear_module().state_dict(), tmp_path / "weights.pt")
    assert not is_torchscript(tmp_path / "weights.pt")
    with pytest.raises(ClassifierError, match="holds weights but no model"):
        load_classifier(tmp_path / "weights.pt", spec=SPEC)
