"""A process that dies ends all the others, and they say which one it was.

Otherwise they would wait for it in a collective, half an hour or for ever. Whatever watches is a
thread, so that a main thread that computes, writes or waits is no matter:

- `Heartbeats`: every process counts up in a store and looks at the others' counts, across machines.
- `ChildWatch`: a process that started others sees how they end.
- `ParentWatch`: a started process sees that its starter is gone.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

import torch.distributed as dist

EXIT_CODE = 70
BEAT_SECONDS = 2.0
SILENCE_SECONDS = 15.0
GRACE_SECONDS = 5.0
POLL_SECONDS = 0.5


def process_name(rank: int, host: str | None = None, pid: int | None = None) -> str:
    """How messages call a process; this one by default."""
    return f"rank {rank} (host {host or socket.gethostname()}, pid {pid or os.getpid()})"


class Ending:
    """How this process ends because of another one: says why, once, and is then forced.

    The main thread gets `grace` seconds to end by itself, as an error of a collective lets it; then
    the run's record is closed too.

    Args:
        grace: seconds until the process is ended.
    """

    def __init__(self, grace: float = GRACE_SECONDS) -> None:
        self.grace = grace
        self.told = threading.Event()
        self.before_exit: list[Callable[[], None]] = []
        self._lock = threading.Lock()

    def tell(self, reason: str) -> None:
        """Say why on stderr and set the clock."""
        with self._lock:
            if self.told.is_set():
                return
            self.told.set()
        sys.stderr.flush()
        os.write(2, f"error: {reason}. Ending {process_name_here()}.\n".encode())
        clock = threading.Timer(self.grace, self._exit)
        clock.daemon = True
        clock.start()

    def _exit(self) -> None:
        for act in self.before_exit:
            act()
        os._exit(EXIT_CODE)


def process_name_here() -> str:
    """This process, by its number if it has one by now."""
    if dist.is_initialized():
        return process_name(dist.get_rank())
    return f"process {os.getpid()} on {socket.gethostname()}"


# -- across machines ------------------------------------------------------------------------------


@runtime_checkable
class Store(Protocol):
    """What is used of `torch.distributed.TCPStore`."""

    def set(self, key: str, value: str) -> None:
        """Write."""

    def multi_get(self, keys: list[str]) -> list[bytes]:
        """Read, when all keys have been written."""


class State(StrEnum):
    """What a process last said of itself."""

    AT_WORK = "at work"
    DONE = "done"
    LEFT = "left"
    FAILED = "failed"


@dataclass(frozen=True)
class Sign:
    """A sign of life.

    Attributes:
        count: how many came before it.
        state: what the process is about.
        reason: why it ends, where it fails.
    """

    count: int
    state: State
    reason: str = ""

    def encode(self) -> str:
        """As text."""
        return f"{self.count}|{self.state}|{self.reason}"

    @classmethod
    def decode(cls, text: str) -> "Sign":
        """From text."""
        count, state, reason = text.split("|", 2)
        return cls(int(count), State(state), reason)


class Heartbeats(threading.Thread):
    """Gives signs of life and listens for the others'.

    A process is taken for dead when its count stands still for `silence` seconds by the listener's
    own clock: processes on other machines may have any time of day. A process that only works
    long, or waits, goes on counting.

    Args:
        store: a connection of its own; the default group's may be blocked.
        rank: of this process.
        names: of all processes, by rank.
        ending: what happens to this process when another one is dead.
        key: prefix of the store's keys, fresh for each training.
        every: seconds between two signs.
        silence: seconds after which a process is taken for dead.
    """

    def __init__(
        self,
        store: Store,
        *,
        rank: int,
        names: Sequence[str],
        ending: Ending,
        key: str,
        every: float = BEAT_SECONDS,
        silence: float = SILENCE_SECONDS,
    ) -> None:
        super().__init__(daemon=True, name="heartbeats")
        self.store, self.rank, self.names, self.ending = store, rank, names, ending
        self.every, self.silence = every, silence
        self._keys = [f"{key}/{number}" for number in range(len(names))]
        self._sign = Sign(0, State.AT_WORK)
        self._heard: dict[int, tuple[int, float]] = {}
        self._wake = threading.Event()
        self._over = threading.Event()
        self._answered = time.monotonic()

    # -- for the main thread --------------------------------------------------------------------

    def finish(self) -> None:
        """Say that this process is done, and wait until all are; the others are watched so long."""
        self._say(State.DONE)
        self.join()

    def leave(self, patience: float) -> None:
        """Say that this process goes before the end, on purpose; wait a while for the others."""
        self._say(State.LEFT)
        self.join(patience)
        self._over.set()

    def fail(self, error: BaseException) -> None:
        """Say that this process fails, or find out whose death made it fail."""
        caused = is_of_a_collective(error) and self.ending.told.wait(self.silence + 2 * self.every)
        if not caused:
            line = (str(error).splitlines() or [""])[0]
            own = f"{self.names[self.rank]} failed: {type(error).__name__}: {line}"
            self._say(State.FAILED, own)
        if self.rank == 0:
            time.sleep(2 * self.every)  # the store may end with this process: let it be read
        self.join(self.every)

    def _say(self, state: State, reason: str = "") -> None:
        self._sign = Sign(self._sign.count, state, reason)
        self._wake.set()

    # -- the thread -----------------------------------------------------------------------------

    def start(self) -> None:
        """Begin, beside a second thread that sees when the store does not answer at all."""
        self._answered = time.monotonic()
        threading.Thread(target=self._await_answers, daemon=True, name="store-watch").start()
        super().start()

    def _await_answers(self) -> None:
        """A machine without power closes no connection: the call that asks it never returns."""
        while not self.ending.told.is_set() and not self._over.wait(self.every / 4):
            if time.monotonic() - self._answered > self.silence + self.every:
                self._on_lost_store()
                return

    def run(self) -> None:
        """Beat and listen until all are done or one is dead."""
        self._listen()
        self._over.set()

    def _listen(self) -> None:
        while not self.ending.told.is_set() and not self._over.is_set():
            try:
                signs = self._exchange()
            except RuntimeError:  # torch's errors of a store derive from it
                self._on_lost_store()
                return
            if self._is_over(signs):
                return
            if reason := self._find_dead(signs):
                self._announce(reason)
                self.ending.tell(reason)
            # At the end all wait for the last one: they look more often.
            self._wake.wait(self.every / (1 if self._sign.state is State.AT_WORK else 10))
            self._wake.clear()

    def _exchange(self) -> list[Sign]:
        """Give a sign and take everybody's; waits for those that have not begun."""
        self._sign = Sign(self._sign.count + 1, self._sign.state, self._sign.reason)
        self.store.set(self._keys[self.rank], self._sign.encode())
        signs = self.store.multi_get(self._keys)
        self._answered = time.monotonic()
        return [Sign.decode(sign.decode()) for sign in signs]

    def _is_over(self, signs: Sequence[Sign]) -> bool:
        everybody_gone = all(sign.state in {State.DONE, State.LEFT} for sign in signs)
        return everybody_gone or signs[self.rank].state is State.FAILED

    def _find_dead(self, signs: Sequence[Sign]) -> str | None:
        """Why this process must end, if it must."""
        now = time.monotonic()
        for rank, sign in enumerate(signs):
            if sign.state is State.FAILED:
                return sign.reason
            if rank == self.rank or sign.count != self._heard.get(rank, (-1, now))[0]:
                self._heard[rank] = sign.count, now
        silence, rank = max((now - when, rank) for rank, (_, when) in self._heard.items())
        if silence < self.silence or signs[rank].state is State.DONE:
            return None
        what = "left the training" if signs[rank].state is State.LEFT else "has died or is frozen"
        return f"{self.names[rank]} {what}: no sign of life for {silence:.0f} s"

    def _announce(self, reason: str) -> None:
        """Pass on why, so that those who see only this process end know the first cause."""
        self._sign = Sign(self._sign.count + 1, State.FAILED, reason)
        try:
            self.store.set(self._keys[self.rank], self._sign.encode())
        except RuntimeError:
            return

    def _on_lost_store(self) -> None:
        """The store's process is gone: rank 0, or the launcher that keeps it for all ranks."""
        if self._sign.state is State.AT_WORK:
            keeper = "torchrun's agent beside " if dist.is_torchelastic_launched() else ""
            self.ending.tell(f"{keeper}{self.names[0]} has died: its store does not answer")


def is_of_a_collective(error: BaseException) -> bool:
    """Whether an error may only be the echo of another process's death."""
    return isinstance(error, dist.DistError) or "gloo" in str(error).lower()


# -- between a process and those it started -------------------------------------------------------


class ChildWatch(threading.Thread):
    """Sees how started processes end, from the moment they are started.

    Args:
        children: number of each process and the process.
        ending: what happens to this process when one of them fails.
    """

    def __init__(self, children: dict[int, "subprocess.Popen[bytes]"], ending: Ending) -> None:
        super().__init__(daemon=True, name="child-watch")
        self.children, self.ending = children, ending
        self._over = threading.Event()
        ending.before_exit.append(self.kill)

    def run(self) -> None:
        """Look until all have ended well, one has not, or it no longer matters."""
        while not self._over.wait(POLL_SECONDS):
            for rank, child in self.children.items():
                if child.poll():
                    name = process_name(rank, pid=child.pid)
                    self.ending.tell(f"{name} {_how_ended(child.returncode)}")
                    return
            if all(child.returncode == 0 for child in self.children.values()):
                return

    def stop(self) -> None:
        """How the processes end no longer matters."""
        self._over.set()

    def kill(self) -> None:
        """End all that still run; one that waits in a collective hears nothing gentler."""
        self.stop()
        for child in self.children.values():
            child.kill()


def _how_ended(code: int) -> str:
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"failed with exit code {code}"


class ParentWatch(threading.Thread):
    """Ends this process when the one that started it is gone.

    Args:
        pid: of the starter.
        rank: of the starter.
        ending: what happens to this process.
    """

    def __init__(self, pid: int, rank: int, ending: Ending) -> None:
        super().__init__(daemon=True, name="parent-watch")
        self.pid, self.rank, self.ending = pid, rank, ending
        self._over = threading.Event()

    def run(self) -> None:
        """Look until it no longer matters: an orphan gets another parent."""
        while not self._over.wait(POLL_SECONDS):
            if os.getppid() != self.pid:
                self.ending.tell(f"{process_name(self.rank, pid=self.pid)} has died")
                return

    def stop(self) -> None:
        """The training is over."""
        self._over.set()
