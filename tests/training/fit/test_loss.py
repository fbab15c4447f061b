import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from espressivo.training.fit.loss import focal_losses  # noqa: E402


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
