"""Domain adaptation and generalization, method by method.

A domain is a corpus or a speaker; the unlabelled recordings of a target are one more.
A method changes frames or embeddings before the classifier, or makes the loss of a
step, or both. `METHODS` names all of them; a new one is a class there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from espressivo.errors import TrainingError
from espressivo.training.fit.domain_statistics import (
    choose_partners,
    clip_statistics,
    covariance_distance,
    domain_statistics,
    mean_distance,
    mix_statistics,
)
from espressivo.training.networks.logmel import valid_mask
from espressivo.training.networks.network import Frames

if TYPE_CHECKING:
    from espressivo.training.config import AdaptationConfig
    from espressivo.training.networks.network import EmotionNetwork


class Step(NamedTuple):
    """What a method knows of the B clips of a step, of which the first L have labels.

    Attributes:
        losses: float [L], class loss of each labelled clip.
        target: int64 [L], their emotions.
        features: float [B, width], what is aligned: the embeddings, or the logits if
            the embeddings are not trained.
        logits: float [B, C].
        domain: int64 [B].
    """

    losses: Tensor
    target: Tensor
    features: Tensor
    logits: Tensor
    domain: Tensor


class Adaptation(nn.Module):
    """Interface of the methods; by itself, training without adaptation."""

    def __init__(
        self,
        config: AdaptationConfig,
        network: EmotionNetwork,
        n_domains: int,
        n_steps: int,
    ) -> None:
        """Prepare for training.

        Args:
            config: Settings of [adaptation].
            network: The network before training.
            n_domains: Number of domains, the target being one.
            n_steps: Number of steps of the whole training.
        """
        super().__init__()
        self.config = config
        self.n_domains = n_domains
        self.n_steps = n_steps
        # Matrices only: the few weights of averaged states cannot align embeddings.
        self.aligns_embedding = any(
            parameter.requires_grad and parameter.ndim > 1
            for name, parameter in network.named_parameters()
            if not name.startswith(("classify.", "dimensions."))
        )
        classify = network.classify
        self.n_classes = classify.out_features
        self.width = classify.in_features if self.aligns_embedding else self.n_classes

    def frames(self, frames: Frames, domain: Tensor) -> Frames:
        """Return the frames that go on into the network; `domain` is int64 [B]."""
        del domain
        return frames

    def embedding(self, embedding: Tensor, domain: Tensor) -> Tensor:
        """Return the embeddings [B, width] that go on into the classifier."""
        del domain
        return embedding

    def forward(self, step: Step) -> Tensor:
        """Return the loss of a step, a scalar."""
        return step.losses.mean()


class DomainAdversary(Adaptation):
    """DANN: a classifier of domains whose gradient is reversed.

    It learns to tell domains apart, and the network learns features by which it cannot.
    The reversed gradient grows from 0 to `weight` during training.

    Source: Ganin et al. (2016), section 5.2.2 for the schedule.
    """

    n_done: Tensor

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.guess = domain_classifier(self._width(), self.n_domains)
        # In the checkpoint, so that a run that resumes goes on with the schedule.
        self.register_buffer("n_done", torch.zeros((), dtype=torch.int64))

    def forward(self, step: Step) -> Tensor:
        """Return the class loss plus that of the domain classifier."""
        strength = self.config.weight * reversal(self.n_done / self.n_steps)
        self.n_done += 1
        guess = self.guess(reverse_gradient(self._input(step), strength))
        # Added, not subtracted: the domain classifier itself descends, and the reversal
        # turns the sign for the network alone.
        return super().forward(step) + functional.cross_entropy(guess, step.domain)

    def _width(self) -> int:
        return self.width

    def _input(self, step: Step) -> Tensor:
        return step.features


class ConditionalAdversary(DomainAdversary):
    """CDAN: as DANN, on the outer product of features and predicted probabilities.

    The probabilities get no gradient from it, as in the authors' code.

    Source: Long et al. (2018), section 3.1, multilinear conditioning.
    """

    def _width(self) -> int:
        return self.width * self.n_classes

    def _input(self, step: Step) -> Tensor:
        shares = step.logits.detach().softmax(1)
        return (shares.unsqueeze(2) * step.features.unsqueeze(1)).flatten(1)


class Coral(Adaptation):
    """Deep CORAL: distance of the covariances of features between domains.

    Source: Sun and Saenko (2016), eq. 1; here the mean over all pairs of domains.
    """

    def forward(self, step: Step) -> Tensor:
        """Return the class loss plus the weighted distance."""
        distance = covariance_distance(_by_domain(step.features, step.domain))
        return super().forward(step) + self.config.weight * distance


class ClassCoral(Adaptation):
    """Class-conditional CORAL: distance of means and covariances within each class.

    Unlabelled clips have the class that the network predicts at that step.

    Source: Sun and Saenko (2016), eq. 1, within classes; means as in the CORAL of
    DomainBed, Gulrajani and Lopez-Paz (2021).
    """

    def forward(self, step: Step) -> Tensor:
        """Return the class loss plus the weighted mean distance over the classes."""
        guessed = step.logits[len(step.target) :].argmax(1)
        label = torch.cat([step.target, guessed])
        loss = super().forward(step)
        share = self.config.weight / self.n_classes
        for k in range(self.n_classes):
            chosen = label == k
            groups = _by_domain(step.features[chosen], step.domain[chosen])
            loss = loss + share * (mean_distance(groups) + covariance_distance(groups))
        return loss


class MixStyle(Adaptation):
    """MixStyle: means and deviations are mixed with those of another domain's clip.

    A clip's statistics are those of each channel over its frames. If no encoder is
    trained, pooling would leave nothing but these; the embeddings are changed instead,
    by the statistics of the clips of each domain in the batch.

    Source: Zhou et al. (2021), section 2.2.
    """

    def __init__(
        self, config: AdaptationConfig, network: EmotionNetwork, *rest: Any
    ) -> None:
        super().__init__(config, network, *rest)
        self.on_frames = bool(network.blocks())

    def frames(self, frames: Frames, domain: Tensor) -> Frames:
        """Mix the statistics of frames over time."""
        if not self.on_frames or self._skips():
            return frames
        values, counts = frames.values.float(), frames.counts
        mask = torch.ones(values.shape[:2], device=values.device)
        if counts is not None:
            mask = valid_mask(counts, values.shape[1])
        # Without trailing axes of its own, a signal is one channel.
        mask = mask.reshape(*mask.shape, *[1] * (values.ndim - 2))
        partners = choose_partners(domain)
        mixed = mix_statistics(
            values, clip_statistics(values, mask), partners, self._shares(domain)
        )
        return Frames(mixed * mask, counts)

    def embedding(self, embedding: Tensor, domain: Tensor) -> Tensor:
        """Mix the statistics of embeddings over the clips of each domain."""
        if self.on_frames or self._skips():
            return embedding
        # A single clip has no deviation, and its domain's mean is the clip itself.
        several = (domain.bincount() > 1)[domain]
        partners = choose_partners(domain, several)
        statistics = domain_statistics(embedding, domain)
        return mix_statistics(embedding, statistics, partners, self._shares(domain))

    def _skips(self) -> bool:
        return float(torch.rand(())) >= self.config.probability

    def _shares(self, domain: Tensor) -> Tensor:
        """Return the share of each clip's own statistics, [B], 0 to 1."""
        alpha = self.config.alpha
        shares = torch.distributions.Beta(alpha, alpha).sample(domain.shape)
        return shares.to(domain.device)


class StyleTransfer(MixStyle):
    """Statistics of another domain's clip instead of a clip's own, not a mixture.

    Source: Huang and Belongie (2017), eq. 8, adaptive instance normalization.
    """

    def _shares(self, domain: Tensor) -> Tensor:
        return torch.zeros(domain.shape, device=domain.device)


class GroupDro(Adaptation):
    """Group DRO: domains with a high loss get more weight.

    Source: Sagawa et al. (2020), algorithm 1.
    """

    weights: Tensor

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.register_buffer("weights", torch.full((self.n_domains,), 1.0))
        self.weights /= self.n_domains

    def forward(self, step: Step) -> Tensor:
        """Return the weighted sum of the mean losses of the domains."""
        domain = step.domain[: len(step.losses)]
        member = functional.one_hot(domain, self.n_domains).float()  # [L, domains]
        losses = step.losses @ member / member.sum(0).clamp(min=1)
        weights = self.weights * (self.config.step * losses.detach()).exp()
        weights = weights / weights.sum()
        self.weights.copy_(weights)
        return weights @ losses


METHODS: dict[str, type[Adaptation]] = {
    "none": Adaptation,
    "dann": DomainAdversary,
    "cdan": ConditionalAdversary,
    "coral": Coral,
    "class-coral": ClassCoral,
    "mixstyle": MixStyle,
    "style": StyleTransfer,
    "group-dro": GroupDro,
}


def make_adaptation(
    config: AdaptationConfig, network: EmotionNetwork, n_domains: int, n_steps: int
) -> Adaptation:
    """Return the configured method; see `Adaptation`.

    Raises:
        TrainingError: There are too few domains for it.
    """
    if config.method != "none" and n_domains < 2:
        raise TrainingError(
            f"adaptation.method '{config.method}' needs two domains or more, and the "
            f"recordings are of one {config.domain}; train on several, or set "
            "adaptation.domain to 'speaker', or name an adaptation.target"
        )
    return METHODS[config.method](config, network, n_domains, n_steps)


def domain_classifier(width: int, n_domains: int) -> nn.Sequential:
    """Return the classifier of an adversary, features [B, width] -> [B, n_domains]."""
    return nn.Sequential(nn.Linear(width, 128), nn.ReLU(), nn.Linear(128, n_domains))


def reversal(progress: Tensor) -> Tensor:
    """Return the strength of the reversed gradient at a progress from 0 to 1.

    >>> [round(float(reversal(torch.tensor(p))), 3) for p in (0.0, 0.1, 0.5, 1.0)]
    [0.0, 0.462, 0.987, 1.0]
    """
    strength: Tensor = 2 / (1 + (-10 * progress).exp()) - 1
    return strength


def reverse_gradient(x: Tensor, strength: float | Tensor = 1.0) -> Tensor:
    """Return `x`; its gradient is reversed, and multiplied by `strength`."""
    reversed_: Tensor = _Reverse.apply(x, strength)  # type: ignore[no-untyped-call]
    return reversed_


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor, strength: float | Tensor) -> Tensor:
        context.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -context.strength * gradients[0], None


def _by_domain(features: Tensor, domain: Tensor) -> list[Tensor]:
    return [features[domain == one] for one in torch.unique(domain)]
