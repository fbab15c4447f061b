"""Distillation: a small network learns what trained networks give.

For every clip, its copies in conditions and its variants, the student learns the
directions of the teachers' embeddings that matter (`teachers.Targets`) and their
probabilities, and the label where there is one. Then its last layer is fitted anew, as
`train` does it. The result is a run folder as `train` writes it.

Source: Hinton et al. (2015), for probabilities at a temperature; Romero et al. (2015),
FitNets, for embeddings through a linear layer that is thrown away.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from espressivo.errors import TrainingError
from espressivo.training.clips.batches import Batches, make_batches
from espressivo.training.clips.feature_cache import FeatureExtractor
from espressivo.training.clips.parts import parts_of
from espressivo.training.clips.sampling import EpochSampler, SampledClip
from espressivo.training.compress.checks import require_distillable
from espressivo.training.compress.noise_clips import noise_clips
from espressivo.training.compress.teachers import Outputs, Targets, load_teachers
from espressivo.training.fit.closed_form import fit_voices_on_clips
from espressivo.training.fit.loop import TrainedObjective, train_epochs
from espressivo.training.networks import build_network, load_pretrained
from espressivo.training.networks.network import count_parameters
from espressivo.training.runs.folder import (
    finish_run,
    open_run,
    pick_device,
    write_metrics,
    write_voice_projection,
)
from espressivo.training.runs.train import (
    EpochReport,
    fit_classifier,
    pick_precision,
    validate,
)
from espressivo.training.scores.temperature import write_temperature

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from espressivo.training.clips.load import LoadedClip
    from espressivo.training.compress.teachers import Teacher
    from espressivo.training.config import DistillationConfig, ExperimentConfig
    from espressivo.training.networks.network import EmotionNetwork, Frames


class DistilBatch(NamedTuple):
    """The input of one step.

    Attributes:
        frames: Features of the B clips.
        target: int64 [B], index of the emotion; -1 without one.
        directions: float32 [B, n], of the teachers' embeddings.
        logits: float32 [B, 4], the teachers' mean.
    """

    frames: Frames
    target: Tensor
    directions: Tensor
    logits: Tensor


class DistilObjective(TrainedObjective[DistilBatch]):
    """A student with its loss, and the linear layer from its embedding to the targets.

    The last layer of the student is trained with it: it is kept where no labels fit a
    better one.
    """

    def __init__(
        self, network: EmotionNetwork, config: DistillationConfig, n_targets: int
    ) -> None:
        super().__init__()
        self.network = network
        self.config = config
        self.directions = nn.Linear(network.classify.in_features, n_targets)

    def forward(
        self, batch: DistilBatch, precision: torch.dtype = torch.float32
    ) -> Tensor:
        """Return the loss of a batch, a scalar; matrix products have `precision`."""
        network, config = self.network, self.config
        kind, enabled = batch.target.device.type, precision != torch.float32
        with torch.autocast(kind, precision if enabled else None, enabled=enabled):
            embedding = network.embedding(batch.frames)
        dropped = network.dropout(embedding.float())
        logits = network.classify(dropped)
        loss = config.embedding * functional.mse_loss(
            self.directions(dropped), batch.directions
        )
        loss = loss + config.logits * _divergence(
            logits, batch.logits, config.temperature
        )
        known = batch.target >= 0
        if config.labels and known.any():
            loss = loss + config.labels * functional.cross_entropy(
                logits[known], batch.target[known]
            )
        return loss


def distil(
    config: ExperimentConfig,
    clips: Sequence[LoadedClip],
    folder: Path,
    *,
    teachers: Sequence[Path],
    unlabelled: Sequence[LoadedClip] = (),
    validation: Sequence[LoadedClip] = (),
    cache: Path | None = None,
    on_epoch: Callable[[EpochReport], None] | None = None,
    on_teacher: Callable[[int, int], None] | None = None,
) -> EmotionNetwork:
    """Train a student into `folder`; continue where a stopped run left off.

    Args:
        config: The student: its network, the epochs, the copies in conditions.
        clips: Clips with labels; may be empty if there are unlabelled ones.
        folder: The run folder. It is created; another run in it is refused.
        teachers: Run folders of the teachers.
        unlabelled: Clips without labels, which teach what the teachers give for them.
        validation: Clips of corpora that are left out, scored after every epoch;
            nothing is selected by them.
        cache: Folder of features and of the teachers' outputs.
        on_epoch: Callback after every epoch, and first for the epochs of a stopped run.
        on_teacher: Callback with the number of clips that the teachers have heard, and
            of all.

    Raises:
        ConfigError: The recipe would teach nothing, see `require_distillable`.
        TrainingError: There is no clip or teacher, a teacher knows a corpus of the
            validation clips, the student is larger than the largest teacher, or the
            folder holds another run.
    """
    if not clips and not unlabelled:
        raise TrainingError("there is nothing to distil from; name corpora or a folder")
    require_distillable(config, clips)
    left_out = {clip.utterance.corpus for clip in validation}
    taught_by = load_teachers(teachers, left_out, cache)
    described = [one for teacher in taught_by for one in teacher.lineage]
    # What is refused leaves no folder behind, which would refuse the mended recipe.
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)  # of the initial weights
    network = build_network(config.network)
    _require_smaller(network, taught_by)
    load_pretrained(network, config.network)
    parts = parts_of(clips, config), parts_of(unlabelled, config)
    noise = noise_clips(config) if config.classifier.background else []
    open_run(folder, config, clips, unlabelled, described)
    clips = [*clips, *parts[0]]
    unlabelled = [*unlabelled, *parts[1], *noise]
    extractor = FeatureExtractor(network.to(pick_device(config)), cache)
    batches = make_batches(extractor, [*clips, *unlabelled], config)
    # Of unlabelled clips an emotion may be written down somewhere, but none is read.
    labels = np.where(np.arange(len(batches.labels)) < len(clips), batches.labels, -1)
    held_out = make_batches(extractor, validation, config) if validation else None
    lessons = _Lessons(batches, labels, config, taught_by, on_teacher)
    reports: list[EpochReport] = []
    for reports in _train(lessons, held_out, folder):
        write_metrics(map(asdict, reports), folder)
        for report in reports[-1:] if on_epoch else ():
            assert on_epoch is not None  # or there is nothing to go through
            on_epoch(report)
    if clips and config.classifier.fit != "gradient":
        labelled = make_batches(extractor, clips, config)
        report = fit_classifier(labelled, held_out, config, folder)
        write_metrics(map(asdict, [*reports, report]), folder)
        if on_epoch is not None:
            on_epoch(report)
        if config.profile.fit:
            write_voice_projection(
                fit_voices_on_clips(labelled, config.profile), folder
            )
    else:
        # The student was taught the teachers' logits, which a temperature divides.
        write_temperature(folder, {"temperature": 1.0, "fitted": "by no labels"})
    finish_run(folder, network)
    return network.eval()


class _Lessons:
    """All that a student is taught: clips, copies and variants, with their targets."""

    def __init__(
        self,
        batches: Batches,
        labels: np.ndarray[tuple[int], np.dtype[np.int64]],
        config: ExperimentConfig,
        teachers: Sequence[Teacher],
        on_teacher: Callable[[int, int], None] | None,
    ) -> None:
        self.batches, self.labels, self.config = batches, labels, config
        self.device = batches.extractor.device
        every = [SampledClip(i) for i in range(len(labels))]
        names = config.augmentation.copies
        parts = [(batches, every)]
        parts += [(batches.in_condition(name), every) for name in names]
        clips = batches.clips
        for variant in range(config.augmentation.variants if clips.random else 0):
            seeds = [
                clips.seed_of(config.seed, i, variant, 0) for i in range(len(every))
            ]
            drawn = [SampledClip(i, seed) for i, seed in enumerate(seeds)]
            parts.append((batches, drawn))
        n_all, n_done = len(parts) * len(teachers) * len(every), 0

        def on_chunk(n: int) -> None:
            nonlocal n_done
            n_done += n
            if on_teacher is not None:
                on_teacher(n_done, n_all)

        outputs = [
            [teacher.outputs(part.clips, drawn, on_chunk) for teacher in teachers]
            for part, drawn in parts
        ]
        # Of clips and copies, as the last layer is fitted.
        n_fit = 1 + len(names)
        joined = [
            Outputs(*(np.concatenate(rows) for rows in zip(*of, strict=True)))
            for of in zip(*outputs[:n_fit], strict=True)
        ]
        corpora = [clip.utterance.corpus for clip in clips.clips] * n_fit
        targets = Targets.fit(
            joined, np.tile(labels, n_fit), corpora, config.distillation.n_targets
        )
        self.n_targets = targets.width
        self.parts = [
            (part, drawn, targets.of(found))
            for (part, drawn), found in zip(parts, outputs, strict=True)
        ]

    @property
    def n_steps(self) -> int:
        """Number of steps in an epoch."""
        size = self.config.training.batch_size
        return len(self.parts) * -(-len(self.labels) // size)

    def epoch(self, epoch: int) -> Iterator[DistilBatch]:
        """Yield the batches of an epoch, from 0: every part once, in mixed order."""
        rng = np.random.default_rng([self.config.seed, epoch])
        sampler = EpochSampler(self.batches.clips, self.config)
        steps = [
            (number, [one.index for one in step])
            for number in range(len(self.parts))
            for step in sampler.epoch(epoch * len(self.parts) + number)
        ]
        for at in rng.permutation(len(steps)).tolist():
            number, rows = steps[at]
            batches, drawn, outputs = self.parts[number]
            (batch,) = batches.load([[drawn[row] for row in rows]])
            yield DistilBatch(
                batch.frames,
                *(
                    torch.from_numpy(part[rows]).to(self.device)
                    for part in (self.labels, *outputs)
                ),
            )


def _train(
    lessons: _Lessons, held_out: Batches | None, folder: Path
) -> Iterator[list[EpochReport]]:
    config = lessons.config
    network = lessons.batches.extractor.network
    objective = DistilObjective(network, config.distillation, lessons.n_targets)
    epochs = train_epochs(
        objective.to(lessons.device),
        config.training,
        lessons.epoch,
        lessons.n_steps,
        validate=None if held_out is None else lambda: validate(held_out, config.task),
        seed=config.seed,
        precision=pick_precision(config),
        checkpoint=folder / "training.checkpoint",
    )
    for found in epochs:
        yield [
            EpochReport("distillation", e.epoch, config.training.epochs, *e[1:])
            for e in found
        ]


def _divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Return the divergence of softened probabilities, in the scale of the gradients.

    Source: Hinton et al. (2015), section 2.
    """
    return temperature**2 * functional.kl_div(
        (student / temperature).log_softmax(-1),
        (teacher / temperature).log_softmax(-1),
        reduction="batchmean",
        log_target=True,
    )


def _require_smaller(network: EmotionNetwork, teachers: Sequence[Teacher]) -> None:
    n_own = count_parameters(network)[0]
    largest = max(teachers, key=lambda teacher: teacher.n_parameters)
    if n_own >= largest.n_parameters:
        raise TrainingError(
            f"the student has {n_own:,} parameters, and its teacher {largest.run} "
            f"{largest.n_parameters:,}; choose a smaller network"
        )
