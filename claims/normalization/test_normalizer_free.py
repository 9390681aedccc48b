"""Nets without normalisation layers were the best on ImageNet.

Slide: Reparametrizations and Normalizations.

NFNets replace batch norm by scaled weight standardisation, scalars on the residual branches, and gradients clipped unit
by unit in proportion to the weights. Brock et al. report 86.5 % top-1 on ImageNet without further data, the accuracy of
an EfficientNet-B7 up to 8.7 times faster to train, and 89.2 % after training on 300 million other images first. That
was the top of a table in February 2021. A place in a table is a fact about a day and about who had entered, and the
runs behind it are out of reach of a test. What can be tested is that weight standardisation keeps the variance of a
ReLU net where it is, which is what lets the norm be left out (F16).
"""

from __future__ import annotations

from claimlab import Claim

CLAIM = Claim(
    id="normalization/normalizer-free-nets-lead-on-imagenet",
    covers=("F18",),
    slide="Reparametrizations and Normalizations",
    version=1,
    finding="untestable",
    says="Residual nets without normalisation layers, with scaled weight standardisation in their place, are the state "
    "of the art on ImageNet.",
    statement="have to train the best entries of a public table on ImageNet, and its outcome would hold until the next "
    "entry.",
    reason="The ranking was reported for February 2021 and is bound to that time; whatever stands in the table today "
    "neither confirms nor refutes it. Nothing smaller than ImageNet says who leads on ImageNet.",
    scope="the variance that scaled weight standardisation preserves is tested (F16)",
    source="Brock, De, Smith & Simonyan 2021 (arXiv 2102.06171), abstract",
)
