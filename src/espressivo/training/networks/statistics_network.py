"""Classical baseline: a linear classifier of log-mel spectrogram statistics."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from espressivo.training.networks.config import (
    NetworkConfig,
    require_choice,
    require_plain,
)
from espressivo.training.networks.logmel import N_MELS, LogMel, n_frames, valid_mask
from espressivo.training.networks.network import EmotionNetwork, Frames

N_STATISTICS = 5


class StatisticsNetwork(EmotionNetwork):
    """Linear classifier of five standardized statistics of each mel band.

    The statistics are mean, standard deviation, minimum, maximum, and mean absolute
    change from frame to frame: 400 numbers per clip. Only the classifier is trained,
    and padding is masked.
    """

    def __init__(self, config: NetworkConfig) -> None:
        require_plain(config)
        require_choice(config, "padding", ("valid",))
        super().__init__(config, N_STATISTICS * N_MELS)
        self.logmel = LogMel()

    def front(self, samples: Tensor, lengths: Tensor | None = None) -> Frames:
        """Return mel frames [B, T, 80], 100 per second."""
        # Mel energies would lose range in float16, and digits in bfloat16.
        with torch.autocast(samples.device.type, enabled=False):
            mel = self.logmel(samples.float(), lengths).transpose(1, 2)
        return Frames(mel, None if lengths is None else n_frames(lengths))

    def pooled(self, frames: Frames) -> Tensor:
        """Return the statistics [B, 400]; clips need at least two frames."""
        values = frames.values.float()
        counts = frames.counts
        if counts is None:
            counts = torch.full((len(values),), values.shape[1], device=values.device)
        mask = valid_mask(counts, values.shape[1]).unsqueeze(-1)  # [B, T, 1]
        n = counts[:, None].float()
        mean = (values * mask).sum(1) / n
        # Nothing below is trained, so the root of a spread of 0 needs no floor.
        spread = ((values - mean[:, None]) ** 2 * mask).sum(1) / n
        least = values.masked_fill(mask == 0, torch.inf).amin(1)
        greatest = values.masked_fill(mask == 0, -torch.inf).amax(1)
        # The mask of the later frame: a step into the padding is no change.
        change = (values.diff(dim=1).abs() * mask[:, 1:]).sum(1) / (n - 1)
        return torch.cat([mean, spread.sqrt(), least, greatest, change], 1)

    def front_state(self) -> Mapping[str, Tensor]:
        """Return no weights: the spectrogram has none."""
        return {}

    def blocks(self) -> list[list[nn.Parameter]]:
        """Return no blocks: there is no encoder."""
        return []

    @torch.no_grad()
    def fit(self, batches: Iterable[Frames]) -> None:
        """Set the standardization from statistics of the training recordings."""
        self.standardize.fit_all(self.pooled(frames) for frames in batches)


def layers(network: StatisticsNetwork) -> dict[str, nn.Module]:
    """Return the modules that the parity check compares with values of the graph."""
    return {"mel": network.logmel}
