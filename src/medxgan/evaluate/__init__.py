"""How good are the explanations? Explainer and data set -> the figures of ``metrics.json``.

``evaluation.evaluate`` leads through five passes: scores, codes of the prior, and negatives
(``passes.py``), realism (``realism.py``) and positives (``positives.py``). A pass turns batches
into columns, one value per image and figure; ``parts.py`` keeps finished batches.
``counterfactuals.py``, ``localization.py``, ``faithfulness.py``, ``noise.py`` and ``controls.py``
make the columns of the sections, and ``document.py`` makes means with intervals of them and puts
these in their places (``places.py``). ``output/`` writes and shows what was found.
"""

from medxgan.evaluate.evaluation import Evaluation, evaluate
from medxgan.evaluate.explained import Explained, MapFunction
from medxgan.evaluate.task import Progress

__all__ = ["Evaluation", "Explained", "MapFunction", "Progress", "evaluate"]
