"""The datamodule: loads uint8 patches, and turns them into (lr, hr) pairs on the device."""

import hashlib
import json
import logging
from itertools import combinations
from pathlib import Path
from typing import Any

from lightning import LightningDataModule
from torch.utils.data import DataLoader

from srlit.data.audit import Photo
from srlit.data.augment import Augmentation
from srlit.data.datasets import PatchBatches
from srlit.data.evaluation_data import EvaluationData, check_multiple
from srlit.data.loader import BatchLoader, make_loader
from srlit.data.photo_sets import PhotoSets, regroup, without_duplicates
from srlit.data.sampler import PhotoOrder
from srlit.data.shards import ShardError
from srlit.data.transforms import evaluation_pair, training_pair
from srlit.degradation.pipeline import Degradation
from srlit.types import Batch, Count, Fraction, NonNegative, NonNegativeInt, Photos

log = logging.getLogger(__name__)


class PhotoDataModule(EvaluationData, LightningDataModule):
    """Photos to batches for training, validation and test.

    Arguments that are not listed here are those of `EvaluationData`.

    Args:
        degradation: of training pairs.
        eval_degradation: of validation and test pairs.
        augmentation: of training patches, before the degradation.
        seed: of crops, order, augmentation and training degradation.
        patch_size: side of a training patch in HR pixels, a multiple of the scale.
        batch_size: patches per batch and process.
        iterations: how many batches a training takes.
        workers: worker processes; None chooses by the cores, and none where all is packed.
        cache_mb: decoded pixels that each worker keeps in memory, in MiB.
        crops_per_photo: patches taken each time a photo is visited; more than one saves decoding
            where photos are not packed, and makes the patches of a batch more alike.

    Raises:
        ValueError: the scale does not divide the patch.
    """

    def __init__(
        self,
        *,
        photos: PhotoSets,
        degradation: Degradation,
        eval_degradation: Degradation,
        augmentation: Augmentation,
        seed: int,
        scale: Count,
        patch_size: Count,
        batch_size: Count,
        iterations: NonNegativeInt,
        eval_seed: int = 0,
        eval_crop: Count | None = None,
        eval_batch_size: Count = 1,
        workers: NonNegativeInt | None = None,
        cache_mb: NonNegative = 512,
        max_invalid_fraction: Fraction = 0.05,
        cache_dir: str | None = None,
        store_dir: str | None = None,
        crops_per_photo: Count = 1,
    ) -> None:
        LightningDataModule.__init__(self)
        EvaluationData.__init__(
            self,
            photos=photos,
            scale=scale,
            eval_seed=eval_seed,
            eval_crop=eval_crop,
            eval_batch_size=eval_batch_size,
            max_invalid_fraction=max_invalid_fraction,
            cache_dir=cache_dir,
            store_dir=store_dir,
        )
        check_multiple("data.patch_size", patch_size, scale)
        self.degradation, self.eval_degradation = degradation, eval_degradation
        self.augmentation = augmentation
        self.seed = seed
        self.patch_size, self.batch_size = patch_size, batch_size
        self.iterations = iterations
        self.workers, self.cache_mb, self.crops_per_photo = workers, cache_mb, crops_per_photo
        self.first_iteration = 0

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
        self._train_photos, counts, weights = regroup(unseen, self.sets.groups())
        self._order = PhotoOrder(
            counts, weights=weights, seed=self.seed, crops=self.crops_per_photo
        )

    def _check_disjoint(self, train: list[Photo]) -> None:
        """Raise ValueError where a photo is in two of the three sets."""
        sets = {"train": {photo.path.resolve() for photo in train}}
        sets["val"] = {photo.path.resolve() for photo in self._val_photos}
        try:
            sets["test"] = {path.resolve() for path in self.sets.split("test")}
        except (FileNotFoundError, ShardError) as error:
            level = logging.WARNING if self.sets.has("test") else logging.INFO
            log.log(level, "no test photos, which training does not need: %s", error)
        for one, other in combinations(sets, 2):
            if shared := sets[one] & sets[other]:
                msg = f"data.photos: {len(shared)} photos are in {one} and {other}: {min(shared)}"
                raise ValueError(msg)

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
        return make_loader(
            batches,
            range(self.first_iteration, self.iterations),
            workers=self.workers,
            packed=batches.reader.packed,
            processes=self.trainer.num_devices if self.trainer else 1,
        )

    def _batches(self) -> PatchBatches:
        """This process's training batches."""
        trainer = self.trainer
        return PatchBatches(
            self._reader(self._train_photos, self.cache_mb),
            self._order,
            seed=self.seed,
            patch_size=self.patch_size,
            batch_size=self.batch_size,
            scale=self.scale,
            rank=trainer.global_rank if trainer else 0,
            world_size=trainer.world_size if trainer else 1,
        )

    def val_dataloader(self) -> DataLoader[Photos]:
        """This process's part of the validation photos."""
        photos = self._val_photos
        rank = self.trainer.global_rank if self.trainer else 0
        world = self.trainer.world_size if self.trainer else 1
        if len(photos) < world:
            msg = f"{len(photos)} photos to measure on for {world} processes: expected one for each"
            raise ValueError(msg)
        # Every process gets at least one batch.
        dataset = self._grouped(photos, min(self.eval_batch_size, len(photos) // world))
        return DataLoader(dataset, sampler=range(rank, len(dataset), world), batch_size=None)

    def on_after_batch_transfer(self, batch: Photos, dataloader_idx: int) -> Batch:  # noqa: ARG002
        """On the device: uint8 photos to a training or an evaluation pair."""
        if self.trainer is not None and self.trainer.training:
            return training_pair(batch, self.augmentation, self.degradation)
        return evaluation_pair(batch, self.eval_degradation)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run must find unchanged: the photos' pixels, their order and weights."""
        listed = [(p.digest, p.lr and p.lr.digest) for p in self._train_photos]
        order = (self._order.counts, self._order.visits, self._order.crops)
        digest = hashlib.sha256(json.dumps([listed, order]).encode()).hexdigest()
        processes = self.trainer.world_size if self.trainer else None
        return {"photos": len(listed), "sha256": digest, "processes": processes}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Check that the photos are those that the checkpoint was trained on.

        Raises:
            ValueError: they changed, or the number of processes did, so that the batches would not
                be those to come.
        """
        now, then = self.state_dict(), state_dict
        if (now["photos"], now["sha256"]) != (then["photos"], then["sha256"]):
            msg = (
                f"resume: the training photos changed: {then['photos']} in the checkpoint, "
                f"{now['photos']} now, or others, or the order they are visited in (weights, "
                "data.crops_per_photo). To train on them from its generator, use init_from instead"
            )
            raise ValueError(msg)
        processes = now["processes"], then.get("processes")
        if None not in processes and len({*processes}) > 1:
            msg = (
                f"resume: {processes[1]} processes in the checkpoint, {processes[0]} now: batches "
                "are numbered through all of them. Use as many (trainer.devices), or init_from"
            )
            raise ValueError(msg)
