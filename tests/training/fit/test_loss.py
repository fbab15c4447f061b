import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from espressivo.training.fit.loss import concordance_loss, focal_losses  # noqa: E402


def logits_and_target(n=32):
    generator = torch.Generator().manual_seed(1)
    logits = 3 * torch.randn(n, 4, generator=generator)
    return logits, torch.randint(4, (n,), generator=generator)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_focal_loss_at_gamma_0_is_cross_entropy(smoothing):
    logits, target = logits_and_target()
    wanted = torch.nn.functional.cross_entropy(
        logits, target, label_smoothing=smoothing, reduction="none"
    )
    got = focal_losses(logits, target, gamma=0.0, smoothing=smoothing)
    torch.testing.assert_close(got, wanted)


def test_alpha_weighs_each_class():
    logits, target = logits_and_target()
    alpha = torch.tensor([1.065, 0.913, 0.974, 1.070])
    each = torch.nn.functional.cross_entropy(logits, target, reduction="none")
    got = focal_losses(logits, target, alpha, gamma=0.0, smoothing=0.0)
    torch.testing.assert_close(got, alpha[target] * each)


def test_focal_loss_equals_its_formula():
    logits, target = logits_and_target()
    p = logits.softmax(-1)[torch.arange(len(target)), target]
    wanted = -((1 - p) ** 2) * p.log()
    torch.testing.assert_close(focal_losses(logits, target, smoothing=0.0), wanted)


def test_gamma_lets_easy_examples_count_less():
    easy, hard = torch.tensor([[4.0, 0, 0, 0]]), torch.tensor([[0.0, 1, 0, 0]])
    target = torch.tensor([0])
    ratios = [
        focal_losses(easy, target, gamma=gamma, smoothing=0.0)
        / focal_losses(hard, target, gamma=gamma, smoothing=0.0)
        for gamma in (0.0, 2.0)
    ]
    assert ratios[1] < ratios[0] / 10


def test_votes_replace_the_label_where_there_are_some():
    logits, target = logits_and_target()
    votes = torch.rand(len(target), 4, generator=torch.Generator().manual_seed(2))
    votes /= votes.sum(1, keepdim=True)
    votes[::2] = torch.nan
    got = focal_losses(logits, target, gamma=0.0, smoothing=0.1, votes=votes)
    wanted = torch.where(
        votes.isnan(), torch.nn.functional.one_hot(target, 4).float(), votes
    )
    torch.testing.assert_close(
        got,
        torch.nn.functional.cross_entropy(
            logits, wanted, label_smoothing=0.1, reduction="none"
        ),
    )


def ratings(n=24, n_dimensions=3):
    generator = torch.Generator().manual_seed(3)
    rated = torch.rand(n, n_dimensions, generator=generator)
    predicted = (rated + torch.rand(n, n_dimensions, generator=generator)) / 2
    return predicted.requires_grad_(), rated


def ccc(x, y):
    """Pearson's correlation times Lin's bias correction factor (Lin 1989, eq. 2)."""
    scale, shift = x.std() / y.std(), (x.mean() - y.mean())
    bias = 2 / (scale + 1 / scale + shift**2 / (x.std() * y.std()))
    return np.corrcoef(x, y)[0, 1] * bias


def test_concordance_loss_is_one_minus_lins_coefficient():
    predicted, rated = ratings()
    rated[3:9, 1] = torch.nan
    weights = torch.tensor([1.0, 2.0, 0.5])
    known = ~rated.isnan().numpy()
    losses = [
        1 - ccc(predicted.detach().numpy()[k, i], rated.numpy()[k, i])
        for i, k in enumerate(known.T)
    ]
    got = concordance_loss(predicted, rated, weights)
    assert got.item() == pytest.approx(np.average(losses, weights=weights), abs=1e-5)
    got.backward()
    assert predicted.grad.isfinite().all()
    assert (predicted.grad[torch.from_numpy(~known)] == 0).all()
    assert concordance_loss(rated, rated) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("predicted", "rated", "wanted"),
    [
        ([0.5, 0.5, 0.5], [0.2, 0.4, 0.9], 1.0),  # constant predictions
        ([0.5, 0.5], [0.5, 0.5], 1.0),  # 0 / 0
        ([0.5], [0.9], 0.0),  # one clip: nothing to agree on
        ([0.1, 0.5], [torch.nan, torch.nan], 0.0),
    ],
)
def test_concordance_loss_at_its_borders(predicted, rated, wanted):
    predicted = torch.tensor(predicted)[:, None].requires_grad_()
    loss = concordance_loss(predicted, torch.tensor(rated)[:, None])
    loss.backward()
    assert loss.item() == pytest.approx(wanted)
    assert predicted.grad.isfinite().all()
