"""The optimal mapper: branch and bound over a mapspace, with a proof.

The mapspace of an operator on an accelerator is everything below, each choice free of the others:

- *bypass*: for every operand which of the stores that `Store.bypass` allows are left out;
- *spatial*: per dimension of the array counts of one or more of the ranks in `unrolls`, with a
  product of at most its size. A count need not divide: in time ceil(extent / spatial) remains. Of
  counts with the same remainder in time only the smallest is looked at, as none can be better;
- *totals*: of every rank ceil(extent / spatial) in time or, if that has a prime factor above 7, one
  of the totals up to 5 % above it (or one above it) that have more divisors than all smaller ones
  from it on: 197 or 198, 127, 128 or 132. Other padding is outside of the mapspace;
- *temporal*: every way to write the totals as ordered products, and every order of all these loops;
- *keeps*: for every operand and store that keeps it any place in the nest, in the order of the
  hierarchy, each operand at its own.

`size` counts it. All costs are sums over boundaries (operand, store above, store below), or a
maximum of such sums, of terms that depend only on the vector of what lies inside of the boundary's
cut (and for `sliding` stores on the one loop above it). The cuts of a nest are a chain of vectors
of which each divides the next; so a mapping is a chain, the order of loops between two cuts does
not matter, and the search assigns cuts from the inside out:

- `unrolling`, `padding`: spatial counts and totals, together a choice;
- `lattice`, `tables`, `slides`: all cuts of a choice and their costs;
- `bounds`: dynamic programming over (cuts placed, vector) gives what the others cost at least,
  exactly if no store is short of room and the objective is one sum;
- `screen`, `explore`: bounds of choices, refined from the best on only as far as needed;
- `search`: depth first over the cuts, in rounds of growing slack, with dominated nodes left out.

Of mappings equally fast under the same choice of spatial counts, totals and bypasses the one of
least energy is returned: a last search minimises energy with the cycles as a limit. Other ties are
left open, but always broken alike.
"""

from dovetail.mappers.found import Found
from dovetail.mappers.spatial.optimal.mapper import optimal
from dovetail.mappers.spatial.optimal.size import size

__all__ = ["Found", "optimal", "size"]
