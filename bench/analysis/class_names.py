"""Class names of known data sets, and their superclasses: classes that are alike in meaning."""

from __future__ import annotations

from collections.abc import Mapping

#: CIFAR-100's 20 superclasses, in the order of their official numbers, with the fine classes of each (Krizhevsky 2009).
CIFAR100_SUPERCLASSES: Mapping[str, tuple[str, ...]] = {
    "aquatic mammals": ("beaver", "dolphin", "otter", "seal", "whale"),
    "fish": ("aquarium fish", "flatfish", "ray", "shark", "trout"),
    "flowers": ("orchid", "poppy", "rose", "sunflower", "tulip"),
    "food containers": ("bottle", "bowl", "can", "cup", "plate"),
    "fruit and vegetables": ("apple", "mushroom", "orange", "pear", "sweet pepper"),
    "household electrical devices": ("clock", "keyboard", "lamp", "telephone", "television"),
    "household furniture": ("bed", "chair", "couch", "table", "wardrobe"),
    "insects": ("bee", "beetle", "butterfly", "caterpillar", "cockroach"),
    "large carnivores": ("bear", "leopard", "lion", "tiger", "wolf"),
    "large man-made outdoor things": ("bridge", "castle", "house", "road", "skyscraper"),
    "large natural outdoor scenes": ("cloud", "forest", "mountain", "plain", "sea"),
    "large omnivores and herbivores": ("camel", "cattle", "chimpanzee", "elephant", "kangaroo"),
    "medium-sized mammals": ("fox", "porcupine", "possum", "raccoon", "skunk"),
    "non-insect invertebrates": ("crab", "lobster", "snail", "spider", "worm"),
    "people": ("baby", "boy", "girl", "man", "woman"),
    "reptiles": ("crocodile", "dinosaur", "lizard", "snake", "turtle"),
    "small mammals": ("hamster", "mouse", "rabbit", "shrew", "squirrel"),
    "trees": ("maple tree", "oak tree", "palm tree", "pine tree", "willow tree"),
    "vehicles 1": ("bicycle", "bus", "motorcycle", "pickup truck", "train"),
    "vehicles 2": ("lawn mower", "rocket", "streetcar", "tank", "tractor"),
}

#: CIFAR-10 has no official superclasses; these two, which its ten classes plainly fall into, are ours.
CIFAR10_SUPERCLASSES: Mapping[str, tuple[str, ...]] = {
    "animals": ("bird", "cat", "deer", "dog", "frog", "horse"),
    "vehicles": ("airplane", "automobile", "ship", "truck"),
}

_SUPERCLASSES = {"cifar10": CIFAR10_SUPERCLASSES, "cifar100": CIFAR100_SUPERCLASSES}
_DIGITS = tuple("0123456789")
#: The classes of both CIFARs are numbered in alphabetical order.
_NAMES = {
    **{name: tuple(sorted(sum(groups.values(), ()))) for name, groups in _SUPERCLASSES.items()},
    **dict.fromkeys(("digits", "svhn", "svhn10k"), _DIGITS),
}


def class_names(dataset: str) -> tuple[str, ...] | None:
    """Name of every class in the order of its label; None for a data set that is not known here."""
    return _NAMES.get(dataset)


def superclasses(dataset: str) -> tuple[str, ...] | None:
    """Superclass of every class in the order of its label; None where none are known.

    CIFAR-100's are official, CIFAR-10's (animals and vehicles) are ours.
    """
    groups = _SUPERCLASSES.get(dataset)
    if groups is None:
        return None
    of = {fine: coarse for coarse, members in groups.items() for fine in members}
    return tuple(of[fine] for fine in _NAMES[dataset])
