"""A classifier under channel gates, in two steps: the part that no gate changes, and the rest.

Every pass through a subnet that reads features or logits takes these two steps; only the net and the shape
of its gates differ:

- `View.subnet_features` and `bench.analysis.arrays.through_subnets`: the classifier itself, a row of gates per sample,
  so that images of many classes go through together;
- `frozen.GatedNet`: a frozen copy for learning, one row of gates per sample, with gradients for the gates;
- `compact.GatedSubnets`: a frozen copy up to the last tap, one class at a time, one row of gates for all images.

Two other nets compute the same up to rounding without multiplying by gates sample by sample. `compact.CutSubnets` omits
the channels that a gate removes. `bench.localisation.net.attribution_net` makes each gate a module, so that rules for
the gradient of a ReLU do not affect it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch

from ..bench.models.classifier import Classifier, per_channel


class Gated:
    """A classifier cut at its first gate: `prefix` runs once per image, `rest` once per image and subnet.

    ``paths`` are the gated modules; ``taps`` are the outputs to read (modules or `PENULTIMATE`), and the last of them
    ends the pass; without taps, the logits do. It computes the same as `Classifier.observe`, to the last bit. ``early``
    leaves the whole stage of the first gate to the rest.
    """

    def __init__(
        self, net: Classifier, paths: Collection[str], taps: Sequence[str] = (), *, early: bool = False
    ) -> None:
        stage = {path: net.stage_of(path) for path in (*paths, *taps)}
        first = min(stage[path] for path in paths)
        name = net.stages[first]
        # A gate on the output of a whole stage is not inside it, so that stage belongs to the prefix too.
        whole = not early and name in paths and all(path == name for path in stage if stage[path] == first)
        #: The stage that `rest` begins with.
        self.cut = first + whole
        self._net, self._gate_between = net, name if whole else None
        self._before = [tap for tap in taps if stage[tap] < first]
        self._after = [tap for tap in taps if stage[tap] >= self.cut]
        self._taps_between = [tap for tap in taps if whole and tap == name]
        self._stop = 1 + max(stage[tap] for tap in taps) if taps else None

    def prefix(self, images: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Output of the un-gated stages and the taps in them, or the images if the first stage is gated inside."""
        return self._net.observe(images, self._before, stop=self.cut) if self.cut else (images, {})

    def rest(
        self, hidden: torch.Tensor, gates: Mapping[str, torch.Tensor], taps: Collection[str] | None = None
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Last output and the other taps from the output of `prefix`, under ``gates`` (path -> ``(N or 1, channels)``).

        Differentiable in ``hidden`` and ``gates``. A path without a gate in ``gates`` is not gated. Of ``taps``, some
        of those that come after the prefix, the last one ends the pass.
        """
        after, stop = self._after, self._stop
        if taps is not None:
            after = [tap for tap in after if tap in taps]
            stop = max(self.cut, *(1 + self._net.stage_of(tap) for tap in taps))
        inside = {path: gate for path, gate in gates.items() if path != self._gate_between}
        if self._gate_between is not None and self._gate_between in gates:
            hidden = hidden * per_channel(gates[self._gate_between], hidden)
        out, seen = self._net.observe(hidden, after, inside, start=self.cut, stop=stop)
        return out, {**dict.fromkeys(self._taps_between, hidden), **seen}
