"""All asked-for attributions of a batch, and the reasons for those that cannot be had."""

from collections.abc import Callable, Iterable

from torch import Tensor

from medxgan.explain import check_methods
from medxgan.explain.abilities import reason_against, unmet_needs
from medxgan.explain.baselines import grad_cam, integrated_gradients, occlusion
from medxgan.explain.lig import STEPS, exact_lig, published_lig, transferred_path
from medxgan.explain.scores import probability
from medxgan.turns import give_way
from medxgan.types import Classifier


def attributions(
    methods: Iterable[str],
    *,
    classifier: Classifier,
    target: int,
    images: Tensor,
    reconstruction: Tensor | None = None,
    path: Tensor | None = None,
    n_steps: int = STEPS,
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Compute each method of ``METHODS`` that is asked for and possible.

    Args:
        methods: names; repeated ones count once.
        classifier: the explained model.
        target: index of the explained class.
        images: originals ``[N, C, H, W]`` in [-1, 1].
        reconstruction: x̂ ``[N, C, H, W]``; None where there is no generator.
        path: film at equal strengths from 0 to 1, ``[K+1, N, C, H, W]``; None likewise.
        n_steps: steps of integrated gradients on the straight line.

    Returns:
        Signed evidence ``[N, C, H, W]`` of each method, and for each method that was skipped
        the reason.

    Raises:
        ConfigError: a method is unknown, or the path has no step.
    """
    asked = check_methods(methods)
    score = probability(classifier, target)
    compute: dict[str, Callable[[], Tensor]] = {
        "ig": lambda: integrated_gradients(classifier, images, target, n_steps),
        "grad-cam": lambda: grad_cam(classifier, images, target),
        "occlusion": lambda: occlusion(classifier, images, target),
    }
    reasons = unmet_needs(classifier)
    if path is not None and reconstruction is not None:
        on_image = transferred_path(images, reconstruction, path)
        compute |= {
            "difference": lambda: path[-1] - path[0],
            "lig": lambda: exact_lig(path, score),
            "lig-transferred": lambda: exact_lig(on_image, score),
            "lig-published": lambda: published_lig(path, score),
        }
    else:
        reasons["latent"] = "there is no generator to render a film of the image"
    skipped = {name: why for name in asked if (why := reason_against(name, reasons))}
    found: dict[str, Tensor] = {}
    for name in asked:
        if name not in skipped:
            give_way()
            found[name] = compute[name]()
    return found, skipped
