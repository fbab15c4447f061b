"""Adaptation: where the emotions of a voice lie, inferred from unlabelled windows.

In a space in which windows of one speaker and one emotion have unit covariance, a
window is ``z = theta[k] + e``, where k is its emotion, ``e ~ N(0, 1)``, and the means
``theta`` are those of the speaker in this setting (room, microphone, language)::

    theta[k] = means[k] + offset + interaction[k]

The offset moves all emotions alike; the interaction moves one of them. Both are sums of
a part of the setting and a part of the speaker, with zero mean and the covariances that
the training corpora and their speakers have. Given a history of windows, the posterior
of ``theta`` is found by variational Bayes, the emotions of the windows being unknown::

    responsibility[n, k] ~ share[k] N(z[n]; E theta[k], 1 + Cov theta[k])
    Cov theta = (prior precision + sum_n responsibility[n, k])^-1, block by block

A history of nothing but anger must not be taken for one of four emotions. So the
posterior is computed for each of the possible sets of emotions, and averaged by their
evidence (the variational bound). The adapted probabilities are then ``N(z; E theta[k],
1 + Cov theta[k])``, normalized, and combined with those of the plain model::

    log p = (1 - w) log plain + w log posterior,   w = n / (n + patience)

Without a history w is 0, and the plain probabilities are returned as they are.

Source: Kenny et al. (2007), Joint factor analysis versus eigenchannels, for speaker and
setting ("channel") as Gaussian offsets; Gauvain and Lee (1994) for adapted means;
Bishop (2006), chapter 10.2, for the bound. Measured in `research/adaptation`.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from espressivo.model.window_statistics import WindowStatistics

    _Float = NDArray[np.float64]

LEAST = 1e-9
"""Smallest probability whose logarithm is taken."""

_ITERATIONS = 12

_LARGEST = {
    "distance_limit": 1e6,
    "spread_limit": 1e6,
    "suspicion": 1.0,
    "discount": 1.0,
    "most": 1e6,
    "patience": 1e6,
    "concentration": 1e6,
    "odds": 1e12,
}
"""Numbers of a card and their largest values: beyond, arithmetic would overflow."""

_LARGEST_ELEMENT = 1e6  # of means and covariances, in deviations of a window
_MOST_DIMS, _MOST_AXES = 64, 512  # their squares are what a history takes in memory


@dataclass(frozen=True, slots=True, eq=False)
class AdaptationCard:
    """Entry `adaptation` of `model.json`: what the training corpora say of voices.

    Attributes:
        means: Means of the emotions, float64 [C, D].
        speaker: Covariance of the speakers' offsets and of their interactions, float64
            [2, D, D].
        setting: The same of settings.
        n_axes: Number of dimensions in which speakers differ.
        distance_limit: Distance from a profile above which a recording is probably of
            another speaker; 1 is the mean distance of recordings of the same speaker.
        spread_limit: Spread of a history above which it is probably of several
            speakers.
        suspicion: Share of recordings and of histories of one speaker that exceed these
            limits, 0 to 1.
        discount: Weight of a window, less than 1 since windows of one recording are
            alike.
        most: Largest total weight of a history.
        patience: Total weight at which the posterior counts for half.
        concentration: Windows of each emotion that the prior of the shares is worth.
        odds: Prior odds of all emotions occurring in a history, against 1 for each
            smaller number of emotions.
    """

    means: _Float
    speaker: _Float
    setting: _Float
    n_axes: int
    distance_limit: float
    spread_limit: float
    suspicion: float = 0.02
    discount: float = 0.5
    most: float = 10.0
    patience: float = 10.0
    concentration: float = 5.0
    odds: float = 100.0

    @property
    def n_dims(self) -> int:
        """Number of dimensions D in which emotions differ."""
        return int(self.means.shape[1])

    @property
    def n_columns(self) -> int:
        """Length of a voice vector: dimensions, no-speech probability, axes."""
        return self.n_dims + 1 + self.n_axes

    @property
    def prior_deviation(self) -> float:
        """Deviation of an unknown voice's offset, root mean square over dimensions."""
        return math.sqrt(self.variance(self.speaker) + self.variance(self.setting))

    def variance(self, pair: _Float) -> float:
        """Return the variance of the offsets of speakers or settings, mean over dims.

        Args:
            pair: `speaker` or `setting` of this card.
        """
        offset, interaction = pair
        return float(np.trace(offset + interaction / len(self.means)) / self.n_dims)

    @staticmethod
    def from_dict(entry: dict[str, Any]) -> AdaptationCard:
        """Return the card in an entry of `model.json`.

        Raises:
            KeyError: The entry lacks a field.
            ValueError: A field has another type or shape, or is no covariance.
        """
        names = ("means", "speaker", "setting")
        values: dict[str, Any] = {n: np.array(entry[n], np.float64) for n in names}
        values |= {name: float(entry[name]) for name in _LARGEST}
        if (n_axes := int(entry["n_axes"])) != entry["n_axes"]:
            raise ValueError(f"adaptation: n_axes is {entry['n_axes']!r}")
        card = AdaptationCard(n_axes=n_axes, **values)
        card._require_valid()
        return card

    def to_dict(self) -> dict[str, Any]:
        """Return the entry, JSON-ready."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in values.items()
        }

    def _require_valid(self) -> None:
        if (
            self.means.ndim != 2
            or not 1 <= self.n_dims <= _MOST_DIMS
            or not 1 <= self.n_axes <= _MOST_AXES
        ):
            raise ValueError("adaptation: means or n_axes have another shape")
        for name in ("speaker", "setting"):
            pair = getattr(self, name)
            if pair.shape != (2, self.n_dims, self.n_dims):
                raise ValueError(f"adaptation: {name} has another shape than means")
            if (
                not np.abs(pair).max() <= _LARGEST_ELEMENT  # nor is NaN
                or not np.allclose(pair, pair.transpose(0, 2, 1))
                or np.linalg.eigvalsh(pair).min() <= 0
            ):
                raise ValueError(f"adaptation: {name} holds no covariances")
        if not np.abs(self.means).max() <= _LARGEST_ELEMENT:
            raise ValueError("adaptation: means are no numbers, or too large")
        for name, most in _LARGEST.items():
            if not 0 < (value := getattr(self, name)) <= most:
                raise ValueError(
                    f"adaptation: {name} is {value:g}; wanted more than 0 and at most "
                    f"{most:g}"
                )


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """What a history says of the means of the emotions.

    Attributes:
        shares: Posterior probability of each set of emotions, float64 [S].
        means: Expected means given each set, float64 [S, C, D].
        covariances: Their covariance, float64 [S, C D, C D].
        weight: Total weight of the history.
        origin: Means of the emotions over all voices, float64 [C, D].
    """

    shares: _Float
    means: _Float
    covariances: _Float
    weight: float
    origin: _Float

    @property
    def offset(self) -> _Float:
        """Expected offset of the voice, float64 [D]; 1 is a window's deviation."""
        moved = np.tensordot(self.shares, self.means, 1) - self.origin
        offset: _Float = moved.mean(0)
        return offset

    @property
    def deviation(self) -> float:
        """Standard deviation of the offset, root mean square over the dimensions."""
        return math.sqrt(_offset_variance(*self.collapsed()))

    def collapsed(self) -> tuple[_Float, _Float]:
        """Return mean [C, D] and covariance [C D, C D] over all sets of emotions."""
        flat = self.means.reshape(len(self.shares), -1)
        mean = self.shares @ flat
        apart = flat - mean
        covariance = np.tensordot(self.shares, self.covariances, 1)
        covariance = covariance + (self.shares[:, None] * apart).T @ apart
        return mean.reshape(self.means.shape[1:]), covariance


def infer(
    card: AdaptationCard,
    speaker: WindowStatistics | None,
    setting: WindowStatistics | None = None,
) -> Posterior | None:
    """Return the posterior given a speaker's windows and a setting's; None: no history.

    Args:
        card: Card of the model.
        speaker: Windows of the speaker, whose profile it is.
        setting: Windows of many speakers in the same setting, each recording of weight
            1 (`WindowStatistics.as_one`).
    """
    (offset, own), (room, tint) = card.speaker, card.setting
    origin = card.means
    heard = [s for s in (speaker, setting) if s is not None and s.weight > 0]
    if not heard:
        return None
    weight, mean, covariance = 0.0, origin, _prior(card, room, tint)
    if setting is not None and setting.weight > 0:
        weight, mean, covariance = _in_setting(card, setting)
    covariance = covariance + _prior(card, offset, own)
    if speaker is not None and speaker.weight > 0:
        found = _posterior(card, speaker, mean, covariance)
        return Posterior(
            found.shares,
            found.means,
            found.covariances,
            weight + found.weight,
            origin,
        )
    return Posterior(np.ones(1), mean[None], covariance[None], weight, origin)


def adapt(
    card: AdaptationCard,
    posterior: Posterior | None,
    probabilities: NDArray[np.float32],
    voices: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Return adapted probabilities [B, C].

    Args:
        card: Card of the model.
        posterior: What is known of the voice; None: `probabilities` are returned.
        probabilities: float32 [B, C], of the plain model.
        voices: Voice vectors, float32 [B, D + 1 + axes].
    """
    if posterior is None:
        return probabilities
    places = np.asarray(voices[:, : card.n_dims], np.float64)
    noise = np.asarray(voices[:, card.n_dims, None], np.float64)
    n_emotions = len(card.means)
    spreads = np.eye(card.n_dims) + _blocks(posterior.covariances, n_emotions)
    densities = _log_density(places.T - posterior.means[..., None], spreads)
    given = np.tensordot(posterior.shares, _softmax(densities, 1), 1).T  # [B, C]
    # Sound that is no speech has no emotion, whoever speaks.
    given = (1 - noise) * given + noise / n_emotions
    share = posterior.weight / (posterior.weight + card.patience)
    plain = np.log(np.maximum(np.asarray(probabilities, np.float64), LEAST))
    logits = (1 - share) * plain + share * np.log(np.maximum(given, LEAST))
    return _softmax(logits).astype(np.float32)


def distance(recording: WindowStatistics, profile: WindowStatistics) -> float:
    """Return how far a recording's voice is from a profile's; neither may be empty.

    The unit is the mean distance of recordings of the same speaker.
    """
    n = profile.n_windows
    # The mean of n windows varies too, by 1 / n of the variance of one window.
    return float(((recording.mean - profile.mean) ** 2).mean() * n / (n + 1))


def spread(profile: WindowStatistics) -> float:
    """Return the largest variance of a history along any direction between speakers.

    One speaker's windows have variance 1 in the mean; those of two lie further apart.
    """
    covariance = profile.scatter / max(1, profile.n_windows - 1)
    return float(np.linalg.eigvalsh(covariance)[-1])


@lru_cache(maxsize=64)  # many speakers share a setting; both arguments are immutable
def _in_setting(
    card: AdaptationCard, setting: WindowStatistics
) -> tuple[float, _Float, _Float]:
    """Return the weight of a setting's history, and mean and covariance given it."""
    (offset, own), (room, tint) = card.speaker, card.setting
    # Here speakers differ too, and each recording is one of them.
    prior = _prior(card, room, tint)
    found = _posterior(card, setting, card.means, prior, offset + own)
    return found.weight, *found.collapsed()


def _prior(card: AdaptationCard, offset: _Float, interaction: _Float) -> _Float:
    """Return the covariance [C D, C D] of means that move together, and apart."""
    n = len(card.means)
    return np.kron(np.ones((n, n)), offset) + np.kron(np.eye(n), interaction)


def _offset_variance(mean: _Float, covariance: _Float) -> float:
    n, d = mean.shape
    average = np.kron(np.ones((1, n)) / n, np.eye(d))
    return float(np.trace(average @ covariance @ average.T) / d)


def _posterior(
    card: AdaptationCard,
    history: WindowStatistics,
    mean: _Float,
    covariance: _Float,
    speakers: _Float | float = 0.0,
) -> Posterior:
    """Return the posterior for a Gaussian prior of the means.

    Args:
        card: Card of the model.
        history: Windows, not empty.
        mean: Prior mean [C, D].
        covariance: Prior covariance [C D, C D].
        speakers: Covariance [D, D] of what windows have beside their own scatter.
    """
    used = history.weights > 0
    rows = history.sums[used] / history.weights[used, None]
    # A damaged model places windows anywhere; covariances of 1e18 have no inverse.
    rows = rows.clip(-_LARGEST_ELEMENT, _LARGEST_ELEMENT)
    weights = card.discount * history.weights[used]
    weights = weights * min(1.0, card.most / weights.sum())
    found = _Search(
        concentration=card.concentration,
        rows=np.ascontiguousarray(rows.T),
        weights=weights,
        mean=mean,
        covariance=covariance,
        noise=np.eye(card.n_dims) + speakers,
    )
    sets, n = _sets(len(mean)), len(mean)
    # In sets of one emotion, whose it is each window is known from the beginning.
    one, several = found.means(sets[:n], 1), found.means(sets[n:], _ITERATIONS)
    means, covariances, heard = map(np.concatenate, zip(one, several, strict=True))
    evidence = found.bound(sets, means, covariances, heard)
    shares = _softmax(evidence + np.log(_set_odds(sets, card.odds)))
    return Posterior(shares, means, covariances, float(weights.sum()), card.means)


@dataclass(frozen=True, slots=True, eq=False)
class _Search:
    """Search for the posterior given a set of emotions, for many sets at once.

    The first axis, S, of its arrays is that of the sets.

    Attributes:
        concentration: Windows that the prior of the shares is worth, for each emotion.
        rows: Means of cells, float64 [D, cells].
        weights: Weights of the cells, float64 [cells].
        mean: Prior mean of the emotions' means, float64 [C, D].
        covariance: Prior covariance of the same, float64 [C D, C D].
        noise: Covariance of windows around their mean, float64 [D, D].
    """

    concentration: float
    rows: _Float
    weights: _Float
    mean: _Float
    covariance: _Float
    noise: _Float

    def means(
        self, sets: NDArray[np.bool_], n_iterations: int
    ) -> tuple[_Float, _Float, _Float]:
        """Return expected means [S, C, D], their covariance, and windows [S, C] each.

        Args:
            sets: Sets of emotions, [S, C].
            n_iterations: Number of iterations.
        """
        (n, d), rows = self.mean.shape, self.rows
        precision, prior = np.linalg.inv(self.noise), np.linalg.inv(self.covariance)
        size, counts = sets.sum(1), np.where(sets, self.concentration, 0.0)
        total = self.concentration * size + self.weights.sum()
        with np.errstate(divide="ignore"):
            log_share = np.log(sets / size[:, None])
        means = np.repeat(self.mean[None], len(sets), 0)
        covariances: Any = np.repeat(self.covariance[None], len(sets), 0)
        heard = np.zeros(sets.shape)
        for _ in range(n_iterations):
            spreads = self.noise + _blocks(covariances, n)
            densities = _log_density(rows - means[..., None], spreads)  # [S, C, cells]
            found = self.weights * _softmax(densities + log_share[..., None], 1)
            heard = found.sum(2)
            gained = (found @ rows.T - heard[..., None] * self.mean) @ precision
            inverse = prior + _block_diagonal(heard[..., None, None] * precision)
            covariances = np.linalg.inv(inverse)
            moved = covariances @ gained.reshape(len(sets), n * d, 1)
            means = self.mean + moved.reshape(means.shape)
            share = (counts + heard) / total[:, None]
            log_share = np.where(sets, np.log(np.maximum(share, 1e-300)), -np.inf)
        return means, covariances, heard

    def bound(
        self,
        sets: NDArray[np.bool_],
        means: _Float,
        covariances: _Float,
        heard: _Float,
    ) -> _Float:
        """Return the variational lower bound of the log evidence of each set, [S]."""
        n, d = self.mean.shape
        inside, precision = np.linalg.inv(self.noise), np.linalg.inv(self.covariance)
        counts = np.where(sets, self.concentration, 0.0)
        after = counts + heard
        expected = _digamma(np.where(sets, after, 1)) - _digamma(after.sum(1))[:, None]
        apart = self.rows - means[..., None]  # [S, C, D, cells]
        squared = ((inside @ apart) * apart).sum(2)
        # The uncertainty of the means lowers the fit of every window.
        doubt = np.trace(inside @ _blocks(covariances, n), axis1=2, axis2=3)
        constant = np.linalg.slogdet(inside)[1] - d * math.log(2 * math.pi)
        fit = 0.5 * (constant - squared - doubt[..., None])
        fit = np.where(sets[..., None], fit + expected[..., None], -np.inf)
        top = fit.max(1)
        fits = (top + np.log(np.exp(fit - top[:, None]).sum(1))) @ self.weights
        moved = (means - self.mean).reshape(len(sets), -1)
        of_means = 0.5 * (
            (precision * covariances).sum((1, 2))
            + ((moved @ precision) * moved).sum(1)
            - n * d
            - np.linalg.slogdet(precision)[1]
            - np.linalg.slogdet(covariances)[1]
        )
        of_shares = _log_dirichlet(after, sets) - _log_dirichlet(counts, sets)
        of_shares = of_shares + (heard * np.where(sets, expected, 0.0)).sum(1)
        evidence: _Float = fits - of_means - of_shares
        return evidence


def _log_dirichlet(counts: _Float, sets: NDArray[np.bool_]) -> _Float:
    """Return the log normalizer of Dirichlet distributions [S] over sets."""
    each = np.where(sets, _log_gamma(np.where(sets, counts, 1.0)), 0.0)
    normalizer: _Float = _log_gamma(counts.sum(1)) - each.sum(1)
    return normalizer


@cache
def _sets(n: int) -> NDArray[np.bool_]:
    """Return all nonempty sets of n emotions, the smaller ones first, bool [S, n]."""
    rows = [
        [i in chosen for i in range(n)]
        for size in range(1, n + 1)
        for chosen in itertools.combinations(range(n), size)
    ]
    return np.array(rows)


def _set_odds(sets: NDArray[np.bool_], odds: float) -> _Float:
    """Return the prior odds of each set [S]: equal for each size, but for the last."""
    size = sets.sum(1)
    equal = np.array([(size == s).sum() for s in size], np.float64)
    return np.where(sets.all(1), odds, 1 / equal)


def _blocks(covariances: _Float, n: int) -> _Float:
    """Return the diagonal blocks [S, n, D, D] of [S, n D, n D]."""
    d = covariances.shape[-1] // n
    split = covariances.reshape(-1, n, d, n, d)
    blocks: _Float = np.einsum("skikj->skij", split)
    return blocks


def _block_diagonal(blocks: _Float) -> _Float:
    """Return [S, n D, n D] with the blocks [S, n, D, D] on its diagonal."""
    s, n, d = blocks.shape[:3]
    whole = np.zeros((s, n, d, n, d))
    for k in range(n):
        whole[:, k, :, k] = blocks[:, k]
    return whole.reshape(s, n * d, n * d)


def _log_density(apart: _Float, spreads: _Float) -> _Float:
    """Return Gaussian log densities [S, C, B], up to a constant.

    Args:
        apart: Deviations from the means, [S, C, D, B].
        spreads: Covariances [S, C, D, D].
    """
    squared = np.einsum("skdb,skdb->skb", np.linalg.inv(spreads) @ apart, apart)
    density: _Float = -0.5 * (squared + np.linalg.slogdet(spreads)[1][..., None])
    return density


def _softmax(logits: _Float, axis: int = -1) -> _Float:
    raised = np.exp(logits - logits.max(axis, keepdims=True))
    shares: _Float = raised / raised.sum(axis, keepdims=True)
    return shares


def _log_gamma(values: _Float) -> _Float:
    # scipy is not a part of the runtime.
    return np.array([math.lgamma(v) for v in values.flat]).reshape(values.shape)


def _digamma(values: _Float) -> _Float:
    """Return the derivative of log gamma for positive values.

    Source: Abramowitz and Stegun (1964), 6.3.5 and 6.3.18.
    """
    shift = np.zeros_like(values)
    x = np.array(values, np.float64)
    for _ in range(6):  # digamma(x) = digamma(x + 1) - 1 / x; the series wants x > 6
        shift -= 1 / x
        x = x + 1
    squared = 1 / x**2
    series = squared * (
        1 / 12 - squared * (1 / 120 - squared * (1 / 252 - squared / 240))
    )
    found: _Float = shift + np.log(x) - 0.5 / x - series
    return found
