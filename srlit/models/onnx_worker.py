"""The process in which an ONNX network lives: `python onnx_worker.py FILE THREADS`.

Whatever the file makes onnxruntime do, wait for ever or crash, happens here, and the parent can end
it. Nothing of srlit is imported, torch neither, so that it starts in a fraction of a second.

Messages go both ways as a line of JSON and the array's bytes, {"type", "shape"} and the pixels, or
{"error"} alone. The first message tells the file's inputs and outputs.
"""

import json
import os
import sys
import threading
from collections.abc import Sequence
from queue import SimpleQueue
from typing import IO, Any

import numpy as np

TYPES = ("<f4", "<f2")

Message = tuple[dict[str, Any], np.ndarray | None]


def send(stream: IO[bytes], head: dict[str, Any], array: np.ndarray | None = None) -> None:
    """Write a message; an array is of one of `TYPES`."""
    pixels: Any = b""
    if array is not None:
        head = {"type": array.dtype.str, "shape": array.shape, **head}
        pixels = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    stream.write(json.dumps(head).encode() + b"\n")
    stream.write(pixels)
    stream.flush()


def receive(stream: IO[bytes]) -> Message:
    """Read a message.

    Raises:
        EOFError: the other end closes before or within it, or sends something else.
    """
    line = stream.readline()
    head = json.loads(line) if line.endswith(b"\n") else {}
    if not head or head.get("type", TYPES[0]) not in TYPES:
        raise EOFError
    if "type" not in head:
        return head, None
    array = np.empty(head["shape"], head["type"])
    filled: int = stream.readinto(array.reshape(-1).view(np.uint8))  # type: ignore[attr-defined]
    if filled < array.nbytes:
        raise EOFError
    return head, array


def first_line(error: Exception) -> str:
    """What an error says, in short."""
    return (str(error).strip() or type(error).__name__).partition("\n")[0]


def open_session(path: str, threads: int) -> Any:  # noqa: ANN401 - an onnxruntime.InferenceSession
    """A session on the best device there is."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # what it would print is in the error
    there = onnxruntime.get_available_providers()
    chosen = [p for p in ("CUDAExecutionProvider", "CPUExecutionProvider") if p in there]
    return onnxruntime.InferenceSession(path, options, providers=chosen)


def listen(stream: IO[bytes], images: "SimpleQueue[np.ndarray]") -> None:
    """Take images in; the process ends with its parent, even in the middle of a computation."""
    try:
        while (array := receive(stream)[1]) is not None:
            images.put(array)
    finally:
        os._exit(0)


def main(arguments: Sequence[str]) -> None:
    """Open the file, say what it takes and gives, and compute until the parent ends."""
    [path, threads] = arguments
    # Only messages go to the pipe, whatever libraries print.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        session = open_session(path, int(threads))
    except Exception as error:  # noqa: BLE001 - onnxruntime's own have no public base
        send(answers, {"error": first_line(error)})
        return
    inputs = [[node.name, node.type, node.shape] for node in session.get_inputs()]
    outputs = [[node.name, node.type, node.shape] for node in session.get_outputs()]
    send(answers, {"inputs": inputs, "outputs": outputs})
    images: SimpleQueue[np.ndarray] = SimpleQueue()
    threading.Thread(target=listen, args=(sys.stdin.buffer, images), daemon=True).start()
    while True:
        try:
            [found] = session.run(None, {inputs[0][0]: images.get()})
            array = np.asarray(found)
            send(answers, {}, array if array.dtype.str in TYPES else array.astype(np.float32))
        except Exception as error:  # noqa: BLE001 - as above
            send(answers, {"error": first_line(error)})


if __name__ == "__main__":
    main(sys.argv[1:])
