"""How good are the explanations? Explainer and data set -> the figures of ``metrics.json``.

``explained.py`` explains a batch, ``columns.py`` turns it into one value per image and figure,
``prior.py`` does the same for codes drawn from the prior, ``document.py`` makes means with
intervals of these columns and puts them in their places, ``measure.py`` leads through it all.
"""

from medxgan.evaluate.explained import Explained, MapFunction
from medxgan.evaluate.measure import evaluate
from medxgan.evaluate.progress import Progress

__all__ = ["Explained", "MapFunction", "Progress", "evaluate"]
