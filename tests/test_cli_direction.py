"""``medxgan fit-direction``, and the commands that use what it leaves."""

import json
import shutil
from pathlib import Path

import pytest

from medxgan.bundle import save_bundle
from medxgan.data import write_phantoms
from medxgan.data.phantom import make_phantoms
from test_stylegan_bundle import make_style_bundle

QUICK = ("--samples", 100, "--device", "cpu")
FUNCTION = """
def predict(images):
    return 40 * (images[:, :, 8:24, 8:24].mean((2, 3)) - {level})
"""
DESCRIPTION = """
source = "model.py:predict"

[spec]
size = 32
output = "binary_logit"
class_names = ["dark", "bright"]
intensity_range = [0.0, 1.0]
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("style") / "tiny"
    save_bundle(folder, make_style_bundle())
    return folder


@pytest.fixture
def bundle(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "tiny"))


@pytest.fixture(scope="module")
def few_phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image that is moved in layers of its own is drawn a thousand times."""
    path = tmp_path_factory.mktemp("few") / "phantoms.npz"
    write_phantoms(make_phantoms("brain", 24, size=32, seed=11), path, "brain", 11)
    return path


@pytest.fixture
def function_file(tmp_path: Path) -> Path:
    (tmp_path / "model.py").write_text(FUNCTION.format(level=0.5))
    (tmp_path / "model.toml").write_text(DESCRIPTION)
    return tmp_path / "model.toml"


def test_a_direction_is_fitted_listed_used_and_measured(
    medxgan, bundle, classifier_file, few_phantoms, tmp_path
):
    out = medxgan("fit-direction", bundle, "--classifier", classifier_file, *QUICK)
    assert out.code == 0, out.err
    name = classifier_file.stem
    assert (bundle / "directions" / name / "direction.json").is_file()
    assert "Variance of the evidence explained, held out" in out.out

    listed = medxgan("inspect", bundle).out
    assert f"direction '{name}'" in listed and "'lesion' of cnn" in listed
    assert "explain" in listed.splitlines()[-1]
    alone = medxgan("inspect", bundle / "directions" / name)
    assert alone.code == 0 and "is a direction in a style-based generator" in alone.out

    images = ("--split", "test", "--quiet", "--device", "cpu")
    explained = medxgan(
        "explain", bundle, few_phantoms, *images, "--out", tmp_path / "out", "--frames", 3,
        "--methods", "difference,ig", "--to", 0.9, "--refine", 2,
    )  # fmt: skip
    assert explained.code == 0, explained.err
    first = next(path for path in (tmp_path / "out").iterdir() if path.is_dir())
    assert (first / "series.png").is_file() and (first / "film.png").is_file()
    assert (tmp_path / "out" / "series.csv").is_file()
    page = (tmp_path / "out" / "report.html").read_text()
    shown = len([path for path in (tmp_path / "out").iterdir() if path.is_dir()])
    assert page.count("What would a probability of 0.900 look like?") == shown
    facts = json.loads((first / "explanation.json").read_text())
    assert facts["target_name"] == "lesion" and facts["methods"] == ["difference", "ig"]


def test_several_directions_serve_one_generator(
    medxgan, bundle, classifier_file, function_file, few_phantoms, tmp_path
):
    assert medxgan("fit-direction", bundle, "--classifier", classifier_file, *QUICK).code == 0
    other = medxgan(
        "fit-direction", bundle, "--classifier", function_file, "--target", "dark", *QUICK
    )
    assert other.code == 0, other.err
    assert sorted(path.name for path in (bundle / "directions").iterdir()) == sorted(
        [classifier_file.stem, "model-dark"]
    )
    command = ("explain", bundle, few_phantoms, "--out", tmp_path / "out", "--quiet")
    command += ("--split", "test", "--frames", 2, "--methods", "difference,ig", "--device", "cpu")
    command += ("--refine", 2)
    refused = medxgan(*command)
    assert refused.code == 2 and "choose one with --direction" in refused.err
    refused = medxgan(*command, "--direction", "model-drak")
    assert refused.code == 2 and "did you mean 'model-dark'" in refused.err
    refused = medxgan(*command, "--direction", "model-dark")
    assert refused.code == 2 and "does not hold its classifier" in refused.err
    used = medxgan(*command, "--direction", "model-dark", "--classifier", function_file)
    assert used.code == 0, used.err
    facts = json.loads(next((tmp_path / "out").glob("*/explanation.json")).read_text())
    assert facts["skipped"] == {"ig": "a Python function gives no gradients"}


# Refused: one sentence, and nothing is written.


def test_a_class_that_does_not_exist_has_neighbours(medxgan, bundle, classifier_file):
    out = medxgan("fit-direction", bundle, "--classifier", classifier_file, "--target", "lesoin")
    assert out.code == 2 and "no class is named 'lesoin'; did you mean 'lesion'?" in out.err
    assert not (bundle / "directions").exists()


def test_a_constant_model_is_said(medxgan, bundle, function_file):
    function_file.with_name("model.py").write_text(
        "def predict(images):\n    return 0 * images[:, 0, 0, :1] - 1\n"
    )
    out = medxgan("fit-direction", bundle, "--classifier", function_file, *QUICK)
    assert out.code == 2 and "gives the same answer to all 100 drawn images" in out.err


def test_a_value_counts_as_positive_from_the_threshold_on(medxgan, bundle, function_file):
    function_file.write_text(
        DESCRIPTION.replace('"binary_logit"', '"value"').replace(
            'class_names = ["dark", "bright"]', 'class_names = ["grade"]\nvalue_range = [-20, 20]'
        )
    )
    fit = ("fit-direction", bundle, "--classifier", function_file, *QUICK)
    out = medxgan(*fit, "--threshold", 30)
    assert out.code == 2 and "30" in out.err and not (bundle / "directions").exists()
    assert medxgan(*fit, "--threshold", -5).code == 0
    kept = json.loads((bundle / "directions" / "model" / "direction.json").read_text())
    assert kept["classifier"]["spec"]["positive_from"] == -5


def test_a_model_of_another_size_is_refused(medxgan, bundle, function_file):
    function_file.write_text(DESCRIPTION.replace("size = 32", "size = 64"))
    out = medxgan("fit-direction", bundle, "--classifier", function_file, *QUICK)
    assert out.code == 2 and "draws images of 32 pixels" in out.err


def test_a_bundle_of_another_method_is_refused(medxgan, tiny_bundle, classifier_file):
    out = medxgan("fit-direction", tiny_bundle, "--classifier", classifier_file)
    assert out.code == 2 and "a direction needs a style-based generator" in out.err


def test_kinds_and_names_are_known(medxgan, bundle, classifier_file):
    command = ("fit-direction", bundle, "--classifier", classifier_file)
    out = medxgan(*command, "--kind", "linaer")
    assert out.code == 2 and "did you mean 'linear'" in out.err
    out = medxgan(*command, "--name", "../up")
    assert out.code == 2 and "a direction's name takes letters" in out.err


def test_a_folder_that_cannot_be_written_names_another_way(medxgan, bundle, classifier_file):
    (bundle / "directions").write_text("in the way")
    out = medxgan("fit-direction", bundle, "--classifier", classifier_file, *QUICK)
    assert out.code == 2 and "choose another --out" in out.err


def test_the_same_name_for_another_class_is_refused(medxgan, bundle, classifier_file):
    command = ("fit-direction", bundle, "--classifier", classifier_file, "--name", "d", "--quiet")
    assert medxgan(*command, *QUICK).code == 0
    assert medxgan(*command, *QUICK).code == 0
    out = medxgan(*command, *QUICK, "--target", "healthy")
    assert out.code == 2 and "choose another name with --name" in out.err


def test_a_series_needs_a_direction_and_a_probability(
    medxgan, bundle, tiny_bundle, classifier_file, few_phantoms, tmp_path
):
    command = (few_phantoms, "--out", tmp_path / "out", "--quiet")
    out = medxgan("explain", tiny_bundle, *command, "--to", 0.9)
    assert out.code == 2 and "leave out --to" in out.err
    medxgan("fit-direction", bundle, "--classifier", classifier_file, *QUICK)
    out = medxgan("explain", bundle, *command, "--to", 2)
    assert out.code == 2 and "above 0 and below 1, a probability, got 2" in out.err
    assert not (tmp_path / "out").exists()
