"""How good are the explanations? Explainer and data set -> the figures of ``metrics.json``.

``evaluation.evaluate`` leads through five passes: codes of the prior (``prior.py``), scores and
negatives (``passes.py``), realism (``realism.py``) and positives (``positives.py``). A pass turns
batches into columns, one value per image and figure; ``parts.py`` keeps finished batches.
``counterfactuals.py``, ``localization.py``, ``completeness.py``, ``deletion.py``, ``noise.py``,
``sanity.py`` and ``controls.py`` each make the columns of one section, and ``document.py`` makes
means with intervals of them and puts these in their places.
"""

from medxgan.evaluate.evaluation import Evaluation, evaluate
from medxgan.evaluate.explained import Explained, MapFunction
from medxgan.evaluate.parts import discard_parts
from medxgan.evaluate.progress import Progress

__all__ = ["Evaluation", "Explained", "MapFunction", "Progress", "discard_parts", "evaluate"]
