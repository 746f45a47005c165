"""The same networks with weights that nobody has trained: what explanations must not look like."""

import copy

import torch
from torch import nn

from medxgan.classifiers import TorchClassifier
from medxgan.errors import ClassifierError
from medxgan.explainer import Explainer


def redrawn(module: nn.Module, seed: int) -> nn.Module:
    """A copy of a network with all weights drawn anew.

    Layers that can initialise themselves do; weights that stand outside such a layer are drawn
    from a normal distribution of their own mean and spread.

    >>> layer = nn.Linear(4, 4)
    >>> redrawn(layer, 1).weight.equal(layer.weight)
    False
    >>> redrawn(layer, 1).weight.equal(redrawn(layer, 1).weight)
    True
    """
    device = next((parameter.device for parameter in module.parameters()), torch.device("cpu"))
    blank = copy.deepcopy(module).cpu()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for part in blank.modules():
            initialise = getattr(part, "reset_parameters", None)
            if callable(initialise):
                initialise()
                continue
            for weights in part.parameters(recurse=False):
                mean, spread = weights.mean(), weights.std(correction=0)
                weights.copy_(mean + spread * torch.randn_like(weights))
    return blank.to(device)


def redrawn_classifier(classifier: TorchClassifier, seed: int) -> TorchClassifier:
    """The classifier with all weights drawn anew (Adebayo et al. 2018, arXiv 1810.03292).

    Raises:
        ClassifierError: it has no weights, or with other ones contradicts its specification.
    """
    if next(classifier.module.parameters(), None) is None:
        raise ClassifierError("the classifier has no weights that could be drawn anew")
    return TorchClassifier(redrawn(classifier.module, seed), classifier.spec)


def networks_of(explainer: Explainer) -> dict[str, nn.Module]:
    """The networks of the bundle itself, by the name under which the explainer holds them."""
    return {
        name: part for name, part in sorted(vars(explainer).items()) if isinstance(part, nn.Module)
    }


def untrained(explainer: Explainer, seed: int) -> Explainer:
    """The explainer with all weights of generator and encoder drawn anew; same classifier."""
    blank = copy.copy(explainer)
    for name, network in networks_of(explainer).items():
        setattr(blank, name, redrawn(network, seed))
    return blank
