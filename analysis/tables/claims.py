"""Table of claims: what each asks for, and whether a run has it."""

from collections.abc import Sequence

from analysis.stats.claims import Borne
from analysis.tables.table import Table
from probing.catalogue.claims import list_needs


def tabulate_claims(borne: Sequence[Borne]) -> Table:
    """Each claim, what a run lacks for it, what must have been run, and what it would otherwise leave open.

    Args:
        borne: from `analysis.stats.claims.judge_claims`.
    """
    rows = [
        [
            one.claim.says,
            "lacks " + ", ".join(one.missing) if one.missing else "was run",
            ", ".join(list_needs(one.claim)) or "nothing more",
            one.claim.bounds,
        ]
        for one in borne
    ]
    heads = ["Claim, of a property and a readout", "Here", "Must have been run", "Otherwise it may be"]
    return Table("Claims, and what must have been run before one may make them; then the numbers decide", heads, rows)
