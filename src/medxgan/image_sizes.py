"""Sizes of images: those that generators draw, and what to write of a model that takes another."""

from collections.abc import Sequence

SIZES = (32, 64, 128, 256)
"""Heights and widths of images that networks are made for, pixels."""


def in_words(sizes: Sequence[int] = SIZES) -> str:
    """Sizes as a sentence has them.

    >>> in_words()
    '32, 64, 128 or 256'
    """
    return f"{', '.join(map(str, sizes[:-1]))} or {sizes[-1]}"


def what_to_write(taken: int, drawn: int | Sequence[int] = SIZES) -> str:
    """Entries of a specification that bring images which a generator draws to a model.

    Args:
        taken: height and width that the model itself takes, pixels.
        drawn: by the generator; of several, rising, the least that loses nothing, or the largest.

    >>> what_to_write(224), what_to_write(300), what_to_write(224, 64), what_to_write(64)
    ('size = 256 and input_size = 224', 'size = 256 and input_size = 300', \
'size = 64 and input_size = 224', 'size = 64')
    """
    if not isinstance(drawn, int):
        drawn = next((size for size in drawn if size >= taken), drawn[-1])
    return f"size = {drawn}" + (f" and input_size = {taken}" if taken != drawn else "")


def where_to_write(
    entries: str, *, architecture: str | None, file: str | None, surrogate: bool
) -> str:
    """What to do with entries of a specification, a clause.

    Args:
        entries: from ``what_to_write``.
        architecture: of a network of this program, or None.
        file: what the classifier was loaded from, or None.
        surrogate: does it stand for another model?

    >>> where_to_write("size = 64", architecture=None, file="net.toml", surrogate=False)
    'set size = 64 in its specification'
    """
    if surrogate:
        return f"set {entries} in the specification of the model it stands for, and distil again"
    if architecture is not None and (file or "").endswith(".safetensors"):
        return (
            f'describe it in a .toml file with source = "{architecture}", weights = "{file}", '
            f"and {entries} in its specification"
        )
    return f"set {entries} in its specification"
