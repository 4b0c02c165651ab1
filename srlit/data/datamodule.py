"""The datamodule: loads uint8 patches, and turns them into (lr, hr) pairs on the device."""

import logging
from itertools import combinations
from pathlib import Path
from typing import Any

from lightning import LightningDataModule
from torch.utils.data import DataLoader

from srlit.data.audit import Photo
from srlit.data.datasets import PatchBatches
from srlit.data.evaluation_data import TrainingData
from srlit.data.loader import BatchLoader, make_loader
from srlit.data.photo_sets import regroup, without_duplicates
from srlit.data.sampler import PhotoOrder
from srlit.data.shards import ShardError
from srlit.data.transforms import evaluation_pair, training_pair
from srlit.types import Batch, Photos
from srlit.utils.fingerprint import fingerprint

log = logging.getLogger(__name__)


class PhotoDataModule(TrainingData, LightningDataModule):
    """Photos to batches for training, validation and test; the arguments are `TrainingData`'s."""

    first_iteration = 0

    def __post_init__(self) -> None:
        LightningDataModule.__init__(self)
        super().__post_init__()

    def check(self, min_size: int = 1) -> None:
        """Audit training and validation photos, and check that no photo is in two sets.

        Args:
            min_size: shortest side that the validation's metrics can measure, in pixels.

        Raises:
            FileNotFoundError: a folder is missing or empty.
            BadDataError: too many photos cannot be used.
            ValueError: a photo is in two sets.
        """
        train = self._audited("train", self.patch_size)
        self._val_photos = self._measurable("val", min_size)
        self._check_disjoint(train)
        unseen = without_duplicates(train, self._val_photos, "the validation set")
        self._train_photos, counts, weights = regroup(unseen, self.photos.groups())
        self._order = PhotoOrder(
            counts, weights=weights, seed=self.seed, crops=self.crops_per_photo
        )

    def _check_disjoint(self, train: list[Photo]) -> None:
        """Raise ValueError where a photo is in two of the three sets."""
        sets = {"train": [p.path for p in train], "val": [p.path for p in self._val_photos]}
        try:
            sets["test"] = self.photos.split("test")
        except (FileNotFoundError, ShardError) as error:
            level = logging.WARNING if self.photos.has("test") else logging.INFO
            log.log(level, "no test photos, which training does not need: %s", error)
        for one, other in combinations(sets, 2):
            if shared := {*map(Path.resolve, sets[one])} & {*map(Path.resolve, sets[other])}:
                raise ValueError(f"data.photos: {len(shared)} in {one} and {other}: {min(shared)}")

    def setup(self, stage: str) -> None:
        """Audit the photos, unless that is done."""
        if stage == "fit" and not hasattr(self, "_train_photos"):
            self.check()

    def photos_of(self, iteration: int) -> list[Path]:
        """The photos of an iteration's batch on this process, in the batch's order."""
        return [self._train_photos[i].path for i in self._batches().photos_of(iteration)]

    def train_dataloader(self) -> BatchLoader | DataLoader[Photos]:
        """Batches from `first_iteration` to `iterations`, in order."""
        batches = self._batches()
        steps = range(self.first_iteration, self.iterations)
        processes = self.trainer.num_devices if self.trainer else 1
        return make_loader(
            batches,
            steps,
            workers=self.workers,
            packed=batches.reader.packed,
            processes=processes,
            timeout_s=self.worker_timeout_s,
        )

    def _batches(self) -> PatchBatches:
        """This process's training batches."""
        rank, world_size = self._rank_and_world()
        sizes = {"patch_size": self.patch_size, "batch_size": self.batch_size, "scale": self.scale}
        ranks = {"rank": rank, "world_size": world_size}
        reader = self._reader(self._train_photos, self.cache_mb)
        return PatchBatches(reader, self._order, seed=self.seed, **sizes, **ranks)

    def _rank_and_world(self) -> tuple[int, int]:
        """This process's number, and how many there are."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def val_dataloader(self) -> DataLoader[Photos]:
        """This process's part of the validation photos."""
        photos = self._val_photos
        rank, world = self._rank_and_world()
        if len(photos) < world:
            msg = f"{len(photos)} photos to measure, {world} processes: expected one each"
            raise ValueError(msg)
        # Every process gets at least one batch.
        dataset = self._grouped(photos, min(self.eval_batch_size, len(photos) // world))
        return DataLoader(dataset, sampler=range(rank, len(dataset), world), batch_size=None)

    def on_after_batch_transfer(self, batch: Photos, dataloader_idx: int) -> Batch:  # noqa: ARG002
        """On the device: uint8 photos to a training or an evaluation pair."""
        if self.trainer is not None and self.trainer.training:
            return training_pair(batch, self.augmentation, self.degradation)
        return evaluation_pair(batch, self.eval_degradation)

    @property
    def counts(self) -> dict[str, int]:
        """How many photos training and validation use."""
        return {"train": len(self._train_photos), "val": len(self._val_photos)}

    @property
    def photos_digest(self) -> str:
        """A digest of the training photos' pixels."""
        return fingerprint([(p.digest, p.lr and p.lr.digest) for p in self._train_photos])

    @property
    def validation_digest(self) -> str:
        """A digest of the validation photos' pixels, and of how they are cropped and degraded."""
        photos = [(p.digest, p.lr and p.lr.digest) for p in self._val_photos]
        return fingerprint(photos, self.eval_crop, self.eval_seed, self.scale)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run finds unchanged: the photos' pixels, their order and weights."""
        order = (self._order.counts, self._order.visits, self._order.crops)
        digest = fingerprint(self.photos_digest, order)
        return {"photos": len(self._train_photos), "sha256": digest}
