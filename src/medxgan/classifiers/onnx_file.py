"""The bytes of an ONNX model: its file, the files of weights beside it, and its opset.

An ONNX file is one protocol buffer (``onnx.proto``). Only the few fields that are needed before the
model is opened are read here, so that the package ``onnx`` is not.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from medxgan.errors import ClassifierError

MODEL_NAME = "model.onnx"
"""Under this name the model itself stands among its files, whatever it was called."""

# Field numbers of onnx.proto
MODEL_GRAPH, MODEL_OPSETS = 7, 8
GRAPH_WEIGHTS = 5
TENSOR_EXTERNAL = 13
ENTRY_KEY, ENTRY_VALUE = 1, 2
OPSET_DOMAIN, OPSET_VERSION = 1, 2

VARINT, EIGHT_BYTES, SIZED, FOUR_BYTES = 0, 1, 2, 5


def read_onnx(path: Path) -> dict[str, bytes]:
    """The files of an ONNX model: ``model.onnx``, and those that it keeps weights in, by name.

    Raises:
        ClassifierError: a file is missing or cannot be read, it is not ONNX, or it names weights
            outside its own folder.
    """
    content = _read(path)
    files = {MODEL_NAME: content}
    for name in _external_names(content, path):
        place = PurePosixPath(name)
        if place.is_absolute() or ".." in place.parts:
            raise ClassifierError(
                f"'{path}' keeps weights outside its folder, in '{name}', and is not opened; "
                "export it again into one folder"
            )
        files[name] = _read(path.parent / place)
    return files


def opset_of(content: bytes) -> int:
    """Version of the standard operators that a model uses; 0 where it names none.

    Raises:
        ValueError: the bytes are no protocol buffer.

    >>> opset_of(bytes([MODEL_OPSETS << 3 | SIZED, 2, OPSET_VERSION << 3, 17]))
    17
    """
    versions = [0]
    for opset in _messages(memoryview(content), MODEL_OPSETS):
        fields = dict(_fields(opset))
        domain, version = fields.get(OPSET_DOMAIN, b""), fields.get(OPSET_VERSION, 0)
        if bytes(domain if isinstance(domain, memoryview) else b"") in (b"", b"ai.onnx"):
            versions.append(version if isinstance(version, int) else 0)
    return max(versions)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ClassifierError(
            f"'{path}' cannot be read ({error.strerror or error}); check the path, and that the "
            "files of weights lie beside their ONNX file"
        ) from error


def _external_names(content: bytes, path: Path) -> list[str]:
    try:
        graphs = list(_messages(memoryview(content), MODEL_GRAPH))
        tensors = [tensor for graph in graphs for tensor in _messages(graph, GRAPH_WEIGHTS)]
        entries = [dict(_fields(e)) for t in tensors for e in _messages(t, TENSOR_EXTERNAL)]
        texts = [
            {number: bytes(text) for number, text in entry.items() if not isinstance(text, int)}
            for entry in entries
        ]
        names = [text[ENTRY_VALUE] for text in texts if text.get(ENTRY_KEY) == b"location"]
        if not graphs:
            raise ValueError("it holds no graph")
        return list(dict.fromkeys(name.decode() for name in names))
    except (ValueError, KeyError) as error:
        raise ClassifierError(
            f"'{path}' is not a readable ONNX file ({error}); copy or export it again"
        ) from error


def _messages(message: memoryview, number: int) -> Iterator[memoryview]:
    """The parts of a message that stand under one field number."""
    for found, value in _fields(message):
        if found == number and not isinstance(value, int):
            yield value


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Field numbers and values of a message, in their order."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        wire = key & 7
        if wire == VARINT:
            value, position = _varint(message, position)
            yield key >> 3, value
            continue
        if wire == SIZED:
            size, position = _varint(message, position)
        else:
            size = {EIGHT_BYTES: 8, FOUR_BYTES: 4}.get(wire, -1)
        end = position + size
        if size < 0 or end > len(message):
            raise ValueError("it is damaged or cut off")
        yield key >> 3, message[position:end]
        position = end


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """A number in groups of 7 bits, the lowest first, and the position behind it."""
    number = shift = 0
    while position < len(message):
        byte = message[position]
        number |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return number, position
    raise ValueError("it is damaged or cut off")
