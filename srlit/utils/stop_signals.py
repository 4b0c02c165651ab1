"""Signals that ask a program to stop, as far as the system has them (Windows: SIGTERM, SIGINT)."""

import signal

_CODES = {"SIGTERM": 143, "SIGUSR1": 143, "SIGHUP": 129, "SIGINT": 130}

# Signal to the exit code of a program that it stopped.
STOP_SIGNALS: dict[signal.Signals, int] = {
    getattr(signal, name): code for name, code in _CODES.items() if hasattr(signal, name)
}
