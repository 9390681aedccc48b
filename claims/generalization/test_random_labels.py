"""An over-parameterised net fits labels drawn at random.

Slide: Deep Nets Generalize Better than They Should. Zhang et al. trained convolutional nets on CIFAR-10 whose labels
had been replaced by noise, and reached zero training error with the recipe that generalises on the true labels. Here
the images are real as well (handwritten digits), the net is small, and the recipe is plain minibatch SGD. What makes
the result worth stating is that there was nothing to learn, so a win shows that too: the labels agree with the true
ones no more often than chance, and so do the net's answers on images it has not seen. Those have labels drawn at random
too, which nobody told the net: it knows none of them. That they are new is what keeps it from knowing, as a control
shows in which they are the images it was trained on.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from claimlab import Claim, Rows, Seeds, Statistical, draw
from claimlab.data.digits import CLASSES, digits
from claimlab.data.overlap import are_new
from claimlab.measure.fit import accuracy, cross_entropy, interpolates
from claimlab.nets import MLP
from claimlab.parts import parts
from claimlab.train import train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="generalization/random-labels-are-memorised",
    covers=("H15",),
    slide="Deep Nets Generalize Better than They Should",
    version=3,
    finding="holds",
    says="Deep networks reach zero training error even when the labels are random.",
    statement=(
        "A small ReLU net trained by SGD labels all of 512 digit images as it was told, although the labels are "
        "uniform noise. They agree with the true ones no more often than chance, and so do the net's answers on 1000 "
        "new images, whether these are asked for their true labels or for noise of their own."
    ),
    reason=(
        "The nets memorise their 512 labels, mostly within thirty epochs. The net has seventeen times more parameters "
        "than images. A net with eight units a layer, trained the same way, learns some by heart and no more."
    ),
    scope="A small net and 512 real images of 8 x 8 pixels; float32. The paper's nets and CIFAR-10 are not rerun here.",
    source="Zhang, Bengio, Hardt, Recht & Vinyals 2017, Understanding deep learning requires rethinking generalization",
    evidence=Statistical(),
)

# Chance is 0.1, and a net that had learned the digits would be right nine times in ten. The answers of a memoriser
# scatter around chance, because similar images share a label by luck; twice chance leaves room for that scatter only.
# The other way round, a net that is right on more than that of its training images has learned some of them.
AT_CHANCE = 2 / CLASSES


def trial(
    seeds: Seeds,
    *,
    width: int = 64,
    images: int = 512,
    held_out: int = 1000,
    rate: float = 0.03,
    epochs: int = 50,
    new: bool = True,
) -> Rows:
    """A seed draws the split of the images, the labels, the initialisation and the batch order.

    The premise is that there is nothing to learn, as the labels say no more about the true ones than chance, that the
    net has learned some of it by heart, and that held-out images are new. If `new` is false it is asked about its own.
    """
    world = digits(seeds, n=images, n_test=held_out)
    labels = seeds.integers("labels", images, high=CLASSES)
    net = MLP((64, width, width, CLASSES))
    fit = train(
        seeds, net, net.init(seeds), world.x, labels,
        loss=cross_entropy, optimizer=partial(parts().sgd, lr=rate, momentum=0.9),
        epochs=epochs, batch=32, goal=interpolates,
    )  # fmt: skip
    train_accuracy = accuracy(net(fit.parameters, world.x), labels)
    test_accuracy = accuracy(net(fit.parameters, world.x_test), world.y_test)
    asked, drawn = (world.x_test, seeds.integers("labels.new", held_out, high=CLASSES)) if new else (world.x, labels)
    guessed = accuracy(net(fit.parameters, asked), drawn)
    labels_true = (labels == world.y).double().mean(dim=1)
    return Rows(
        win=(train_accuracy == 1) & (test_accuracy <= AT_CHANCE) & (guessed <= AT_CHANCE),
        premise=(labels_true <= AT_CHANCE) & (train_accuracy > AT_CHANCE) & are_new(world.x_test, world.x),
        train_accuracy=train_accuracy,
        test_accuracy=test_accuracy,
        guessed=guessed,
        labels_true=labels_true,
        epochs=fit.epochs,
    )


def test_claim(judge):
    """64-64-64-10 units (8970 parameters, He's initialisation), at most 50 epochs in batches of 32, momentum 0.9.

    The learning rate is 0.03. At chance is right on at most 20 %, twice what guessing one class of ten gives.
    """
    judge(trial).supports()


def test_control_eight_units_cannot(judge):
    judge(trial, width=8).refutes()


def test_control_images_that_are_not_new(judge):
    """Asked about the images it was trained on, the net knows what it was told."""
    judge(trial, new=False).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Accuracy on the labels that were told, and on the true ones of unseen images: every wide net knows by heart."""
    nets = {"64 units": measured["claim"], "8 units (control)": measured["control_eight_units_cannot"]}
    columns = {"train_accuracy": "training images,\nrandom labels", "test_accuracy": "held-out images,\ntrue labels"}
    draw.columns(ax, {name: {net: rows[key] for net, rows in nets.items()} for key, name in columns.items()})
    draw.level(ax, 1 / CLASSES, "chance")
    ax.set(ylabel="accuracy", ylim=(0, 1.05))
    ax.legend(loc="upper right")
