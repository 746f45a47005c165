"""What can be wrong with a request, and the HTTP status that says so."""

from medxgan.console import sentence_of
from medxgan.errors import ConfigError, DataError, MedxganError, OutputError


class RequestError(MedxganError):
    """The request is none that the viewer understands."""


class UnknownError(MedxganError):
    """There is nothing of that name here."""


class DroppedError(MedxganError):
    """It was here, and was dropped to make room."""


class TooLargeError(MedxganError):
    """It is larger than the viewer takes."""


class AbandonedError(MedxganError):
    """Whoever asked for it is gone."""


class WrongTypeError(MedxganError):
    """The request's content is not of the type that is taken here."""


STATUS_OF: dict[type[BaseException], int] = {
    UnknownError: 404,
    DroppedError: 410,
    TooLargeError: 413,
    WrongTypeError: 415,
    RequestError: 400,
    ConfigError: 400,
    DataError: 422,
    OutputError: 507,
}
OTHERWISE = 400
OWN_FAULT = "the viewer met a fault of its own; its terminal says more"


def status_and_sentence(fault: BaseException) -> tuple[int, str] | None:
    """HTTP status and sentence of a fault that a user can meet; None for what is our own fault.

    >>> status_and_sentence(UnknownError("there is no explanation 'x'"))
    (404, "there is no explanation 'x'")
    >>> status_and_sentence(ZeroDivisionError()) is None
    True
    """
    sentence = sentence_of(fault)
    if sentence is None:
        return None
    kinds = (STATUS_OF[kind] for kind in type(fault).__mro__ if kind in STATUS_OF)
    return next(kinds, OTHERWISE if isinstance(fault, MedxganError) else 507), sentence
