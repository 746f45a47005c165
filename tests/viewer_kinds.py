"""Explanations and bundles of other kinds: a value, colour, three classes."""

from pathlib import Path

import torch
from torch import Tensor, nn

from medxgan.bundle import Bundle, Manifest, Thresholds, record_classifier, save_bundle
from medxgan.classifiers import TorchClassifier, build_architecture
from medxgan.config import NetworkSettings
from medxgan.networks.encoder import Encoder
from medxgan.networks.medxgan import TwoCodeGenerator
from medxgan.types import ClassifierSpec, Explanation
from viewer_cases import SIDE, make_explanation, ramp, write_folder

AGE = ClassifierSpec(
    size=SIDE, output="value", class_names=("age",), value_range=(20, 90), positive_from=50
)
TISSUE = ClassifierSpec(size=SIDE, channels=3, class_names=("calm", "grade 1", "grade 2"))
GRADED, COLOURED = "graded", "coloured"

SIZE = 32
GRADE = ClassifierSpec(
    size=SIZE, output="value", class_names=("grade",), value_range=(0, 4), positive_from=1.5
)
STAIN = TISSUE.model_copy(update={"size": SIZE})
NETWORK = NetworkSettings(structure_code=16, pathology_code=4, base_width=8, maximum_width=16)


def coloured(image: Tensor) -> Tensor:
    """A colour of a grey image ``[1, H, W]``: its red rises, its green falls, its blue is 0."""
    return torch.cat([image, -image, 0 * image])


def make_graded() -> Explanation:
    """Of a model that tells an age: 82 years on the original, 32 on its counterfactual."""
    answers = {"image": 82.0, "reconstruction": 82.0, "counterfactual": 32.0, "transferred": 32.0}
    return make_explanation(
        GRADED,
        target=0,
        target_name="age",
        spec=AGE,
        answers={part: torch.tensor([value]) for part, value in answers.items()},
    )


def make_coloured() -> Explanation:
    """In colour, of a model of three classes; its maps are coloured, too."""
    grey = make_explanation(COLOURED, target_name="grade 1")
    names = ("image", "reconstruction", "counterfactual", "transferred", "difference")
    answers = {
        part: torch.tensor([0.75 * (1 - score), score, 0.25 * (1 - score)])
        for part, score in grey.scores.items()
    }
    return make_explanation(
        COLOURED,
        channels=3,
        target_name="grade 1",
        spec=TISSUE,
        answers=answers,
        frames=torch.stack([coloured(frame) for frame in grey.frames]),
        attributions={"lig": coloured(ramp()) + 1, "ig": coloured(ramp()), "difference": ramp(3)},
        **{name: coloured(getattr(grey, name)) for name in names},
    )


def write_kinds(folder: Path) -> None:
    """One explanation of each kind, whose numbers are known."""
    write_folder(folder, make_graded(), make_coloured())


def write_untrained_bundle(folder: Path, spec: ClassifierSpec, target: int) -> None:
    """A bundle of untrained networks, of whose images the model says all sorts of things."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        generator = TwoCodeGenerator(SIZE, spec.channels, NETWORK)
        encoder = Encoder(SIZE, spec.channels, NETWORK)
        module = build_architecture("cnn", spec.channels, SIZE, len(spec.class_names))
        codes = torch.randn(64, NETWORK.structure_code), torch.randn(64, NETWORK.pathology_code)
    with torch.no_grad():
        _spread(TorchClassifier(module, spec), generator(*codes))
    classifier = TorchClassifier(module, spec, "cnn")
    manifest = Manifest(
        name=f"untrained-{spec.class_names[0]}",
        target=target,
        network=NETWORK,
        classifier=record_classifier(classifier),
        thresholds=Thresholds(
            reconstruction_error=5.0,
            prediction_gap=1.0,
            structure_length=9.0,
            pathology_length=9.0,
            images=16,
            quantile=0.99,
        ),
        training={"data": "none", "training_images": 0, "images_shown": 0, "seed": 0},
        metrics={"held_out": {"n": 16, "validity": 0.5, "agreement_negative": 0.5}},
        data_licence="none needed",
        generator_version="0.0.0",
    )
    save_bundle(folder, Bundle(manifest, generator, encoder, classifier, None))


def _spread(classifier: TorchClassifier, images: Tensor) -> None:
    """Let the answers on images be 1 apart, about the middle of a range or of all classes."""
    spec = classifier.spec
    last = [each for each in classifier.module.modules() if isinstance(each, nn.Linear)][-1]
    last.weight *= 3
    if spec.value_range is not None:
        values = classifier(images)
        last.weight /= values.std()
        last.bias.zero_()
        last.bias += spec.value_scale.threshold - classifier(images).median()
        return
    rows = classifier.module((images + 1) / 2)
    last.weight /= rows.std(0)[:, None] / 3
    last.bias.zero_()
    last.bias -= classifier.module((images + 1) / 2).median(0).values
