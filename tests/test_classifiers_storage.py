import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from medxgan.classifiers import (
    TorchClassifier,
    build_architecture,
    load_classifier,
    read_spec,
    save_classifier,
)
from medxgan.errors import ClassifierError, MissingPackageError, OutputError
from medxgan.types import ClassifierSpec

SPEC = ClassifierSpec(size=8, class_names=("healthy", "tumour"))
CNN_SPEC = ClassifierSpec(size=32, class_names=("healthy", "tumour"))
MODEL_FILE = """
from torch import nn

import neighbour

not_callable = 5
ready = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(neighbour.INPUTS, 2)

    def forward(self, images):
        return self.head(images.flatten(1))

def needs_an_argument(width):
    return Model()

def gives_a_number():
    return 3

def predict(images):
    return images.reshape(len(images), -1)[:, :2]

def predict_if_asked(images=None):
    return predict(images)

def build_predict(width=2):
    return lambda images: images.reshape(len(images), -1)[:, :width]

class Predictor:
    def __call__(self, images, scale=1):
        return scale * predict(images)
"""


@pytest.fixture
def cnn():
    torch.manual_seed(0)
    module = build_architecture("cnn", 1, 32, 2)
    measured = {"seed": 7, "test": {"auc": 0.875}}
    return TorchClassifier(module, CNN_SPEC, "cnn", measured=measured)


@pytest.fixture
def model_file(tmp_path):
    (tmp_path / "neighbour.py").write_text("INPUTS = 64\n")
    path = tmp_path / "model.py"
    path.write_text(MODEL_FILE)
    return path


@pytest.fixture
def images():
    return torch.linspace(-1, 1, 192).view(3, 1, 8, 8)


def weights_of(value):
    return {"head.weight": torch.full((2, 64), value), "head.bias": torch.tensor([0.0, 2.0])}


# One self-contained file


def test_a_saved_classifier_comes_back_the_same(tmp_path, cnn):
    path = tmp_path / "cnn.safetensors"
    save_classifier(path, cnn)
    loaded = load_classifier(path)
    assert loaded.fingerprint == cnn.fingerprint
    assert loaded.spec == cnn.spec
    assert loaded.architecture == "cnn"
    assert loaded.measured == cnn.measured
    assert loaded.source == str(path)
    images = torch.linspace(-1, 1, 2048).view(2, 1, 32, 32)
    assert torch.equal(loaded(images), cnn(images))
    assert list(tmp_path.iterdir()) == [path]


def test_a_binary_logit_classifier_comes_back_with_one_output(tmp_path):
    spec = CNN_SPEC.model_copy(update={"output": "binary_logit"})
    classifier = TorchClassifier(build_architecture("cnn", 1, 32, 1), spec, "cnn")
    save_classifier(tmp_path / "one.safetensors", classifier)
    assert load_classifier(tmp_path / "one.safetensors").fingerprint == classifier.fingerprint


def test_a_model_of_the_users_own_is_not_written_to_one_file(tmp_path):
    classifier = TorchClassifier(nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), SPEC)
    with pytest.raises(ClassifierError, match="only the program's own architectures"):
        save_classifier(tmp_path / "own.safetensors", classifier)


def test_another_suffix_is_refused(tmp_path, cnn):
    with pytest.raises(OutputError, match=r"to a \.safetensors file, got '.*cnn\.pt'"):
        save_classifier(tmp_path / "cnn.pt", cnn)


def test_missing_folders_are_made(tmp_path, cnn):
    path = tmp_path / "runs" / "first" / "cnn.safetensors"
    save_classifier(path, cnn)
    assert load_classifier(path).fingerprint == cnn.fingerprint


def test_a_file_where_a_folder_should_be_is_refused(tmp_path, cnn):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cnn\.safetensors cannot be written"):
        save_classifier(tmp_path / "file" / "cnn.safetensors", cnn)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, cnn, monkeypatch):
    path = tmp_path / "cnn.safetensors"
    path.write_text("old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OutputError, match="No space left on device"):
        save_classifier(path, cnn)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text() == "old"


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ClassifierError, match=r"file '.*none\.safetensors' does not exist"):
        load_classifier(tmp_path / "none.safetensors")


def test_a_self_contained_file_takes_no_other_weights_or_spec(tmp_path, cnn):
    save_classifier(tmp_path / "cnn.safetensors", cnn)
    with pytest.raises(ClassifierError, match="brings its own weights and spec"):
        load_classifier(tmp_path / "cnn.safetensors", spec=SPEC)


@pytest.mark.parametrize("kept", [0, 4, 200, -1000])
def test_a_truncated_file_is_refused(tmp_path, cnn, kept):
    path = tmp_path / "cnn.safetensors"
    save_classifier(path, cnn)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ClassifierError, match="not a readable safetensors file"):
        load_classifier(path)


def test_bare_weights_are_not_a_classifier(tmp_path):
    save_file(weights_of(1.0), tmp_path / "bare.safetensors")
    with pytest.raises(ClassifierError, match="holds weights but no description of a model"):
        load_classifier(tmp_path / "bare.safetensors")


def rewrite_header(path, **changes):
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        header = {**file.metadata(), **changes}
    header = {key: value for key, value in header.items() if value is not None}
    save_file(load_file(path), path, header)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"format_version": "2"}, "classifier format 2, this program reads 1; update medxgan"),
        ({"spec": "{"}, "the header of .* is damaged"),
        ({"spec": None}, "the header of .* is damaged"),
        ({"spec": "{}"}, "specification is wrong: 'size': Field required"),
        ({"spec": "[1]"}, "the header of .* is damaged"),
        ({"spec": '"other.toml"'}, "the header of .* is damaged"),
        ({"measured": "{"}, "the header of .* is damaged"),
        ({"measured": "[1]"}, "the header of .* is damaged"),
        ({"architecture": "cnnn"}, "named 'cnnn'; did you mean 'cnn'"),
        ({"architecture": "vgg16"}, "do not fit the model: they lack 'features"),
    ],
)
def test_a_damaged_or_newer_header_is_refused(tmp_path, cnn, changes, sentence):
    path = tmp_path / "cnn.safetensors"
    save_classifier(path, cnn)
    rewrite_header(path, **changes)
    with pytest.raises(ClassifierError, match=sentence):
        load_classifier(path)


# A model of the user's own


def test_a_module_is_taken_as_it_is(images):
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    classifier = load_classifier(module, spec=SPEC)
    assert classifier.module is module
    assert classifier(images).shape == (3, 2)


def test_a_class_in_a_file_gets_its_weights_and_can_import_its_neighbours(
    tmp_path, model_file, images
):
    save_file(weights_of(0.5), tmp_path / "weights.safetensors")
    torch.save(weights_of(0.5), tmp_path / "weights.pt")
    torch.save({"state_dict": weights_of(0.5), "epoch": 3}, tmp_path / "checkpoint.pth")
    source = f"{model_file}:Model"
    for name in ("weights.safetensors", "weights.pt", "checkpoint.pth"):
        classifier = load_classifier(source, weights=tmp_path / name, spec=SPEC)
        torch.testing.assert_close(classifier.log_odds(images, 1), torch.full((3,), 2.0))
        assert classifier.source == source
        assert classifier.architecture is None


def test_a_ready_module_in_a_file_needs_no_call(model_file, images):
    assert load_classifier(f"{model_file}:ready", spec=SPEC)(images).shape == (3, 2)


@pytest.mark.parametrize("name", ["predict", "build_predict", "Predictor"])
def test_a_function_in_a_file_is_the_model_or_what_a_factory_gives(model_file, images, name):
    """One that needs an argument is asked about images; others are called for what to ask."""
    classifier = load_classifier(f"{model_file}:{name}", spec=SPEC)
    assert (classifier.kind, classifier.source) == ("function", f"{model_file}:{name}")
    expected = ((images + 1) / 2).flatten(1)[:, :2].softmax(1)  # intensity_range is 0 to 1
    torch.testing.assert_close(classifier(images), expected)


def test_a_role_may_be_said_where_the_rule_would_take_it_for_the_other(model_file, images):
    source = f"{model_file}:predict_if_asked"
    classifier = load_classifier(source, spec=SPEC, role="function")
    torch.testing.assert_close(
        classifier(images), load_classifier(f"{model_file}:predict", spec=SPEC)(images)
    )
    with pytest.raises(
        ClassifierError, match=r"without arguments and failed with TypeError.*width"
    ):
        load_classifier(f"{model_file}:needs_an_argument", spec=SPEC, role="factory")
    with pytest.raises(ClassifierError, match="role must be factory or function, got 'model'"):
        load_classifier(source, spec=SPEC, role="model")


def test_a_description_may_say_role_and_batch_size(tmp_path, model_file, images):
    described = tmp_path / "model.toml"
    text = 'source = "model.py:predict_if_asked"\nrole = "function"\nbatch_size = 2\n'
    spec = '[spec]\nsize = 8\nclass_names = ["healthy", "tumour"]\n'
    described.write_text(text + spec)
    assert load_classifier(described).batch_size == 2
    described.write_text(text.replace("= 2", "= 2.5") + spec)
    with pytest.raises(ClassifierError, match="must give 'batch_size' as a whole number"):
        load_classifier(described)


def test_a_function_has_no_use_for_weights(tmp_path, model_file):
    torch.save(weights_of(0.5), tmp_path / "weights.pt")
    with pytest.raises(ClassifierError, match="is a function, which has no use for weights"):
        load_classifier(f"{model_file}:predict", weights=tmp_path / "weights.pt", spec=SPEC)


def test_a_factory_in_an_installed_package_is_called():
    spec = ClassifierSpec(size=8, output="binary_logit", class_names=("dark", "bright"))
    with pytest.raises(ClassifierError, match=r"must return \[2, 1\] for 2 images"):
        load_classifier("torch.nn:Flatten", spec=spec)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("Modell", "holds no 'Modell'; did you mean 'Model'"),
        ("not_callable", "must be a class or function .* got int"),
        ("needs_an_argument", "must return an array .* builds the model must need no arguments"),
        ("gives_a_number", r"must return a torch\.nn\.Module or a function .*, got int"),
        ("predict_if_asked", "called without arguments and failed with AttributeError"),
    ],
)
def test_a_name_that_gives_no_module_is_refused(model_file, name, sentence):
    with pytest.raises(ClassifierError, match=sentence):
        load_classifier(f"{model_file}:{name}", spec=SPEC)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import no_such_package_at_all", "ModuleNotFoundError: No module named"),
        ("def broken(:", "SyntaxError"),
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("raise SystemExit", r"SystemExit\)"),
    ],
)
def test_a_file_that_cannot_be_imported_is_refused(tmp_path, code, reason):
    path = tmp_path / "broken.py"
    path.write_text(code)
    with pytest.raises(ClassifierError, match=rf"broken\.py' cannot be imported \({reason}"):
        load_classifier(f"{path}:Model", spec=SPEC)


def test_a_missing_python_file_is_refused(tmp_path):
    with pytest.raises(ClassifierError, match=r"Python file '.*none\.py' does not exist"):
        load_classifier(f"{tmp_path / 'none.py'}:Model", spec=SPEC)


def test_a_module_that_is_not_installed_is_refused_with_the_way_out():
    with pytest.raises(ClassifierError, match=r"ModuleNotFoundError.* or name its file"):
        load_classifier("no_such_package.models:build", spec=SPEC)


@pytest.mark.parametrize("source", [":build", "torch..nn:Linear", ".relative:build"])
def test_a_malformed_module_name_is_refused(source):
    with pytest.raises(ClassifierError, match="cannot be imported"):
        load_classifier(source, spec=SPEC)


def test_a_model_without_specification_is_refused(model_file):
    with pytest.raises(ClassifierError, match=r"needs a specification .*, got none"):
        load_classifier(f"{model_file}:Model")
    with pytest.raises(ClassifierError, match="the module needs a specification"):
        load_classifier(nn.Flatten())


# Weights


class Unsafe:
    def __reduce__(self):
        return (print, ("this must never be printed",))


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        ({"head.weight": torch.zeros(2, 64)}, r"they lack 'head\.bias'"),
        ({**weights_of(0.0), "tail.bias": torch.zeros(1)}, r"the unexpected 'tail\.bias'"),
        (
            {**weights_of(0.0), "head.weight": torch.zeros(3, 64)},
            r"'head\.weight' must be \[2, 64\], got \[3, 64\]",
        ),
        (
            {f"module.{name}": value for name, value in weights_of(0.0).items()},
            r"lack 'head\.weight' and 1 more; they start with 'module\.head\.weight'",
        ),
    ],
)
def test_weights_that_do_not_fit_are_named(tmp_path, model_file, weights, sentence):
    torch.save(weights, tmp_path / "weights.pt")
    with pytest.raises(ClassifierError, match=sentence):
        load_classifier(f"{model_file}:Model", weights=tmp_path / "weights.pt", spec=SPEC)


def test_counters_of_batch_normalisation_may_be_missing(tmp_path, cnn):
    state = cnn.module.state_dict()
    kept = {name: value for name, value in state.items() if "num_batches" not in name}
    save_file(kept, tmp_path / "kept.safetensors")
    loaded = load_classifier("cnn", weights=tmp_path / "kept.safetensors", spec=CNN_SPEC)
    assert loaded.fingerprint == cnn.fingerprint


def test_pickled_objects_are_refused_and_never_run(tmp_path, model_file, capsys):
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps(Unsafe()))
    torch.save({"state_dict": weights_of(0.0), "more": Unsafe()}, tmp_path / "more.pt")
    for name in ("plain.pkl", "more.pt"):
        with pytest.raises(ClassifierError, match=r"pickled Python objects .* are refused"):
            load_classifier(f"{model_file}:Model", weights=tmp_path / name, spec=SPEC)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("kept", [0, 100, -100])
def test_a_truncated_weights_file_is_refused(tmp_path, model_file, kept):
    path = tmp_path / "weights.pt"
    torch.save(weights_of(0.0), path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ClassifierError, match="not a readable PyTorch weights file"):
        load_classifier(f"{model_file}:Model", weights=path, spec=SPEC)


@pytest.mark.parametrize("content", [torch.zeros(3), {"epoch": 3}, [1, 2], {}])
def test_a_file_without_state_dictionary_is_refused(tmp_path, model_file, content):
    torch.save(content, tmp_path / "weights.pt")
    with pytest.raises(ClassifierError, match="must hold a state dictionary"):
        load_classifier(f"{model_file}:Model", weights=tmp_path / "weights.pt", spec=SPEC)


def test_a_missing_weights_file_is_refused(tmp_path, model_file):
    with pytest.raises(ClassifierError, match=r"weights file '.*none\.pt' does not exist"):
        load_classifier(f"{model_file}:Model", weights=tmp_path / "none.pt", spec=SPEC)


# Names that cannot be loaded


def test_an_architecture_alone_is_refused():
    with pytest.raises(ClassifierError, match="architecture 'cnn' needs weights, got none"):
        load_classifier("cnn", spec=CNN_SPEC)


def test_an_unknown_name_is_refused_with_the_nearest_architecture():
    with pytest.raises(ClassifierError, match=r"is named 'vgg15'.*did you mean 'vgg16'"):
        load_classifier("vgg15", spec=CNN_SPEC)


def test_monai_without_monai_names_the_extra(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "monai", None)
    monkeypatch.setitem(sys.modules, "monai.networks", None)
    with pytest.raises(MissingPackageError, match=r"medxgan\[monai\]"):
        load_classifier("monai:ResNet18", weights=tmp_path / "w.pt", spec=CNN_SPEC)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("model.onnx", r"the classifier file 'model\.onnx' does not exist; check the path"),
        ("model.pt2", r"file 'model\.pt2' does not exist"),
        ("model.ckpt", "holds weights but no model"),
        ("model.xml", r"give a \.safetensors file of this program, an \.onnx, \.pt2 or"),
        ("model.py", r"must name what to call, as in model\.py:MyNetwork"),
    ],
)
def test_files_that_are_no_classifier_say_what_would_be(source, sentence):
    with pytest.raises(ClassifierError, match=sentence):
        load_classifier(source, spec=SPEC)


# Descriptions and specifications


def test_a_toml_description_finds_its_files_beside_itself(tmp_path, model_file, images):
    torch.save(weights_of(0.0), tmp_path / "weights.pt")
    description = tmp_path / "classifier.toml"
    description.write_text(
        'source = "model.py:Model"\nweights = "weights.pt"\n'
        '[spec]\nsize = 8\nclass_names = ["healthy", "tumour"]\n'
    )
    classifier = load_classifier(description)
    assert classifier.spec == SPEC
    torch.testing.assert_close(classifier.log_odds(images, 1), torch.full((3,), 2.0))


def test_a_json_description_may_name_a_specification_file(tmp_path, cnn):
    save_file(cnn.module.state_dict(), tmp_path / "cnn-weights.safetensors")
    (tmp_path / "spec.json").write_text(CNN_SPEC.model_dump_json())
    description = tmp_path / "classifier.json"
    description.write_text(
        json.dumps({"source": "cnn", "weights": "cnn-weights.safetensors", "spec": "spec.json"})
    )
    classifier = load_classifier(description)
    assert classifier.fingerprint == cnn.fingerprint
    assert classifier.architecture == "cnn"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("source = ", "is not valid TOML"),
        ('weight = "w.pt"', "unknown key 'weight'; did you mean 'weights'"),
        ('weights = "w.pt"', "must name the model under 'source'"),
        ('source = "m.py:M"\nweights = 3', "must name the weights file under 'weights'"),
        (
            'source = "torch.nn:Flatten"\nspec = 3',
            "must be a table of entries or the path of one, got int",
        ),
        ('source = "torch.nn:Flatten"', "needs a specification"),
        ('source = "torch.nn:Flatten"\nspec = "none.json"', "cannot read .*No such file"),
        ('source = "other.toml"', "no classifier file, factory or architecture"),
    ],
)
def test_a_wrong_description_is_refused(tmp_path, text, sentence):
    path = tmp_path / "classifier.toml"
    path.write_text(text)
    with pytest.raises(ClassifierError, match=sentence):
        load_classifier(path)


def test_a_binary_description_is_refused(tmp_path):
    path = tmp_path / "classifier.json"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ClassifierError, match="is not valid JSON"):
        load_classifier(path)


def test_a_missing_description_is_refused(tmp_path):
    with pytest.raises(ClassifierError, match=r"file '.*none\.toml' does not exist"):
        load_classifier(tmp_path / "none.toml")


def test_a_specification_comes_from_toml_json_a_mapping_or_itself(tmp_path):
    toml, as_json = tmp_path / "spec.toml", tmp_path / "spec.json"
    toml.write_text('size = 8\nclass_names = ["healthy", "tumour"]\n')
    as_json.write_text(SPEC.model_dump_json())
    mapping = {"size": 8, "class_names": ["healthy", "tumour"]}
    assert read_spec(toml) == read_spec(str(as_json)) == read_spec(mapping) == SPEC
    assert read_spec(SPEC) is SPEC


@pytest.mark.parametrize(
    ("entries", "sentence"),
    [
        ({"size": 8}, "'class_names': Field required"),
        ({"size": 4, "class_names": ["a", "b"]}, "'size': .*greater than or equal to 8"),
        ({"size": 8, "class_names": ["a", "b"], "sise": 1}, "'sise': Extra inputs.*known entries"),
        ({"size": 8, "class_names": ["a"]}, "needs at least 2 class names"),
        ({"size": 8, "class_names": ["a", "b"], "channels": 2}, "'channels': .*1 or 3"),
    ],
)
def test_a_wrong_specification_names_its_entry(entries, sentence):
    with pytest.raises(ClassifierError, match=sentence):
        read_spec(entries)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("spec.yaml", "size: 8", r"must be a \.toml or \.json file"),
        ("spec.json", "[1, 2]", "must hold a table of entries, got list"),
        ("spec.json", "{'size': 8}", "is not valid JSON"),
    ],
)
def test_a_wrong_specification_file_is_refused(tmp_path, name, text, sentence):
    (tmp_path / name).write_text(text)
    with pytest.raises(ClassifierError, match=sentence):
        read_spec(tmp_path / name)
