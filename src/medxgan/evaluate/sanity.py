"""Do the maps change when the classifier forgets all it has learnt?"""

from medxgan.evaluate.columns import Columns
from medxgan.evaluate.maps import Maps
from medxgan.metrics.stability import rank_similarity


def sanity_columns(maps: Maps, redrawn: Maps) -> Columns:
    """Rank correlation of each map with that of the classifier drawn anew; near 0 is good.

    The sanity check of Adebayo et al. 2018 (arXiv 1810.03292). The film is that of the trained
    classifier. NaN where a map failed or is constant: that it resembles nothing is no merit.

    Args:
        maps: of N images.
        redrawn: of the same images, by the classifier drawn anew.
    """
    return {
        ("sanity", method): rank_similarity(maps.heat[method], heat)
        for method, heat in redrawn.heat.items()
    }
