"""timm's nets by name, ``timm/<architecture>`` or, with weights, ``timm/<architecture>.<tag>``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

from torch import nn

from ..core.errors import UserError, reason_of
from ..core.near import did_you_mean
from ..core.optional import optional
from ..core.registry import Family, models
from .byname import Shape, built, classifier_of, spread
from .classifier import Classifier
from .states import filled, tensors_of

INSTALL = "`pip install 'subnetbench[timm]'` installs it"


def timm_net(
    architecture: str,
    *,
    classes: int = 1000,
    shape: Shape = (3, 224, 224),
    weights: str | None = None,
    rows: Sequence[int | str] | None = None,
    head: str | None = None,
    side: int | None = None,
    **arguments: Any,
) -> Classifier:
    """A net of timm's (Wightman 2019) with the weights of its tag, or of the file ``weights``, or with none.

    ``rows`` or ``head``: what becomes of a head of another number of classes (`states.filled`). Images are resized to
    ``side`` pixels inside the net. Further arguments are the architecture's own. Taps are timm's ``feature_info``.
    """
    name, tagged = f"timm/{architecture}", "." in architecture
    pretrained = tagged or weights is not None
    channels = 3 if pretrained else shape[0]

    def build(count: int) -> nn.Module:
        return _built(architecture, count, in_chans=channels, **arguments)

    if weights is not None:
        net = filled(build, tensors_of(weights), classes, what=f"The weights {weights}", rows=rows, head=head)
    elif tagged:
        net = filled(build, _fetched(architecture), classes, what=f"The weights of {name}", rows=rows, head=head)
    else:
        net = build(classes)
    config: Any = getattr(net, "pretrained_cfg", {})
    return classifier_of(
        net,
        name,
        classes=classes,
        shape=shape,
        mean=config["mean"],
        std=config["std"],
        side=side,
        taps=_taps(net),
        channels=channels,
    )


def _timm() -> Any:
    return optional("timm", "timm", INSTALL)


def _built(architecture: str, classes: int, **arguments: Any) -> nn.Module:
    create = _timm().create_model
    return built(create, f"timm/{architecture}", architecture, pretrained=False, num_classes=classes, **arguments)


def _fetched(architecture: str) -> Mapping[str, Any]:
    """The tensors of a tag: from timm's cache, else from the hub."""
    timm, log = _timm(), logging.getLogger("huggingface_hub")
    level = log.level
    try:
        log.setLevel(logging.CRITICAL)  # it reports every attempt to reach the hub
        state: Mapping[str, Any] = timm.create_model(architecture, pretrained=True).state_dict()
    except Exception as error:  # of the network, the hub or the file
        raise UserError(
            f"The weights of timm/{architecture} could not be downloaded or read ({reason_of(error, typed=True)}); "
            "with no network, give a file of them in model.parameters.weights."
        ) from None
    finally:
        log.setLevel(level)
    return state


def _taps(net: nn.Module) -> list[str] | None:
    """The modules that timm itself reads features of, one a stage; None where it names none."""
    info = getattr(net, "feature_info", None)
    known = {path for path, _ in net.named_modules()}
    named = [stage["module"] for stage in info or () if stage.get("module") in known]
    return spread(named) or None


@lru_cache(maxsize=256)
def member(architecture: str) -> Callable[..., Classifier]:
    """The factory of one of timm's nets. UserError for an architecture or a tag that it does not have."""
    timm = _timm()
    bare, _, tag = architecture.partition(".")
    known = timm.list_models()
    if bare not in known:
        raise UserError(
            f"timm has no architecture {bare!r}.{did_you_mean(bare, known)} `timm.list_models()` lists "
            f"its {len(known)}."
        )
    tags = [name.partition(".")[2] for name in timm.list_pretrained(f"{bare}.*")]
    if tag and tag not in tags:
        raise UserError(
            f"timm has no weights {tag!r} of {bare}; it has {', '.join(tags) or 'none'}. Name one of these as "
            f"timm/{bare}.<tag>, or leave the tag out."
        )
    return partial(timm_net, architecture)


def _row() -> tuple[str, str]:
    count = f"{len(_timm().list_models())} architectures"
    return "timm/<architecture>[.<tag>]", f"timm's nets, {count}; a tag names weights, such as timm/resnet18.a1_in1k"


models.add_family("timm", Family(member, _row))
