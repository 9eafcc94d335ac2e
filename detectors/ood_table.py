"""What is known of pytorch-ood's detectors without the package: paper, formula, parameters, and what each reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

#: What a row hands to the library: the logits, the penultimate features, these as 1 x 1 feature maps, the outputs of
#: all taps, or the images with the whole net.
Reads = Literal["logits", "features", "maps", "taps", "images"]


@dataclass(frozen=True)
class Row:
    """One detector of pytorch-ood under a name of ours.

    ``defaults`` are the parameters that a suite may set; ``linear`` says how the constructor wants the last linear
    layer: as a module (``head``), as weight and bias (``wb``), or not at all. ``double``: computed in float64, where
    the library keeps the precision it is given; elsewhere it rounds to float32 itself.
    """

    name: str
    kind: str
    reads: Reads
    title: str
    venue: str
    year: int
    url: str
    formula: str
    defaults: Mapping[str, Any] = field(default_factory=dict)
    candidates: Sequence[Mapping[str, Any]] = ()
    linear: Literal["", "head", "wb"] = ""
    double: bool = True


def _each(name: str, *values: float) -> tuple[dict[str, Any], ...]:
    return tuple({name: value} for value in values)


SCALING = ("Scaling Out-of-Distribution Detection for Real-World Settings", "ICML", 2022)
SCALING_URL = "https://arxiv.org/abs/1911.11132"
CVF = "https://openaccess.thecvf.com/content/CVPR2023/html/"

LOGITS = (
    Row("max-logit", "MaxLogit", "logits", *SCALING, SCALING_URL, "-max_c z_c"),
    Row(
        "entropy",
        "Entropy",
        "logits",
        "Entropy Maximization and Meta Classification for Out-of-Distribution Detection in Semantic Segmentation",
        "ICCV",
        2021,
        "https://arxiv.org/abs/2012.06575",
        "-sum_c p_c log p_c, p = softmax(z)",
    ),
    Row(
        "gen",
        "GEN",
        "logits",
        "GEN: Pushing the Limits of Softmax-Based Out-of-Distribution Detection",
        "CVPR",
        2023,
        CVF + "Liu_GEN_Pushing_the_Limits_of_Softmax-Based_Out-of-Distribution_Detection_CVPR_2023_paper.html",
        "sum_c p_c^gamma (1 - p_c)^gamma, p = softmax(z)",
        {"gamma": 0.1},
        _each("gamma", 0.01, 0.1, 0.5, 1.0),
    ),
    Row(
        "kl-matching",
        "KLMatching",
        "logits",
        *SCALING,
        SCALING_URL,
        "KL divergence of softmax(z) from class t's mean softmax",
    ),
)

DISTANCES = (
    Row(
        "mahalanobis",
        "Mahalanobis",
        "features",
        "A Simple Unified Framework for Detecting Out-of-Distribution Samples and Adversarial Attacks",
        "NeurIPS",
        2018,
        "https://arxiv.org/abs/1807.03888",
        "min_c (f - mu_c)^T (N S + 1e-6 I)^-1 (f - mu_c), penultimate f",
        double=False,
    ),
    Row(
        "rmd",
        "RMD",
        "features",
        "A Simple Fix to Mahalanobis Distance for Improving Near-OOD Detection",
        "arXiv",
        2021,
        "https://arxiv.org/pdf/2106.09022.pdf",
        "min_c d_c(f) - d_0(f), as ood-mahalanobis, d_0 to one Gaussian of all classes",
        double=False,
    ),
    Row(
        "gmm",
        "GMM",
        "features",
        "no paper: Gaussian mixture with one component a class",
        "",
        2024,
        "https://pytorch-ood.readthedocs.io",
        "-log sum_c pi_c N(f; mu_c, S_c)",
        {"reg": 1e-6},
    ),
    Row(
        "knn",
        "KNN",
        "features",
        "Out-of-Distribution Detection with Deep Nearest Neighbors",
        "ICML",
        2022,
        "https://proceedings.mlr.press/v162/sun22d.html",
        "distance of f / norm(f) to the k-th nearest training image",
        {"k": 50},
        _each("k", 50, 100, 200),
    ),
    Row(
        "nnguide",
        "NNGuide",
        "features",
        "Nearest Neighbor Guidance for Out-of-Distribution Detection",
        "ICCV",
        2023,
        "https://arxiv.org/abs/2309.14888",
        "-E(f) mean of the k largest E(g) cos(f, g) over training g, E = log sum_c exp(z_c)",
        {"k": 10},
        linear="head",
        double=False,
    ),
    Row(
        "pnml",
        "PNML",
        "features",
        "Single Layer Predictive Normalized Maximum Likelihood for Out-of-Distribution Detection",
        "NeurIPS",
        2021,
        "https://arxiv.org/abs/2110.09246",
        "log sum_c p_c / (p_c + (1 - p_c) p_c^kappa) / log C, of f / norm(f)",
        linear="head",
        double=False,
    ),
    Row(
        "she",
        "SHE",
        "features",
        "Out-of-Distribution Detection based on In-Distribution Data Patterns Memorization with Modern Hopfield Energy",
        "ICLR",
        2023,
        "https://openreview.net/pdf?id=KkazG4lgKL",
        "-f^T mean f of class t's correctly classified images",
        linear="head",
        double=False,
    ),
)

HEADS = (
    Row(
        "vim",
        "ViM",
        "features",
        "ViM: Out-Of-Distribution with Virtual-logit Matching",
        "CVPR",
        2022,
        "https://arxiv.org/abs/2203.10807",
        "alpha norm(f's part outside the d principal directions) - log sum_c exp(z_c)",
        {"d": 0},
        linear="wb",
        double=False,
    ),
    Row(
        "fdbd",
        "fDBD",
        "features",
        "Fast Decision Boundary based Out-of-Distribution Detector",
        "ICML",
        2024,
        "https://arxiv.org/abs/2312.11536",
        "-mean_c (z_t - z_c) / norm(w_t - w_c) / norm(f - mean f)",
        linear="head",
        double=False,
    ),
    Row(
        "nci",
        "NCI",
        "features",
        "Detecting Out-of-Distribution Through the Lens of Neural Collapse",
        "CVPR",
        2025,
        "https://arxiv.org/pdf/2311.01479",
        "-w_t^T (f - mean f) / norm(f - mean f) - alpha norm_1(f)",
        {"alpha": 0.0},
        _each("alpha", 0.0, 0.001, 0.01),
        linear="head",
        double=False,
    ),
    Row(
        "dice",
        "DICE",
        "features",
        "DICE: Leveraging Sparsification for Out-of-Distribution Detection",
        "ECCV",
        2022,
        "https://arxiv.org/abs/2111.09805",
        "energy with the p smallest mean contributions to the logits cut",
        {"p": 0.9},
        _each("p", 0.3, 0.5, 0.7, 0.9),
        linear="wb",
        double=False,
    ),
    Row(
        "ash",
        "ASH",
        "maps",
        "Extremely Simple Activation Shaping for Out-of-Distribution Detection",
        "ICLR",
        2023,
        "https://openreview.net/pdf?id=ndYXTEL6cZz",
        "energy after f's smallest activations are cut and the rest scaled up (ASH-S)",
        {"percentile": 0.65},
        _each("percentile", 0.65, 0.8, 0.9),
        linear="head",
        double=False,
    ),
    Row(
        "react",
        "ReAct",
        "maps",
        "ReAct: Out-of-distribution Detection With Rectified Activations",
        "NeurIPS",
        2021,
        "https://arxiv.org/abs/2111.12797",
        "energy after f is clipped at a percentile of the training images' activations",
        {"percentile": 0.9},
        _each("percentile", 0.85, 0.9, 0.95, 0.99),
        linear="head",
        double=False,
    ),
    Row(
        "scale",
        "SCALE",
        "maps",
        "Scaling for Training Time and Post-hoc Out-of-distribution Detection Enhancement",
        "ICLR",
        2024,
        "https://arxiv.org/abs/2310.00227",
        "energy after f is scaled by exp(sum f / sum of its largest)",
        {"percentile": 0.65},
        _each("percentile", 0.65, 0.75, 0.85),
        linear="head",
        double=False,
    ),
    Row(
        "gradnorm",
        "GradNorm",
        "features",
        "On the Importance of Gradients for Detecting Distributional Shifts in the Wild",
        "NeurIPS",
        2021,
        "https://arxiv.org/abs/2110.00218",
        "-norm_1(d KL(uniform, softmax(z / T)) / dW), W the last layer's weight",
        {"temperature": 1.0},
        linear="head",
        double=False,
    ),
)

PASSES = (
    Row(
        "gram",
        "Gram",
        "taps",
        "Detecting Out-of-Distribution Examples with Gram Matrices",
        "ICML",
        2020,
        "https://arxiv.org/abs/1912.12510",
        "how far the taps' Gram statistics leave the range of class t's training images",
        {"seed": 0},
    ),
    Row(
        "odin",
        "ODIN",
        "images",
        "Enhancing The Reliability of Out-of-distribution Image Detection in Neural Networks",
        "ICLR",
        2018,
        "https://arxiv.org/abs/1706.02690",
        "-max_c softmax_c(z(x') / T), x' = x - eps sign(grad_x -log softmax_t(z / T))",
        {"eps": 0.0014, "temperature": 1000.0},
        tuple({"eps": e, "temperature": t} for t in (1.0, 1000.0) for e in (0.0014, 0.0028)),
    ),
)

#: OpenMax is left out: the package computes distances only to classes that some image of the batch is predicted as, and
#: takes 0 for the others, so that an image's score depends on the other images.
ROWS: tuple[Row, ...] = (*LOGITS, *DISTANCES, *HEADS, *PASSES)
