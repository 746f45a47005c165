"""What can be had of a model: from the table of kinds of model, and the needs of each method."""

from medxgan.classifiers.kinds import KINDS, Kind
from medxgan.classifiers.torch_module import TorchClassifier
from medxgan.explain import METHODS, Need
from medxgan.explain.baselines import convolution_of
from medxgan.image_sizes import SIZES, in_words
from medxgan.types import Classifier

YES = "yes"


def unmet_needs(classifier: Classifier) -> dict[Need, str]:
    """What methods need and this classifier does not give, with the reason.

    >>> from medxgan.classifiers import BlackBox
    >>> spec = {"size": 8, "class_names": ["dark", "bright"], "output": "binary_logit"}
    >>> unmet_needs(BlackBox(lambda images: images.mean((2, 3)), spec))["gradients"]
    'a Python function gives no gradients'
    """
    if isinstance(classifier, TorchClassifier):
        reasons = unmet_by_kind(classifier.kind)
    elif classifier.differentiable:
        reasons = {}
    else:
        reasons = {"gradients": "the classifier gives no gradients"}
    if "layers" not in reasons and convolution_of(classifier) is None:
        reasons["layers"] = "the classifier shows no convolution"
    return reasons


def unmet_by_kind(kind: Kind) -> dict[Need, str]:
    """What methods need and no model of this kind gives, with the reason.

    >>> unmet_by_kind("exported")
    {'layers': 'a torch.export program shows no layers'}
    """
    model = KINDS[kind]
    reasons: dict[Need, str] = {}
    if not model.gradients:
        reasons["gradients"] = f"{model.title} gives no gradients"
    if not model.layers:
        reasons["layers"] = f"{model.title} shows no layers"
    return reasons


def reason_against(method: str, reasons: dict[Need, str]) -> str:
    """Why a method cannot be had; empty where it can.

    >>> reason_against("ig", unmet_by_kind("onnx")), reason_against("ig", unmet_by_kind("exported"))
    ('an ONNX model gives no gradients', '')
    """
    return "; ".join(reasons[need] for need in sorted(METHODS[method].needs & reasons.keys()))


def abilities(kind: Kind, size: int | None = None) -> dict[str, str]:
    """Everything that can be had of models of one kind: what -> ``yes``, or why not.

    Args:
        kind: of the model.
        size: of the images that it is described for, pixels; None where it is not known yet.

    >>> abilities("onnx")["medXGAN"], abilities("onnx")["occlusion"]
    ('through a distilled copy (medxgan distill)', 'yes')
    >>> abilities("module", size=224)["medXGAN"]
    'no: generators draw images of 32, 64, 128 or 256 pixels'
    """
    model, reasons = KINDS[kind], unmet_by_kind(kind)
    through_copy = "through a distilled copy (medxgan distill)"
    drawn = f"no: generators draw images of {in_words()} pixels"
    of_that_size = size is None or size in SIZES
    return {
        "gradients": YES if model.gradients else "no",
        "layers": YES if model.layers else "no",
        "inside a bundle": YES if model.stored else f"no, given again: {model.not_stored}",
        "medXGAN": (YES if model.gradients else through_copy) if of_that_size else drawn,
        "StyleGAN direction": YES if of_that_size else drawn,
        **{
            name: f"no: {why}" if (why := reason_against(name, reasons)) else YES
            for name in METHODS
        },
    }
