"""What is no classifier is refused by `Classifier.wrap` itself, in one sentence with the fix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.models.classifier import Classifier, has_head
from torch import nn

SHAPE = (1, 8, 8)


class Net(nn.Module):
    """A convolution, a hidden layer and a head; ``last`` is what becomes of the logits."""

    def __init__(self, last: Callable[[torch.Tensor, nn.Module], Any] = lambda z, _: z) -> None:
        super().__init__()
        self.conv, self.hidden, self.head = nn.Conv2d(1, 4, 3), nn.Linear(4, 8), nn.Linear(8, 10)
        self.pair, self.spare, self.last = Pair(), nn.Linear(8, 8), last

    def forward(self, x: torch.Tensor) -> Any:
        x = self.pair(self.conv(x).relu())[0].mean((2, 3))
        return self.last(self.head(self.hidden(self.hidden_again(x))), self)

    def hidden_again(self, x: torch.Tensor) -> torch.Tensor:
        return self.hidden(x)[:, :4]


class Pair(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x, x


class OneByOne(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) < 2:
            raise ValueError("Expected more than 1 value per channel")
        return x


def coupled() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4, track_running_stats=False), nn.Flatten(), nn.Linear(144, 10)
    )


def overwriting(z: torch.Tensor, _: nn.Module) -> torch.Tensor:
    z = z.exp()
    z += 1  # exp needs its result to go back
    return z


def damaged() -> nn.Module:
    net = Net()
    net.head.bias.data[3] = torch.nan
    return net


REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "softmax": (lambda: Net(lambda z, _: z.softmax(1)), "ends in a softmax and not in logits.* what goes into it"),
    "own softmax": (lambda: Net(lambda z, _: z.exp() / z.exp().sum(1, keepdim=True)), "ends in a softmax"),
    "log-softmax": (lambda: nn.Sequential(Net(), nn.LogSoftmax(1)), "ends in a log-softmax"),
    "sigmoid": (lambda: nn.Sequential(Net(), nn.Sigmoid(), nn.Flatten()), "ends in a sigmoid"),
    "NaN": (damaged, "gives NaN or infinite logits"),
    "batch": (coupled, "depend on the other images of its batch; BatchNorm without running statistics"),
    "mean of the batch": (lambda: Net(lambda z, _: z - z.mean(0)), "depend on the other images of its batch"),
    "not one": (lambda: nn.Sequential(OneByOne(), Net()), "takes two images but not a single one .*ValueError"),
    "dropout": (lambda: Net(lambda z, _: F.dropout(z)), r"other logits when .* F.dropout with training=self.training"),
    "one number": (lambda: Net(lambda z, _: z[:, :1]), "gives one number an image"),
    "a map": (lambda: nn.Conv2d(1, 3, 3), r"gives shape \(2, 3, 6, 6\) for two images and not \(2, classes\)"),
    "dict": (lambda: Net(lambda z, _: {"out": z}), "gives a dict without logits"),
    "two logits": (lambda: Net(lambda z, n: (z, n.spare.weight.repeat(2, 1)[:2])), "several tensors .* give classes"),
    "in place": (lambda: Net(overwriting), r"No gradient comes back .*in.?place operation.* x = x \+ y"),
    "no gradient": (lambda: Net(lambda z, _: z.detach()), "No gradient comes back through the net"),
    "TorchScript": (lambda: torch.jit.trace(nn.Linear(8, 10), torch.rand(1, 8)), "is TorchScript"),
    "meta": (lambda: Net().to("meta"), 'device "meta"'),
    "raises": (lambda: nn.Linear(3, 3), r"cannot take two images of shape \(1, 8, 8\) \(RuntimeError: .*\)"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_net_that_is_no_classifier_is_one_sentence(case: str) -> None:
    make, words = REFUSED[case]
    with pytest.raises(UserError, match=words) as refused:
        Classifier.wrap(make(), shape=SHAPE)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"taps": ["convs"]}, "taps: the net has no module 'convs'. Did you mean 'conv'"),
        ({"taps": "conv"}, "taps is 'conv'; give a list of module paths"),
        ({"taps": ["conv", "conv"]}, "taps names a module twice"),
        ({"taps": ["hidden"]}, "taps: the module 'hidden' runs 2 times in a pass"),
        ({"taps": ["spare"]}, "taps: the module 'spare' does not run in a pass"),
        ({"taps": ["pair"]}, "taps: the module 'pair' gives a tuple; name one that gives a tensor"),
        ({"gate_positions": ["conv"]}, "gate_positions is a list; give a dictionary"),
        ({"gate_positions": {"units": ["kernel"]}}, r"gate_positions\['units'\]: the net has no module 'kernel'"),
        ({"shape": (8, 8)}, r"shape is \(8, 8\); give shape=\(channels, height, width\)"),
        ({"shape": (8, 8, 1)}, r"cannot take two images of shape \(8, 8, 1\) .*; shape is \(channels, height, width\)"),
        ({"mean": (0.5, 0.5)}, "mean has 2 numbers for 1 channels"),
        ({"std": (0.0,)}, r"std is \(0.0,\); give finite numbers, above 0"),
        ({"std": 0.5}, "std is 0.5; give a list"),
    ],
)
def test_what_is_named_wrongly_is_one_sentence(given: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words) as refused:
        Classifier.wrap(Net(), **{"shape": SHAPE, **given})
    assert "\n" not in str(refused.value)


def test_other_output_in_training_mode_is_said_before_the_first_step() -> None:
    def last(z: torch.Tensor, net: nn.Module) -> Any:
        return z.view(len(z), 2, 5) if net.training else z

    net = Classifier.wrap(Net(last).eval(), shape=SHAPE)
    assert net(torch.rand(3, *SHAPE)).shape == (3, 10)
    with pytest.raises(UserError, match=r"gives shape \(2, 2, 5\) in training mode and \(2, 10\) in evaluation mode"):
        net.train()(torch.rand(3, *SHAPE))


def test_logits_beside_others_in_training_mode_are_trained() -> None:
    def last(z: torch.Tensor, net: nn.Module) -> Any:
        return (z, z[:, :4]) if net.training else z

    net = Classifier.wrap(Net(last), shape=SHAPE).train()
    assert net(torch.rand(3, *SHAPE)).shape == (3, 10)


def test_a_net_without_a_linear_head_says_so_where_one_is_needed() -> None:
    net = Classifier.wrap(Net(lambda z, _: 2 * z), shape=SHAPE)
    assert not has_head(net)
    with pytest.raises(UserError, match="logits are not the output of a linear layer"):
        net.observe(torch.rand(3, *SHAPE), ["penultimate"])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_net_on_a_gpu_stays_there() -> None:
    net = Classifier.wrap(Net().cuda(), shape=SHAPE)
    assert {tensor.device.type for tensor in net.state_dict().values()} == {"cuda"}
    assert net(torch.rand(3, *SHAPE).cuda()).device.type == "cuda"
