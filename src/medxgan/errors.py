"""Every error a user can meet, as one tree.

::

    MedxganError            caught by the command line: one sentence, exit code 2
    ├── DataError           an image, a mask, a folder or a table cannot be used
    ├── ClassifierError     a model cannot be loaded, or does not do what its spec says
    ├── BundleError         a bundle is missing, damaged, newer, or made for another classifier
    ├── ConfigError         an unknown preset, a setting that does not exist or is out of range
    ├── OutputError         the result cannot be written where it was asked for
    └── MissingPackageError an optional package is needed; the sentence names the extra

A message says what was expected, what came, and what to do.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class MedxganError(Exception):
    """Base of all errors with a sentence written for the user."""


class DataError(MedxganError):
    """An image, a mask, a folder or a table cannot be used."""


class ClassifierError(MedxganError):
    """A model cannot be loaded, or does not do what its specification says."""


class BundleError(MedxganError):
    """A bundle is missing, damaged, newer than this program, or made for another classifier."""


class ConfigError(MedxganError):
    """An unknown preset, a setting that does not exist, or a value out of range."""


class OutputError(MedxganError):
    """The result cannot be written where it was asked for."""


class MissingPackageError(MedxganError):
    """An optional package is needed; the message names the extra to install."""


def nearest(name: str, choices: Iterable[str]) -> str:
    """End an error sentence with the names that the user may have meant.

    >>> nearest("smal", ["tiny", "small", "standard"])
    "did you mean 'small'? choose from: small, standard, tiny"
    >>> nearest("x", ["tiny", "small"])
    'choose from: small, tiny'
    """
    known = sorted(choices)
    close = get_close_matches(name, known, n=2)
    hint = f"did you mean {' or '.join(map(repr, close))}? " if close else ""
    return f"{hint}choose from: {', '.join(known)}"
