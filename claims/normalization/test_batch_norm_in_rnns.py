"""Batch norm is of less use in recurrent nets.

Slide: Batch Normalization, its last line in the version of the deck on the web; the PDF has dropped it.

Two papers asked, half a year apart, and came back with opposite answers. Laurent et al. found that batch norm between
hidden states did not help training, and that on the inputs it sped training up without better generalisation.
Cooijmans et al. normalised the hidden states too, keeping statistics for every time step, and report faster convergence
and better generalisation. So "batch norm in a recurrent net" names a family of nets, and the sign of its effect depends
on which is meant. What can be tested is next to it: what batch norm needs of its batch (F6), and that layer norm needs
no batch at all, which is why recurrent nets took it up instead (F12).
"""

from __future__ import annotations

from claimlab import Claim

CLAIM = Claim(
    id="normalization/batch-norm-is-weaker-in-recurrent-nets",
    covers=("F8",),
    slide="Batch Normalization",
    version=1,
    finding="untestable",
    says="Batch norm is much less effective in recurrent nets than in other nets, though variants of it exist.",
    statement="have to fix which hidden or input maps are normalised, whether a time step has statistics of its own, "
    "and what effectiveness is in two different kinds of net. Each choice is a claim that the deck does not make, and "
    "the published ones come out with both signs.",
    reason="Laurent et al. 2015 find no help from normalising hidden states, Cooijmans et al. 2016 find faster "
    "convergence and better generalisation with statistics for each time step. The sentence allows for both: what "
    "works counts as a variant.",
    scope="the batch that batch norm needs (F6) and layer norm's independence of it (F12) are tested",
    source="Laurent et al. 2015 (arXiv 1510.01378) against Cooijmans et al. 2016 (arXiv 1603.09025)",
)
