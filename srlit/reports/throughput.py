"""Iterations per second, from the times in TensorBoard's files.

`metrics.csv` holds no times: a resumed training would not leave the rows it would have had.
"""

from pathlib import Path

from google.protobuf.message import DecodeError

from srlit.reports.run_folders import Column

CLOCK = "learning_rate"  # logged once an interval, whatever else is


def read_pace(folder: Path) -> Column:
    """Iterations a second from one logged interval to the next, validations included.

    Raises:
        ValueError: a file is damaged.
    """
    paces: dict[float, float] = {}
    for path in sorted(folder.rglob("events.out.tfevents.*")):
        before: tuple[float, float] | None = None
        for step, time in _times(path):
            if before is not None and step > before[0] and time > before[1]:
                paces[step] = (step - before[0]) / (time - before[1])
            before = step, time
    return Column(sorted(paces), [paces[step] for step in sorted(paces)])


def _times(path: Path) -> list[tuple[float, float]]:
    """Iteration and time of each logged interval."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    try:
        return [
            (float(event.step), float(event.wall_time))
            for event in EventFileLoader(str(path)).Load()
            if any(value.tag == CLOCK for value in event.summary.value)
        ]
    except DecodeError as error:
        raise ValueError(f"{path.name}: {error}") from error
