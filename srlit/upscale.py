"""Upscale image files: `python -m srlit.upscale input=photo.jpg checkpoint=runs/phase3`.

Images of any size, in overlapping tiles that are cross-faded. A file that cannot be read is
reported and the others are done; the exit code then is 1.
"""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from srlit.config import ConfigError, entry_point, load_generator

if TYPE_CHECKING:
    from torch import nn

    from srlit.inference import NetworkUpscaler

log = logging.getLogger(__name__)


def upscale(cfg: DictConfig) -> list[Path]:
    """Upscale every file of `input`.

    Returns:
        The results, those that were there already too.

    Raises:
        SystemExit: some files failed; all others are done.
    """
    from rich.progress import track

    from srlit.checkpoint import resolve_checkpoint
    from srlit.data import PhotoError
    from srlit.inference import NetworkUpscaler, find_images, output_path, pick_device

    root = Path(cfg.input).expanduser()
    folder = Path(cfg.output).expanduser()
    inside = root.resolve() != folder.resolve()
    images = find_images(cfg.input, outside=folder if inside else None)
    jobs = [(path, output_path(path, root, folder, cfg.format)) for path in images]
    refuse_collisions(jobs)
    generator, card = load_generator(resolve_checkpoint(cfg.checkpoint), cfg.get("model"))
    network = NetworkUpscaler(
        card["name"],
        chosen_stage(generator, cfg.stage),
        device=pick_device(cfg.device),
        tile=cfg.tile,
        overlap=cfg.overlap,
    )
    failed: list[str] = []
    for source, target in track(jobs, f"upscaling x{network.scale}", transient=True):
        if target.exists() and not cfg.overwrite:
            log.info("kept %s (overwrite=true replaces it)", target)
            continue
        try:
            upscale_file(network, source, target)
        except (PhotoError, OSError) as error:
            log.error("%s", error)  # noqa: TRY400 - a broken photo, no error of the program
            failed.append(str(error))
        else:
            log.info("wrote %s", target)
    if failed:
        listed = "\n".join(f"  {reason}" for reason in failed)
        raise SystemExit(f"{len(failed)} of {len(jobs)} images failed:\n{listed}")
    return [target for _, target in jobs]


def chosen_stage(generator: "nn.Module", stage: int | None) -> "nn.Module":
    """A whole generator, or its stage 1 alone.

    Raises:
        ConfigError: another stage, or a generator without stages.
    """
    if stage is None:
        return generator
    if stage != 1 or not hasattr(generator, "first_stage"):
        msg = f"stage={stage}: expected null, or 1 where the network is a two_stage"
        raise ConfigError(msg)
    first: nn.Module = generator.first_stage()  # type: ignore[operator]
    return first


def upscale_file(network: "NetworkUpscaler", source: Path, target: Path) -> None:
    """One file; transparency is enlarged bicubically.

    Raises:
        PhotoError: the file cannot be decoded, or its transparency not be written.
    """
    from srlit.inference import read_image, write_image
    from srlit.ops.resize import imresize

    picture = read_image(source)
    alpha = None if picture.alpha is None else imresize(picture.alpha, network.scale)
    write_image(target, network(picture.rgb), alpha, picture.profile)


def refuse_collisions(jobs: list[tuple[Path, Path]]) -> None:
    """Raise ValueError where two inputs share a result or a result would replace an input."""
    taken: dict[Path, Path] = {}
    sources = {source.resolve() for source, _ in jobs}
    for source, target in jobs:
        if target.resolve() in sources:
            msg = f"output: {target} would replace an input; name another folder"
            raise ValueError(msg)
        if target in taken:
            msg = f"{taken[target]} and {source} would both become {target}"
            raise ValueError(msg)
        taken[target] = source


@entry_point("upscale")
def main(cfg: DictConfig) -> None:
    """Command line."""
    upscale(cfg)


if __name__ == "__main__":
    main()
