"""How far work on a net has come is heard in its passes, without a trace in the net or its copies."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from subnetbench.bench.models import heard as module
from subnetbench.bench.models.cifar import digits_cnn
from subnetbench.bench.models.classifier import Classifier
from subnetbench.bench.models.heard import heard
from subnetbench.bench.models.passes import counted


@pytest.fixture
def net(monkeypatch: pytest.MonkeyPatch) -> Classifier:
    monkeypatch.setattr(module, "PAUSE", 0.0)
    torch.manual_seed(0)
    return digits_cnn(classes=10, shape=(1, 8, 8), width=4)


def test_shares_grow_with_the_passes_and_stay_below_one(net: Classifier) -> None:
    images, shares = torch.rand(4, 1, 8, 8), []
    with counted(net) as passes, heard(net, passes, 4 * 3 * 2, shares.append):
        for _ in range(4):  # twice as many as expected
            batch = images.clone().requires_grad_(True)
            net(batch).sum().backward()
    assert shares == sorted(shares)
    assert len(shares) == 4
    assert 0 < shares[1] < 1
    assert max(shares) == 0.99


def test_neither_the_net_nor_its_copies_are_heard_afterwards(net: Classifier) -> None:
    shares: list[float] = []
    with counted(net) as passes, heard(net, passes, 100, shares.append):
        twin, thawed = copy.deepcopy(net), pickle.loads(pickle.dumps(net))
        twin(torch.rand(1, 1, 8, 8))
        thawed(torch.rand(1, 1, 8, 8))
        assert shares == []
    net(torch.rand(1, 1, 8, 8))
    assert shares == []
    assert not any(module._Ear is type(hook) for stage in net.net for hook in stage._forward_hooks.values())
