"""Upscale image files: `python -m srlit.upscale input=photo.jpg checkpoint=runs/phase3`.

Images of any size are upscaled in overlapping tiles that are cross-faded. An image that fails,
whatever the reason, is reported, the others are upscaled, and the exit code is 3.
"""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from srlit.config import ConfigError, entry_point, load_trained
from srlit.config.entry import SomeFailed

if TYPE_CHECKING:
    from srlit.inference.upscalers import NetworkUpscaler

log = logging.getLogger(__name__)


def upscale(cfg: DictConfig) -> list[Path]:
    """Upscale every file of `input`.

    Returns:
        The results, those that already existed included.

    Raises:
        SomeFailed: some images failed; all others are upscaled.
    """
    from rich.progress import track

    from srlit.data.photo_file import failure
    from srlit.inference.image_files import read_image, write_image
    from srlit.ops.resize import imresize
    from srlit.utils.atomic import remove_torn

    jobs = find_jobs(cfg)
    remove_torn(Path(cfg.output).expanduser())
    network = load_network(cfg)
    failed: list[str] = []
    for source, target in track(jobs, f"upscaling x{network.scale}", transient=True):
        if target.exists() and not cfg.overwrite:
            log.info("kept %s (overwrite=true replaces it)", target)
            continue
        try:
            image = read_image(source)
            # Transparency is interpolated bicubically.
            alpha = None if image.alpha is None else imresize(image.alpha, network.scale)
            write_image(target, network(image.rgb), alpha, image.profile)
            log.info("wrote %s", target)
        except Exception as error:  # noqa: BLE001 - no image ends the job: memory, ONNX, NaN, disk
            failed.append(failure(source, error))
            log.error(failed[-1])  # noqa: TRY400 - of the image, none of the program
    if failed:
        lines = "\n  ".join([f"{len(failed)} of {len(jobs)} images failed:", *failed])
        raise SomeFailed(lines)
    return [target for _, target in jobs]


def find_jobs(cfg: DictConfig) -> list[tuple[Path, Path]]:
    """Every input file with the file of its result.

    Raises:
        ValueError: two inputs have the same result, or a result would replace an input.
    """
    from srlit.inference.image_files import find_images, output_path

    root, folder = Path(cfg.input).expanduser(), Path(cfg.output).expanduser()
    sources = find_images(cfg.input, outside=folder if root.resolve() != folder.resolve() else None)
    resolved = {source.resolve() for source in sources}
    jobs = [(source, output_path(source, root, folder, cfg.format)) for source in sources]
    taken: dict[Path, Path] = {}
    for source, target in jobs:
        if target.resolve() in resolved:
            raise ValueError(f"output={cfg.output}: {target} would replace an input")
        if taken.setdefault(target, source) != source:
            raise ValueError(f"input={cfg.input}: {taken[target]}, {source} would both be {target}")
    return jobs


def load_network(cfg: DictConfig) -> "NetworkUpscaler":
    """The network of `checkpoint`, or its stage 1.

    Raises:
        ConfigError: stage 1 of a network without stages.
    """
    from srlit.checkpoint import resolve_checkpoint
    from srlit.inference.upscalers import NetworkUpscaler, pick_device

    network, card = load_trained(resolve_checkpoint(cfg.checkpoint), cfg)
    if cfg.stage is not None:
        if not hasattr(network, "first_stage"):
            expected = "expected null, or 1 where the network is a two_stage"
            raise ConfigError(f"stage={cfg.stage}: {expected}")
        network = network.first_stage()  # type: ignore[operator]
    tiles = {"tile": cfg.tile, "overlap": cfg.overlap}
    return NetworkUpscaler(card["name"], network, device=pick_device(cfg.device), **tiles)


main = entry_point("upscale")(upscale)


if __name__ == "__main__":
    main()
