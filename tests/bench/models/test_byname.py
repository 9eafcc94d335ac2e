"""Nets by name: torchvision's and timm's, their weights from a file, and what is said where they do not fit."""

import sys
from functools import partial

import pytest
import torch
from safetensors.torch import save_file
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.core.registry import models
from subnetbench.bench.models.byname import architecture_only, spread
from subnetbench.bench.models.states import tensors_of

TINY = (3, 32, 32)


def torchvisions(name="torchvision/shufflenet_v2_x0_5", **more):
    return models.get(name)(classes=10, shape=TINY, **more)


def timms(name="timm/test_resnet", **more):
    pytest.importorskip("timm")
    return models.get(name)(**{"classes": 10, "shape": TINY, **more})


def logits(net, shape=TINY):
    with torch.no_grad():
        return net.eval()(torch.rand(2, *shape, generator=torch.Generator().manual_seed(0)))


@pytest.fixture
def tiny_weights(tmp_path):
    """A net of timm's of 12 classes, and the file of its state_dict."""
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    net = timm.create_model("test_resnet", num_classes=12).eval()
    torch.save(net.state_dict(), tmp_path / "tiny.pth")
    save_file(net.state_dict(), tmp_path / "tiny.safetensors")
    return net, tmp_path


def test_a_net_of_torchvisions_computes_what_torchvision_computes():
    torchvision = pytest.importorskip("torchvision")
    torch.manual_seed(0)
    net = torchvisions()
    torch.manual_seed(0)
    theirs = torchvision.models.shufflenet_v2_x0_5(num_classes=10).eval()
    images = torch.rand(2, *TINY, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(net.eval()(images), theirs((images - net.mean) / net.std), atol=1e-5)
    assert torch.equal(net.mean.flatten(), torch.tensor([0.485, 0.456, 0.406]))


def test_the_taps_of_a_net_of_timms_are_its_feature_info():
    net = timms()
    assert [tap.rpartition(".")[2] for tap in net.taps] == ["act1", "layer1", "layer2", "layer3", "layer4"]
    assert net.gate_positions["units"]


def test_a_transformer_of_timms_has_its_blocks_as_taps():
    net = timms("timm/test_vit", img_size=32)
    assert [tap.rpartition("blocks.")[2] for tap in net.taps] == ["0", "1", "2", "3", "4", "5"]
    assert logits(net).shape == (2, 10)


def test_of_many_blocks_four_are_tapped():
    assert spread([str(number) for number in range(1, 13)]) == ["3", "6", "9", "12"]


def test_images_are_resized_inside_the_net():
    assert timms(side=64).observe(torch.rand(1, *TINY), [timms(side=64).taps[0]])[1].popitem()[1].shape[-1] == 32


def test_grey_images_go_through_a_net_of_colour_images():
    net = models.get("torchvision/shufflenet_v2_x0_5")(classes=10, shape=(1, 32, 32))
    assert logits(net, (1, 32, 32)).shape == (2, 10)
    assert net.mean.numel() == 1


def test_arguments_of_the_architecture_are_passed_on():
    net = timms("timm/resnet18d", stem_width=8, channels=[8, 8, 16, 16], layers=[1, 1, 1, 1])
    assert max(p.shape[0] for p in net.parameters()) == 16
    with pytest.raises(UserError, match=r"cannot be built with them .*stem_widht.*correct them"):
        timms("timm/resnet18d", stem_widht=8)


@pytest.mark.parametrize("file", ["tiny.pth", "tiny.safetensors"])
def test_weights_of_a_file_are_the_nets(tiny_weights, file):
    theirs, folder = tiny_weights
    net = timms(classes=12, weights=str(folder / file))
    images = torch.rand(2, *TINY, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(net.eval()(images), theirs((images - net.mean) / net.std), atol=1e-5)


def test_a_head_of_other_size_is_refused_and_replaced_only_when_that_is_said(tiny_weights):
    weights = str(tiny_weights[1] / "tiny.pth")
    with pytest.raises(UserError, match=r"have 12 logits and the data set has 10 classes; .*rows .*head = .new."):
        timms(weights=weights)
    assert logits(timms(weights=weights, head="new")).shape == (2, 10)
    rows = [11, 3, 2, 1, 0, 4, 5, 6, 7, 8]
    kept, whole = logits(timms(weights=weights, rows=rows)), logits(timms(classes=12, weights=weights))
    assert torch.allclose(kept, whole[:, rows], atol=1e-5)
    with pytest.raises(UserError, match="12 is not among 0 to 11"):
        timms(weights=weights, rows=[12, *rows[1:]])
    with pytest.raises(UserError, match="may only be 'new'"):
        timms(weights=weights, head="old")


def test_rows_reorder_a_head_of_the_same_size(tiny_weights):
    weights, rows = str(tiny_weights[1] / "tiny.pth"), [*range(11, -1, -1)]
    again = logits(timms(classes=12, weights=weights, rows=rows))
    assert torch.allclose(again, logits(timms(classes=12, weights=weights)).flip(1), atol=1e-5)


def test_keys_that_do_not_fit_are_said_with_the_first_few(tiny_weights):
    weights = str(tiny_weights[1] / "tiny.pth")
    with pytest.raises(UserError, match=r"\d+ of the net's \d+ tensors are not in them \('.*', '.*', '.*'\); \d+ of"):
        torchvisions(weights=weights)
    state = tiny_weights[0].state_dict()
    torch.save({**state, "conv1.0.weight": torch.zeros(16, 3, 5, 5)}, weights)
    with pytest.raises(UserError, match=r"'conv1.0.weight' is of shape \(16, 3, 5, 5\) in them and \(16, 3, 3, 3\) in"):
        timms(classes=12, weights=weights)


def test_wrappings_of_training_scripts_are_taken_off(tiny_weights):
    theirs, folder = tiny_weights
    parallel = {f"module.{name}": tensor for name, tensor in theirs.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": parallel}, folder / "script.pt")
    assert tensors_of(str(folder / "script.pt")).keys() == theirs.state_dict().keys()


def test_code_in_a_weights_file_is_never_run(tmp_path):
    ran = tmp_path / "ran"

    class Payload:
        def __reduce__(self):
            return (ran.write_text, ("ran",))

    torch.save({"weight": Payload()}, tmp_path / "bad.pth")
    with pytest.raises(UserError, match="cannot be read as a state_dict without running code"):
        tensors_of(str(tmp_path / "bad.pth"))
    assert not ran.exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("torchvision/resnet8", "no classifier 'resnet8'. Did you mean 'resnet18'"),
        ("timm/test_resnett", "no architecture 'test_resnett'. Did you mean 'test_resnet'"),
        ("timm/test_resnet.nope", "no weights 'nope' of test_resnet; it has r160_in1k"),
    ],
)
def test_an_unknown_name_gives_the_nearest(name, said):
    if name.startswith("timm"):
        pytest.importorskip("timm")
    with pytest.raises(UserError, match=said):
        models.get(name)


def test_unknown_weights_give_the_nearest():
    with pytest.raises(UserError, match=r"no weights 'IMAGENET1K_V9' of shufflenet_v2_x0_5\. Did you mean 'IMAGENET1K"):
        torchvisions(weights="IMAGENET1K_V9")
    with pytest.raises(UserError, match=r"There is no weights file nothing\.pth"):
        torchvisions(weights="nothing.pth")


def test_weights_that_cannot_be_downloaded_are_one_sentence(monkeypatch):
    def refuse(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", refuse)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refuse)
    with pytest.raises(UserError, match=r"could not be downloaded or read \(no network\); with no network, put"):
        torchvisions(weights="IMAGENET1K_V1")
    timm = pytest.importorskip("timm")
    made = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda *a, **k: refuse() if k.get("pretrained") else made(*a, **k))
    with pytest.raises(UserError, match=r"timm/test_resnet.r160_in1k could not be .*no network.*model.parameters.weig"):
        timms("timm/test_resnet.r160_in1k")


def test_a_tag_names_weights(monkeypatch):
    timm = pytest.importorskip("timm")
    torch.manual_seed(1)
    theirs, made = timm.create_model("test_resnet"), timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda *a, **k: theirs if k.get("pretrained") else made(*a, **k))
    net = timms("timm/test_resnet.r160_in1k", rows=list(range(10)))
    assert torch.equal(net.head.weight, theirs.get_classifier().weight[:10])
    assert torch.equal(timms("timm/test_resnet.r160_in1k", classes=1000).head.weight, theirs.get_classifier().weight)


def test_without_timm_its_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UserError, match=r"timm is not installed; `pip install 'subnetbench\[timm\]'` installs it"):
        models.get("timm/a_net_that_nobody_asked_for")


def test_a_net_by_name_is_not_ours_and_is_not_listed():
    assert not models.is_ours("torchvision/resnet18")
    assert not any("/" in name for name in models)
    assert isinstance(models.get("torchvision/resnet18"), partial)


def test_the_architecture_alone_needs_no_weights():
    parameters = {"weights": "x", "rows": [1], "head": "new", "side": 64}
    assert architecture_only("timm/resnet18.a1_in1k", parameters) == ("timm/resnet18", {"side": 64})
    assert architecture_only("torchvision/resnet18", parameters) == ("torchvision/resnet18", {"side": 64})
