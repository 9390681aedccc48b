"""The approximation error is limited by what we can afford to compute.

Slide: Decomposition of the Error, on what moves its three terms.

The other two terms of the decomposition are numbers: a class, a law of the data and an algorithm fix them. How large
a class we are willing to pay for is a matter of budgets and taste, and no run of a program could come out against it.
What can be tested is next to it: that a larger class approximates at least as well (A6), what it costs to find the
best member of a class (A4), and how fast that search gets near (A10).
"""

from __future__ import annotations

from claimlab import Claim

CLAIM = Claim(
    id="decomposition/approximation-is-bounded-by-compute",
    covers=("A7",),
    slide="Decomposition of the Error (the trends of the three terms)",
    version=1,
    finding="untestable",
    says="How small the approximation error can be made is limited by the cost of computing.",
    statement="have to find a class of functions whose approximation error is limited by something other than what "
    "its members cost to evaluate and to train; whatever was found would be a fact about a budget.",
    reason="The sentence is a judgement about what people can pay for, not about a risk: every outcome of an "
    "experiment agrees with it.",
    scope="the claim on classes and their approximation error (A6) is tested; what it costs to search a class is, too "
    "(A4, A10)",
    source="Bottou & Bousquet 2008, section 2, which trades the three terms off at a given budget",
)
