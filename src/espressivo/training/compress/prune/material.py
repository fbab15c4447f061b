"""Recordings and settings that all steps of a pruning use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from espressivo.training.clips.batches import Batches, make_batches
from espressivo.training.clips.feature_cache import FeatureExtractor
from espressivo.training.clips.load import load_clips, require_readable
from espressivo.training.compress.prune.cost import to_int8
from espressivo.training.corpora import read_corpora
from espressivo.training.export.card import (
    choose_temperature,
    read_run,
    trained_corpora,
)
from espressivo.training.export.compression import draw_windows
from espressivo.training.export.options import ExportOptions
from espressivo.training.export.recordings import draw, training_utterances
from espressivo.training.fit.voice_fit import VoiceProjection
from espressivo.training.runs.folder import ADAPTATION

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from espressivo.training.clips.load import LoadedClip
    from espressivo.training.compress.prune.options import PruneOptions
    from espressivo.training.config import ExperimentConfig
    from espressivo.training.corpora import Utterance
    from espressivo.training.export.options import StepProgress
    from espressivo.training.networks.network import EmotionNetwork
    from espressivo.types import Signal

_N_CHECKS = 100
_N_WINDOWS = 24  # of the int8 graphs only size and time are used


@dataclass(frozen=True)
class Material:
    """Recordings and settings that all steps use.

    Attributes:
        config: Configuration of the run, with the folders of the options.
        options: Options of the pruning.
        clips: The clips that the run was trained on.
        calibration: Those on which importance is measured.
        checks: Those on which networks are compared.
        heard: Those of the recovery: all but `checks`, unless these are all.
        left_out: Corpus that the run left out of training -> its clips.
        windows: Windows that calibrate int8 graphs.
        temperature: Divisor of the run's logits.
        projection: The run's projection to voice vectors; None if it has none.
    """

    config: ExperimentConfig
    options: PruneOptions
    clips: list[LoadedClip]
    calibration: list[LoadedClip]
    checks: list[LoadedClip]
    heard: list[LoadedClip]
    left_out: dict[str, list[LoadedClip]]
    windows: list[Signal]
    temperature: float
    projection: VoiceProjection | None

    def batches(
        self,
        network: EmotionNetwork,
        clips: Sequence[LoadedClip],
        *,
        cache: bool = True,
    ) -> Batches:
        """Return batches of clips for a network."""
        folder = self.options.cache if cache else None
        return make_batches(FeatureExtractor(network, folder), clips, self.config)

    def int8(self, network: EmotionNetwork) -> bytes:
        """Return a network's int8 graph; the network comes back to its device."""
        device = network.classify.weight.device
        graph = to_int8(network, self.config, self.projection, self.windows)
        network.to(device)
        return graph


def read_material(
    run: Path, config: ExperimentConfig, options: PruneOptions, progress: StepProgress
) -> Material:
    """Read all recordings that a run was trained on, and those that it left out.

    Raises:
        CorpusError: A training corpus is not where it was said to be, or recordings of
            it cannot be read.
        ExportError: `options.corpora` names a corpus that did not train.
    """
    trained_on = [corpus["name"] for corpus in trained_corpora(read_run(run))]
    utterances = training_utterances(run, config, trained_on, options.corpora)
    # What the run left out of training is scored, where it is at hand.
    roots = {
        name: root
        for name, root in config.corpora.items()
        if name not in trained_on and name != "manifest" and root.is_dir()
    }

    def load(part: Sequence[Utterance]) -> list[LoadedClip]:
        clips, unreadable = load_clips(
            part,
            config.signal,
            options.cache,
            lambda done, total: progress(
                "reading recordings", int(done), int(total or 0)
            ),
        )
        if not options.skip_unreadable:
            require_readable(unreadable)
        return clips

    clips = load(utterances)
    by_id = {clip.utterance.id: clip for clip in clips}
    known = [clip.utterance for clip in clips]
    drawn, rest = draw(known, options.n_calibration, options.seed)
    # Only a corpus too small for both has no others.
    checked = (rest or drawn)[:_N_CHECKS]
    windows = draw_windows(
        known, config, ExportOptions(n_calibration=_N_WINDOWS, n_checks=1)
    )
    names = {utterance.id for utterance in checked}
    heard = [clip for clip in clips if clip.utterance.id not in names]
    kept = run / ADAPTATION
    return Material(
        config=config,
        options=options,
        clips=clips,
        calibration=[by_id[utterance.id] for utterance in drawn],
        checks=[by_id[utterance.id] for utterance in checked],
        heard=heard or clips,
        left_out={
            name: load(read_corpora({name: root})) for name, root in roots.items()
        },
        windows=windows.calibration,
        temperature=choose_temperature(run, None)["temperature"],
        projection=VoiceProjection.read(kept) if kept.is_file() else None,
    )
