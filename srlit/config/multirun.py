"""Jobs of a multirun (-m): their folders' names, their siblings, and what became of them."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import OmegaConf

from srlit.utils.fingerprint import fingerprint

# Chooses the phase; every other override of a job is shared by the phases of one training.
EXPERIMENT = "experiment"
RESUMING = ("resume", "resume_changes")


@dataclass
class Multirun:
    """The multirun of this process.

    Attributes:
        overrides: as they were typed, the values of all jobs at once.
        job: overrides of a job that is looked at before it runs.
        failed: name of each job that failed, to its own overrides and its error.
    """

    overrides: Sequence[str] = ()
    job: Sequence[str] | None = None
    failed: dict[str, tuple[list[str], str]] = field(default_factory=dict)


CURRENT = Multirun()


def in_multirun() -> bool:
    """Whether this is one job of a multirun (-m)."""
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


@contextmanager
def looked_at(job: Sequence[str]) -> Iterator[None]:
    """Compose a job that does not run yet as it will be composed."""
    CURRENT.job = job
    try:
        yield
    finally:
        CURRENT.job = None


def job_overrides() -> list[str]:
    """The overrides of the job that runs or is looked at; [] outside of a multirun."""
    if CURRENT.job is not None:
        return list(CURRENT.job)
    return list(HydraConfig.get().overrides.task) if in_multirun() else []


def identity() -> dict[str, Any]:
    """What a job and the other phases of its training share: the multirun, and other overrides.

    A multirun that is started again to go on is the same one.
    """
    typed = sorted(o for o in CURRENT.overrides if key_and_value(o)[0] not in RESUMING)
    shared = sorted(
        o for o in job_overrides() if key_and_value(o)[0] not in (EXPERIMENT, *RESUMING)
    )
    return {"multirun": fingerprint(typed), "job": shared}


def failed_sibling() -> str | None:
    """The name of a job that failed and should have trained a phase before this job's."""
    own = identity()["job"]
    return next((name for name, (job, _) in CURRENT.failed.items() if job == own), None)


def suffix() -> str:
    """What tells a job's folder from those of the others: `_l1-10_seed-2`; '' for a single run."""
    typed = OverridesParser.create().parse_overrides(list(CURRENT.overrides))
    fixed = {
        EXPERIMENT,
        *(o.get_key_element().lstrip("+") for o in typed if not o.is_sweep_override()),
    }
    swept = {k: v for k, v in map(key_and_value, job_overrides()) if k not in fixed}
    short = {key: key.rsplit(".", 1)[-1] for key in swept}
    names = list(short.values())
    parts = [(short[k] if names.count(short[k]) == 1 else k, v) for k, v in swept.items()]
    return "".join(re.sub(r"[^\w.,+-]", "-", f"_{name}-{value}") for name, value in parts)


def key_and_value(override: str) -> tuple[str, str]:
    """`+loss.weights.l1=10` as ('loss.weights.l1', '10')."""
    key, _, value = override.lstrip("+~").partition("=")
    return key, value


OmegaConf.register_new_resolver("srlit.job", suffix, replace=True)
