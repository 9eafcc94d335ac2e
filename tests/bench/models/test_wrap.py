"""`Classifier.wrap`: anybody's net with taps, gates and a head."""

import pytest
import torch
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.models.cifar import digits_cnn
from subnetbench.bench.models.classifier import Classifier
from torch import nn

SHAPE = (1, 8, 8)


class Odd(nn.Module):
    """Functional ReLUs, a residual sum in place, `view`, a tuple."""

    def __init__(self, factor=1.0):
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 6, 3, 2, 1)
        self.norm, self.head = nn.BatchNorm2d(4), nn.Linear(6 * 16, 10)

    def forward(self, x):
        before = torch.relu(self.a(x))
        x = self.norm(self.b(before))
        x += before
        x = torch.relu_(self.c(x))
        return self.head(x.view(len(x), -1)), x


class OddHalved(Odd):
    def forward(self, x):
        logits, x = super().forward(x)
        return logits / 2, x


@pytest.fixture
def images():
    return torch.rand(5, *SHAPE, generator=torch.Generator().manual_seed(0))


def test_an_odd_net_gives_its_logits_and_has_taps_gates_and_a_head(images):
    module = Odd().double().eval()
    net = Classifier.wrap(module, shape=SHAPE).eval()
    torch.testing.assert_close(net(images), module(images.double())[0].float())
    assert [path.rpartition(".")[2] for path in net.taps] == ["norm", "c"]
    assert [path.rpartition(".")[2] for path in net.gate_positions["units"]] == ["a", "norm", "c"]
    gate = torch.zeros(1, 6)
    _, seen = net.observe(images, ["penultimate", *net.taps], {net.gate_positions["units"][-1]: gate})
    assert seen["penultimate"].shape == (5, 96)
    assert not seen["penultimate"].any()


def test_our_net_wrapped_as_a_plain_module_computes_what_ours_does(images):
    ours = digits_cnn().eval()
    names = ("conv2", "conv4")
    net = Classifier.wrap(ours.net, taps=names, shape=SHAPE, mean=(0.3,), std=(0.35,)).eval()
    logits, seen = ours.observe(images, [*names, "penultimate"])
    wrapped, also = net.observe(images, [*net.taps, "penultimate"])
    torch.testing.assert_close(wrapped, logits, atol=1e-5, rtol=0)
    for name, path in zip((*names, "penultimate"), (*net.taps, "penultimate"), strict=True):
        torch.testing.assert_close(also[path], seen[name], atol=1e-5, rtol=0)


def test_another_forward_or_normalisation_or_tap_with_equal_weights_has_another_hash():
    odd, other = Odd(), OddHalved()
    other.load_state_dict(odd.state_dict())
    nets = [Classifier.wrap(odd, shape=SHAPE), Classifier.wrap(other, shape=SHAPE)]
    nets += [Classifier.wrap(odd, shape=SHAPE, mean=(0.5,)), Classifier.wrap(odd, shape=SHAPE, taps=["a"])]
    assert len({net.content_hash() for net in nets}) == 4
    assert Classifier.wrap(odd, shape=SHAPE).content_hash() == nets[0].content_hash()


@pytest.mark.parametrize(
    ("more", "word"),
    [({}, "shape"), ({"shape": (3, 8, 8)}, "cannot take"), ({"shape": SHAPE, "classes": 3}, "(2, 3)")],
)
def test_what_does_not_fit_is_said_in_one_sentence(more, word):
    with pytest.raises(UserError) as raised:
        Classifier.wrap(Odd(), **more)
    assert word in str(raised.value)
