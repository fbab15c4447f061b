import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from espressivo.training.clips.batches import Batch  # noqa: E402
from espressivo.training.config import LossConfig  # noqa: E402
from espressivo.training.fit.loss import concordance_loss, focal_losses  # noqa: E402
from espressivo.training.fit.objective import Objective  # noqa: E402
from espressivo.training.networks import NetworkConfig, build_network  # noqa: E402
from espressivo.training.networks.network import Frames  # noqa: E402


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    config = NetworkConfig(n_layers=1, dimensions=("arousal", "valence"))
    return build_network(config).eval()  # without dropout


@pytest.fixture(scope="module")
def batch(network):
    torch.manual_seed(1)
    frames = network.front(torch.randn(6, 9_600))
    ratings = torch.rand(6, 2)
    ratings[0] = torch.nan
    others = torch.zeros(6, dtype=torch.int64)
    return Batch(frames, torch.arange(6) % 4, others, others, ratings)


def loss_of(network, batch, task, **config):
    return Objective(network, LossConfig(**config), 1, task=task)(batch)


def test_with_both_tasks_the_loss_is_the_weighted_sum(network, batch):
    weights = (3.0, 1.0)
    logits, predicted = network.outputs(Frames(*batch.frames))
    emotions = focal_losses(logits, batch.target).mean()
    dimensions = concordance_loss(predicted, batch.ratings, torch.tensor(weights))
    found = loss_of(network, batch, "emotions")
    torch.testing.assert_close(found, emotions)
    found = loss_of(
        network,
        batch,
        "both",
        emotions=0.5,
        dimensions=2.0,
        dimension_weights=weights,
    )
    torch.testing.assert_close(found, 0.5 * emotions + 2 * dimensions)


@pytest.mark.parametrize("task", ["dimensions", "both"])
def test_clips_without_an_emotion_count_for_dimensions_alone(network, batch, task):
    known = [0, 2, 3, 5]
    target = batch.target.clone()
    target[[1, 4]] = -1
    logits, predicted = network.outputs(Frames(*batch.frames))
    emotions = focal_losses(logits[known], batch.target[known]).mean()
    dimensions = concordance_loss(predicted, batch.ratings)
    found = loss_of(network, batch._replace(target=target), task)
    torch.testing.assert_close(found, emotions + dimensions)
    none = batch._replace(target=torch.full((6,), -1))
    torch.testing.assert_close(loss_of(network, none, task), dimensions)


def test_with_dimensions_alone_emotions_reach_only_their_classifier(network, batch):
    unrated = batch._replace(ratings=torch.full((6, 2), torch.nan))
    network.zero_grad()
    loss_of(network, unrated, "dimensions").backward()
    moved = {
        name
        for name, parameter in network.named_parameters()
        if parameter.grad is not None and parameter.grad.abs().any()
    }
    assert moved == {"classify.weight", "classify.bias"}


def test_votes_are_the_target_where_there_are_some(network, batch):
    votes = torch.full((6, 4), torch.nan)
    votes[2] = torch.tensor([0.5, 0.5, 0.0, 0.0])
    logits = network.logits(batch.frames)
    found = loss_of(network, batch._replace(votes=votes), "emotions")
    wanted = focal_losses(logits, batch.target, votes=votes).mean()
    torch.testing.assert_close(found, wanted)
    assert found != loss_of(network, batch, "emotions")
