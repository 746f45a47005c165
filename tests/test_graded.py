"""Models of a value: its scale, fitting, training, explaining and measuring."""

import json
import re

import numpy as np
import pytest
import torch
from torch import nn

import medxgan as package
from conftest import SIZE
from medxgan.classifiers import (
    TorchClassifier,
    build_architecture,
    fit_classifier,
    load_classifier,
    read_spec,
    save_classifier,
)
from medxgan.classifiers.objectives import round_range, to_units
from medxgan.classifiers.value_evaluation import (
    check_valued,
    determination,
    evaluate_values,
    rank_correlation,
)
from medxgan.data import open_dataset, write_phantoms
from medxgan.data.phantom import make_phantoms
from medxgan.errors import BundleError, ClassifierError, ConfigError, DataError
from medxgan.evaluate import evaluate
from medxgan.evaluate.answers import truth_of, why_unknown
from medxgan.explain.scores import gradients, probability
from medxgan.fitted_answer import choose_answer
from medxgan.fitting import chance_note
from medxgan.inversion import refine
from medxgan.report.vector import probability_curve
from medxgan.scoretext import score_text, side_text, words_for
from medxgan.types import ClassifierSpec, Latent
from medxgan.value_scale import ValueScale

ENTRIES = {"size": SIZE, "output": "value", "class_names": ["grade"], "value_range": [0, 4]}
GRADE = read_spec(ENTRIES)
TINY = ("--preset", "tiny", "--set", "run.images=32", "--set", "run.log_every=16")


@pytest.fixture(scope="module")
def graded_archive(tmp_path_factory):
    """120 graded chest phantoms."""
    path = tmp_path_factory.mktemp("graded") / "graded.npz"
    write_phantoms(make_phantoms("chest", 120, size=SIZE, seed=3, task="graded"), path, "chest", 3)
    return path


@pytest.fixture(scope="module")
def values_alone(tmp_path_factory, graded_archive):
    """The same without labels, some without a value."""
    with np.load(graded_archive) as arrays:
        kept = {name: arrays[name] for name in ("images", "values", "split", "source")}
    kept["values"] = kept["values"].copy()
    kept["values"][::20] = np.nan
    path = tmp_path_factory.mktemp("values") / "values.npz"
    np.savez(path, **kept)
    return path


@pytest.fixture(scope="module")
def grader(graded_archive):
    """An untrained model whose values spread over the range, half of them from 2 on."""
    images = open_dataset(graded_archive).images()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = build_architecture("cnn", 1, SIZE, 1)
    values = TorchClassifier(module, GRADE)(images)
    to_units(module, 1 / float(values.std()), 2 - float(values.median() / values.std()))
    return TorchClassifier(module, GRADE, "cnn")


@pytest.fixture(scope="module")
def grader_file(tmp_path_factory, grader):
    path = tmp_path_factory.mktemp("grader") / "grader.safetensors"
    save_classifier(path, grader)
    return path


@pytest.fixture(scope="module")
def bundle(tmp_path_factory, graded_archive, grader_file):
    """A bundle of hardly trained networks; positive from 1.5 on."""
    from medxgan.cli import main

    out = tmp_path_factory.mktemp("bundle") / "run"
    command = ["train", graded_archive, "--classifier", grader_file, "--out", out, *TINY]
    with pytest.raises(SystemExit) as ended:
        main([*map(str, command), "--threshold", "1.5", "--quiet"])
    assert not ended.value.code
    return out


class Pictures:
    """Flat images whose brightness is their value."""

    def __init__(self, values):
        self.values = torch.as_tensor(values, dtype=torch.float32)
        self.labels = np.zeros(len(self.values), dtype=np.int64)

    def __len__(self):
        return len(self.values)

    def images(self, indices):
        noise = 0.1 * torch.randn(len(self), 1, 16, 16, generator=torch.Generator().manual_seed(0))
        bright = (self.values.nan_to_num() / 10 - 6).view(-1, 1, 1, 1)
        return (bright + noise)[indices].clamp(-1, 1)


# The scale.


@pytest.mark.parametrize("threshold", [2.0, 0.5, 3.9])
def test_scores_are_0_a_half_and_1_at_the_ends_and_the_threshold(threshold):
    scale = ValueScale(0.0, threshold, 4.0)
    scores = scale.score(torch.tensor([0.0, threshold, 4.0]))
    torch.testing.assert_close(scores, torch.tensor([0.0, 0.5, 1.0]))


def test_scores_go_on_straight_beyond_the_range_and_keep_their_gradient():
    scale = ValueScale(0.0, 2.0, 4.0)
    values = torch.tensor([-2.0, 6.0], requires_grad=True)
    scores = scale.score(values)
    assert scores.tolist() == [-0.5, 1.5]
    scores.sum().backward()
    assert values.grad.tolist() == [0.25, 0.25]


def test_scores_and_values_are_each_others_inverse():
    scale = ValueScale(-1.0, 0.5, 4.0)
    values = torch.linspace(-3, 6, 40)
    torch.testing.assert_close(scale.values(scale.score(values)), values)
    assert scale.value(float(scale.score(torch.tensor(0.2)))) == pytest.approx(0.2)


def test_evidence_has_the_sign_of_the_decision_and_meets_log_odds_where_films_end():
    scale = ValueScale(0.0, 1.0, 4.0)
    scores = torch.tensor([0.05, 0.5, 0.95])
    torch.testing.assert_close(scale.evidence(scale.values(scores)).sigmoid(), scores)
    assert scale.evidence(torch.tensor([0.99, 1.0, 1.01])).sign().tolist() == [-1, 0, 1]


def test_the_classifier_answers_in_units_and_scores_in_the_range(grader, graded_archive):
    images = open_dataset(graded_archive).images(slice(0, 8))
    values = grader(images)[:, 0]
    scores = probability(grader, 0)(images)
    torch.testing.assert_close(scores, values / 4)
    odds = grader.log_odds(images, 0)
    torch.testing.assert_close(odds, ValueScale(0, 2, 4).evidence(values))
    assert bool((gradients(probability(grader, 0), images).abs().amax((1, 2, 3)) > 0).all())


# The specification.


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"value_range": None}, r"output 'value' needs value_range = \[lowest, highest\]"),
        ({"value_range": [4, 0]}, r"value_range must rise, lowest first, got \[4, 0\]"),
        ({"value_range": [0, float("inf")]}, "value_range must rise"),
        ({"positive_from": 4}, r"positive_from must lie inside value_range \[0, 4\], got 4"),
        ({"output": "multilabel_logits"}, "value_range belongs to output 'value'"),
        (
            {"output": "multilabel_logits", "value_range": None, "positive_from": 1},
            "positive_from belongs to output 'value', got 'multilabel_logits'",
        ),
    ],
)
def test_a_range_that_makes_no_sense_is_refused_in_one_sentence(changed, sentence):
    with pytest.raises(ClassifierError, match=sentence) as found:
        read_spec(ENTRIES | changed)
    assert "Value error" not in str(found.value)


def test_a_description_without_a_range_asks_for_it(tmp_path, medxgan):
    path = tmp_path / "spec.toml"
    path.write_text('size = 32\noutput = "value"\nclass_names = ["grade"]\n')
    outcome = medxgan("inspect", path)
    assert outcome.code == 2
    assert "needs value_range = [lowest, highest]" in outcome.err


def test_another_threshold_is_another_question_of_the_same_model(grader):
    moved = grader.with_threshold(1.0)
    assert moved.spec.value_scale == ValueScale(0.0, 1.0, 4.0)
    assert moved.fingerprint != grader.fingerprint
    assert moved.with_threshold(None).fingerprint == grader.fingerprint
    assert grader.spec.positive_from is None


def test_thresholds_belong_to_values_and_into_their_range(grader):
    with pytest.raises(ClassifierError, match="must lie inside value_range"):
        grader.with_threshold(7)
    classes = ClassifierSpec(size=8, class_names=("a", "b"))
    with pytest.raises(ClassifierError, match="positive_from belongs to output 'value'"):
        classes.with_threshold(0.3)


def test_a_target_cannot_be_a_grade():
    assert GRADE.target_index("grade") == GRADE.target_index(None) == 0
    with pytest.raises(ClassifierError, match="say by a threshold from which value"):
        GRADE.target_index("4")


# Fitting.


def test_a_value_is_fitted_in_its_own_units():
    random = np.random.default_rng(0)
    train, other = (Pictures(random.uniform(50, 70, n)) for n in (128, 48))
    spec = read_spec(ENTRIES | {"size": 16, "value_range": [50, 70]})
    seen = []
    model = fit_classifier(
        train, other, other, spec=spec, epochs=25, batch_size=16, on_epoch=seen.append
    )
    assert {epoch.figure for epoch in seen} == {"R²"}
    figures = model.measured["test"]
    assert figures.keys() == {"n", "r2", "mae", "spearman"}
    assert figures["r2"] > 0.7
    assert figures["mae"] < 3
    assert "temperature" not in model.measured


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([1.0, np.nan, 2.0], "1 of 3 that are NaN or infinite"),
        ([1.0, 1.0], "must show different values, got 1 for all 2 images"),
        ([], "must have images and one value each, got 0 images"),
    ],
)
def test_values_that_teach_nothing_are_refused(values, sentence):
    with pytest.raises(DataError, match=sentence):
        check_valued(Pictures(values), read_spec(ENTRIES | {"size": 16}), "training")


def test_classes_alone_teach_no_value():
    classes = Pictures([1.0, 2.0])
    classes.values = None
    with pytest.raises(DataError, match="got images with classes alone"):
        evaluate_values(
            TorchClassifier(nn.Sequential(nn.Flatten(), nn.Linear(SIZE**2, 1)), GRADE), classes
        )


def test_figures_of_a_value_have_closed_forms():
    known = torch.tensor([0.0, 1.0, 2.0, 3.0])
    assert determination(known + 1, known) == pytest.approx(1 - 4 / 5)
    assert rank_correlation(-known.exp(), known) == -1
    tied = rank_correlation(torch.tensor([0.0, 0.0, 1.0, 1.0]), known)
    assert tied == pytest.approx(2 / 5**0.5, abs=1e-9)
    assert np.isnan(rank_correlation(torch.ones(4), known))


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0.03, 3.9], (0.0, 3.9)), ([-2.0, 2.0], (-2.0, 2.0)), ([1234.0, 8765.0], (1200.0, 8800.0))],
)
def test_ranges_are_rounded_outwards(values, expected):
    assert round_range(torch.tensor(values)) == pytest.approx(expected)


def test_what_is_fitted_follows_from_the_data_and_is_said(graded_archive, values_alone):
    both, alone = open_dataset(graded_archive), open_dataset(values_alone)
    answer, notes = choose_answer(both)
    assert answer.output == "logits"
    assert "--output value fits these" in notes[0]
    answer, notes = choose_answer(alone, name="grade")
    assert (answer.output, answer.value_range) == ("value", (0.0, 4.0))
    assert "so a model of the value is fitted" in notes[0]
    assert notes[1] == "6 of 120 images have no value: left out"
    assert "the grade reaches from 0 to 4, as in the images to learn from" in notes[2]
    answer, notes = choose_answer(both, "value", value_range=(0, 10), positive_from=3)
    assert (answer.value_range, answer.positive_from) == ((0, 10), 3)
    assert "as you say, and counts as positive from 3 on" in notes[-1]


def test_settings_of_a_value_need_one(phantom_archive):
    classes = open_dataset(phantom_archive)
    with pytest.raises(DataError, match="none of the 160 images has a value"):
        choose_answer(classes, "value")
    with pytest.raises(ConfigError, match="belong to --output value"):
        choose_answer(classes, value_range=(0, 4))
    with pytest.raises(ConfigError, match="--output cannot be 'valu'; did you mean 'value'"):
        choose_answer(classes, "valu")


def test_the_command_fits_values_alone_and_says_so(medxgan, values_alone, tmp_path):
    out = tmp_path / "grade.safetensors"
    fit = ("fit-classifier", values_alone, "--out", out, "--epochs", 1, "--value-name", "grade")
    outcome = medxgan(*fit, "--threshold", 1)
    assert outcome.code == 0, outcome.err
    assert "a model of the value is fitted" in outcome.err
    assert "hardly better than a constant" in outcome.err
    assert "Spearman" in outcome.out
    model = load_classifier(out)
    assert (model.spec.class_names, model.spec.positive_from) == (("grade",), 1)
    assert chance_note(model)

    refused = medxgan(*fit, "--threshold", 9)
    assert (refused.code, len(refused.err.strip().splitlines()[-1:])) == (2, 1)
    assert "positive_from must lie inside value_range" in refused.err
    refused = medxgan(*fit, "--value-range", 4, 0)
    assert "value_range must rise" in refused.err
    refused = medxgan(*fit, "--output", "logits")
    assert refused.code == 2


# Words.


def test_scores_are_told_in_units():
    assert [score_text(score, GRADE) for score in (0.775, 1.25, float("nan"))] == [
        "3.10",
        "5.00",
        "not known",
    ]
    assert side_text(0.1, GRADE) == "negative (grade 0.40)"
    words = words_for("grade", GRADE.with_threshold(1))
    assert (words.positive, words.made_negative) == ("grade from 1.00 on", "towards grade 0.00")


def test_the_curve_of_a_film_has_the_range_as_its_axis():
    curve = probability_curve(
        torch.tensor([0.0, 1.0]), torch.tensor([0.0, 0.75]), GRADE.with_threshold(1)
    )
    assert [tick.text for tick in curve.y_ticks] == ["0.00", "1.00", "4.00"]
    assert [point.probability for point in curve.points] == ["0.00", "2.50"]
    bottom, top = curve.y_ticks[0].place, curve.y_ticks[2].place
    assert curve.decision == pytest.approx(bottom + (top - bottom) / 4)


# From training to measuring.


def test_refinement_asks_for_the_value_of_the_image(grader):
    """A generator that can draw any brightness finds that of the image, value and pixels."""

    def generator(z1, z2):
        return (z1.mean(1) + z2.mean(1)).view(-1, 1, 1, 1).expand(-1, 1, SIZE, SIZE)

    images = torch.full((1, 1, SIZE, SIZE), 0.3)
    start = Latent(torch.zeros(1, 2), torch.full((1, 1), 0.1))
    found = refine(generator, grader, 0, images, start, steps=200)
    torch.testing.assert_close(generator(found.z1, found.z2), images, atol=0.02, rtol=0)


def test_training_takes_a_value_and_keeps_its_threshold(bundle):
    explainer = package.load(bundle)
    assert explainer.spec.positive_from == 1.5
    assert explainer.bundle.target_name == "grade"


def test_an_explanation_is_told_in_units(bundle, graded_archive, tmp_path):
    explainer = package.load(bundle)
    images = open_dataset(graded_archive).images(slice(0, 3))
    explanations = explainer.explain(images, methods=("difference", "lig"))
    values = explainer.classifier(images)[:, 0]
    for explanation, value in zip(explanations, values.tolist(), strict=True):
        assert explanation.answers["image"].tolist() == pytest.approx([value])
        assert explanation.positive == (value >= 1.5)
        assert ValueScale(0, 1.5, 4).value(explanation.scores["image"]) == pytest.approx(value)
    page = explanations.save(tmp_path / "report").read_text()
    assert "An image is positive from grade 1.50 on; the range is 0.00 to 4.00." in page
    assert f"<i>grade</i> {values[0]:.2f}" in page
    shown = re.sub("<[^>]+>", "", page.split("<main>")[1].split("<script>")[0])
    assert "probability" not in shown
    facts = json.loads(
        (tmp_path / "report" / explanations[0].name / "explanation.json").read_text()
    )
    assert (facts["value_range"], facts["positive_from"]) == ([0, 4], 1.5)
    table = (tmp_path / "report" / "explanations.csv").read_text().splitlines()
    assert "value_image,value_reconstruction" in table[0]


def test_measuring_knows_values(bundle, graded_archive):
    explainer, data = package.load(bundle), open_dataset(graded_archive)
    found = evaluate(explainer, data, codes=4, methods=("difference",), steps=4)
    document = found.document
    called = explainer.classifier(data.images())[:, 0] >= 1.5
    truly = data.values >= 1.5
    assert document["predictions"]["detected"] == int((called & truly).sum())
    assert document["predictions"]["missed"] == int((~called & truly).sum())
    mean = float(explainer.classifier(data.images())[called].mean())
    assert document["value"]["image"]["value"] == pytest.approx(mean, abs=1e-4)
    assert document["explained"]["positive_from"] == 1.5
    assert "classes" not in document


def test_what_is_true_of_a_value_needs_values(graded_archive, phantom_archive):
    graded, classes = open_dataset(graded_archive), open_dataset(phantom_archive)
    truth = truth_of(graded, GRADE, 0)
    assert (truth == (graded.values >= 2).numpy()).all()
    assert (truth_of(classes, GRADE, 0) == -1).all()
    assert why_unknown(classes, GRADE, 0) == "no image has a value"


def test_an_oracle_of_classes_cannot_judge_a_value(bundle, graded_archive, classifier_file, grader):
    explainer, data = package.load(bundle), open_dataset(graded_archive)
    with pytest.raises(ClassifierError, match="'value', the oracle 'logits'"):
        evaluate(explainer, data, oracle=load_classifier(classifier_file), codes=4)
    module = build_architecture("cnn", 1, SIZE, 1)
    wide = TorchClassifier(module, read_spec(ENTRIES | {"value_range": [0, 9]}))
    with pytest.raises(ClassifierError, match="give one of the same scale"):
        evaluate(explainer, data, oracle=wide, codes=4)


def test_a_model_given_anew_gets_the_threshold_of_the_bundle(bundle, grader_file, tmp_path):
    given = package.load(bundle, classifier=load_classifier(grader_file))
    assert given.spec.positive_from == 1.5
    other = build_architecture("cnn", 1, SIZE, 1)
    with pytest.raises(BundleError, match="explains the classifier"):
        package.load(bundle, classifier=TorchClassifier(other, GRADE, "cnn"))


def test_training_needs_values_on_both_sides(medxgan, graded_archive, grader_file, tmp_path):
    command = ("train", graded_archive, "--classifier", grader_file, "--out", tmp_path / "run")
    outcome = medxgan(*command, *TINY, "--threshold", 3.99)
    assert outcome.code == 2
    assert "calls positive for 'grade from 3.99 on'" in outcome.err
    outcome = medxgan(*command, *TINY, "--threshold", 4.5)
    assert "positive_from must lie inside value_range [0, 4], got 4.5" in outcome.err


def test_a_threshold_is_of_no_use_to_classes(medxgan, phantom_archive, classifier_file, tmp_path):
    command = ("train", phantom_archive, "--classifier", classifier_file, "--out", tmp_path / "run")
    outcome = medxgan(*command, *TINY, "--threshold", 0.3)
    assert outcome.code == 2
    assert "positive_from belongs to output 'value', got 'logits'" in outcome.err
