"""The datamodule: loads uint8 patches, and on the device makes (lr, hr) of them."""

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
from srlit.data.evaluation import EvaluationData, check_counts, check_sizes
from srlit.data.image_folder import PhotoSets
from srlit.data.loader import BatchLoader, make_loader
from srlit.data.sampler import PhotoOrder
from srlit.data.shards.layout import ShardError
from srlit.data.splits import regroup, without
from srlit.data.transforms import evaluation_pair, training_pair
from srlit.degradation.pipeline import Degradation
from srlit.types import Batch, Photos

log = logging.getLogger(__name__)


class PhotoDataModule(EvaluationData, LightningDataModule):
    """Photos to batches for training, validation and test.

    Args:
        photos: where the three sets come from.
        degradation: what training pairs go through.
        eval_degradation: what validation and test pairs go through.
        augmentation: what happens to training patches before.
        seed: of crops, order, augmentation and training degradation.
        eval_seed: of the evaluation's degradation; runs compare only with the same one.
        scale: factor between LR and HR.
        patch_size: side of a training patch in HR pixels, a multiple of the scale.
        batch_size: patches a batch and process.
        iterations: how many batches a training takes.
        eval_crop: side of the centre crop to evaluate on, in HR pixels; None takes whole photos.
        eval_batch_size: most equally large photos in an evaluation batch.
        workers: worker processes; None chooses by the cores, and none where all is packed.
        cache_mb: decoded pixels that each worker keeps in memory, in MiB.
        max_invalid_fraction: share of unusable photos from which on a set is refused.
        cache_dir: folder that remembers audits; None checks every photo at each start.
        store_dir: folder of the packed store; photos that it lacks are decoded. None: no store.
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
        scale: int,
        patch_size: int,
        batch_size: int,
        iterations: int,
        eval_seed: int = 0,
        eval_crop: int | None = None,
        eval_batch_size: int = 1,
        workers: int | None = None,
        cache_mb: float = 512,
        max_invalid_fraction: float = 0.05,
        cache_dir: str | None = None,
        store_dir: str | None = None,
        crops_per_photo: int = 1,
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
        counts = {"patch_size": patch_size, "batch_size": batch_size}
        check_counts(counts | {"crops_per_photo": crops_per_photo})
        check_sizes({"patch_size": patch_size}, scale)
        self.degradation, self.eval_degradation = degradation, eval_degradation
        self.augmentation = augmentation
        self.seed = seed
        self.patch_size, self.batch_size = patch_size, batch_size
        self.iterations = iterations
        self.workers, self.cache_mb, self.crops_per_photo = workers, cache_mb, crops_per_photo
        self.first_iteration = 0

    def check(self, min_size: int = 1) -> None:
        """Audit training and validation photos now, and see that no photo is in two sets.

        Args:
            min_size: shortest side that the validation's metrics can measure, in pixels.

        Raises:
            FileNotFoundError: a folder is missing or empty.
            BadDataError: too many photos cannot be used.
            ValueError: a photo is in two sets.
        """
        train = self._audited("train", self.patch_size)
        self._val_photos = self._judged("val", min_size)
        self._check_disjoint(train)
        self._train_photos, counts, shares = regroup(
            without(train, self._val_photos, "validation"), self.sets.groups()
        )
        self._order = PhotoOrder(counts, shares=shares, seed=self.seed, crops=self.crops_per_photo)

    def _check_disjoint(self, train: list[Photo]) -> None:
        """Raise ValueError where a photo is in two of the three sets."""
        sets = {"train": {photo.path.resolve() for photo in train}}
        sets["val"] = {photo.path.resolve() for photo in self._val_photos}
        try:
            sets["test"] = {path.resolve() for path in self.sets.test()}
        except (FileNotFoundError, ShardError) as error:
            level = logging.WARNING if self.sets.has("test") else logging.INFO
            log.log(level, "no test photos at hand, which training does not need: %s", error)
        for one, other in combinations(sets, 2):
            if shared := sets[one] & sets[other]:
                msg = f"data.photos: {len(shared)} photos are in {one} and {other}: {min(shared)}"
                raise ValueError(msg)

    def setup(self, stage: str) -> None:
        """Audit what has not been audited."""
        if stage == "fit" and not hasattr(self, "_train_photos"):
            self.check()

    def photos_of(self, iteration: int) -> list[Path]:
        """The photos of an iteration's batch on this process, in the batch's order."""
        return [self._train_photos[i].path for i in self._batches().photos_of(iteration)]

    def train_dataloader(self) -> "BatchLoader | DataLoader[Photos]":
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
        """This process's share of the validation photos."""
        photos = self._val_photos
        rank = self.trainer.global_rank if self.trainer else 0
        world = self.trainer.world_size if self.trainer else 1
        if len(photos) < world:
            msg = f"{len(photos)} photos to measure on for {world} processes: expected one for each"
            raise ValueError(msg)
        at_most = len(photos) // world  # a batch for each process
        dataset = self._grouped(photos, min(self.eval_batch_size, at_most))
        return DataLoader(dataset, sampler=range(rank, len(dataset), world), batch_size=None)

    def on_after_batch_transfer(self, batch: Photos, dataloader_idx: int) -> Batch:  # noqa: ARG002
        """On the device: uint8 photos to a training or an evaluation pair."""
        if self.trainer is not None and self.trainer.training:
            return training_pair(batch, self.augmentation, self.degradation)
        return evaluation_pair(batch, self.eval_degradation)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run must find unchanged: the photos' pixels, their order and shares."""
        listed = [(p.digest, p.lr and p.lr.digest) for p in self._train_photos]
        order = (self._order.counts, self._order.visits, self._order.crops)
        digest = hashlib.sha256(json.dumps([listed, order]).encode()).hexdigest()
        processes = self.trainer.world_size if self.trainer else None
        return {"photos": len(listed), "sha256": digest, "processes": processes}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """See that the photos are those that the checkpoint was trained on.

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
