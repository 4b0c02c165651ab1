"""Any augmentation of kornia as a degradation stage."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from kornia.augmentation import AugmentationBase2D
from torch import Tensor, nn

from srlit.degradation.stage import Stage
from srlit.ops.ragged_batch import Params, RaggedBatch
from srlit.ops.rng import RowGenerator, make_keys
from srlit.types import Count

# Draws at two sizes tell which parameters depend on the image size; 8 samples in one batch, and
# one by one, whether an augmentation treats samples independently.
PROBE_SIZES = (96, 128), (64, 80)
PROBE_KEYS = make_keys(0, (), torch.arange(8))
KEY = "key"


class KorniaStage(Stage):
    """A 2D augmentation of `kornia.augmentation` that keeps the image size.

    Each sample's parameters are drawn by kornia from a generator that its own key seeds. Parameters
    that do not depend on the image size are recorded by their names in kornia; for the others, such
    as a noise field, the key is recorded and they are drawn again. Results are clipped to [0, 1].
    Kornia draws on the CPU, so a GPU is waited for once per stage.

    Args:
        augmentation: applied with its own probability `p` to each sample.
        pad_to: the border is repeated until both sides are multiples of this, and cropped again.

    Raises:
        TypeError: not a 2D augmentation of kornia, or one that mixes the samples of a batch.
        ValueError: the augmentation changes the size (use `Resize` or `KorniaResize`).
    """

    augmentation: nn.Module
    pad_to: Count = 1

    def __post_init__(self) -> None:
        where = f"KorniaStage.augmentation={type(self.augmentation).__name__}"
        if not isinstance(self.augmentation, AugmentationBase2D):
            raise TypeError(f"{where}: expected a 2D augmentation of kornia")
        self.forward_parameters = self.augmentation.forward_parameters
        draws, others = (
            [self._draw(key, *size) for key in PROBE_KEYS.tolist()] for size in PROBE_SIZES
        )
        self.shapes = {
            name: value.shape
            for name, value in draws[0].items()
            if all(torch.equal(a[name], b[name]) for a, b in zip(draws, others, strict=True))
            and all(own[name].shape == value.shape for own in draws)
        }
        self.draws_again = len(self.shapes) < len(draws[0])
        self.is_batched = self._is_batched(draws, where)

    def _is_batched(self, draws: list[dict[str, Tensor]], where: str) -> bool:
        """Whether a batch gives what its samples give one by one."""
        generator = torch.Generator().manual_seed(0)
        x = torch.rand(len(draws), 3, *PROBE_SIZES[0], generator=generator)
        alone = [self._augment(x[i : i + 1], own) for i, own in enumerate(draws)]
        if alone[0].shape != x[:1].shape:
            raise ValueError(f"{where}: changes the size; use Resize or KorniaResize")
        shapes = [(1, *value.shape[1:]) for value in draws[0].values()]
        if any([value.shape for value in own.values()] != shapes for own in draws):
            return False  # a parameter that all samples share, or of varying length
        return torch.allclose(self._augment(x, _joined(draws)), torch.cat(alone), atol=1e-4)

    def sample(self, rows: RowGenerator) -> Params:
        """Draw kornia's own parameters, one row per sample, and `key` (n,) where it is needed."""
        keys = rows.keys()
        draws = [self._draw(key, *PROBE_SIZES[0]) for key in keys.tolist() or [0]]
        params = {
            name: torch.stack([own[name].view(_row(shape)) for own in draws])[: len(keys)]
            for name, shape in self.shapes.items()
        }
        params = {name: value.to(keys.device) for name, value in params.items()}
        return {**params, **({KEY: keys} if self.draws_again else {})}

    def apply(self, batch: RaggedBatch, params: Params) -> RaggedBatch:
        """Augment with the drawn parameters, each sample at its own size."""

        def augment(x: Float[Tensor, "n 3 h w"], own: Params) -> Float[Tensor, "n 3 h w"]:
            return self._augment(x, self._kornia_params(own, *x.shape[-2:]))

        if self.is_batched and batch.sizes is None and not batch.pixels.is_cpu:
            return batch.map(augment, params)
        return batch.map_one_by_one(augment, params)

    def _kornia_params(self, params: Params, h: int, w: int) -> dict[str, Tensor]:
        """Kornia's parameters for images of one size: those recorded, the others drawn again."""
        keys = params[KEY].tolist() if self.draws_again else []
        again = _joined([self._draw(key, h, w) for key in keys])
        recorded = {k: params[k].reshape(-1, *shape[1:]) for k, shape in self.shapes.items()}
        return {**again, **recorded}

    def _draw(self, key: int, h: int, w: int) -> dict[str, Tensor]:
        """Kornia's parameters for one image."""
        with torch.random.fork_rng(devices=[]):  # kornia draws from torch's CPU generator
            torch.default_generator.manual_seed(key)
            shape = torch.Size((1, 3, self._padded(h), self._padded(w)))
            drawn = self.forward_parameters(shape)
        return {name: value for name, value in drawn.items() if name != "forward_input_shape"}

    def _augment(
        self, x: Float[Tensor, "n 3 h w"], params: dict[str, Tensor]
    ) -> Float[Tensor, "n 3 oh ow"]:
        """Augment images of one size with kornia's parameters."""
        h, w = x.shape[-2:]
        pad = (0, self._padded(w) - w, 0, self._padded(h) - h)
        padded = F.pad(x, pad, mode="replicate") if any(pad) else x
        shape = torch.tensor(padded.shape)
        result: Tensor = self.augmentation(padded, params={**params, "forward_input_shape": shape})
        return (result[..., :h, :w] if any(pad) else result).clamp(0, 1)

    def _padded(self, side: int) -> int:
        return side + -side % self.pad_to


def _joined(draws: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Kornia's parameters of a batch, from those of its samples."""
    return {name: torch.cat([own[name] for own in draws]) for name in (draws[0] if draws else ())}


def _row(shape: torch.Size) -> torch.Size:
    """The shape of one sample's parameter, without kornia's batch axis of one."""
    return shape[1:] if shape[0] == 1 else shape
