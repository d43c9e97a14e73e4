"""Plan a job: disk, memory, time and money, from measured rates.

`measure_rates` measures this machine in some seconds, `plan` counts a job's operations and multiplies;
docs/reference/memory.md has the formulas.
"""

from cosup.planning.job import Cluster, Job, read_cluster, sizes_of
from cosup.planning.measure import measure_rates
from cosup.planning.plan import Plan, Stage, plan
from cosup.planning.plan_text import render_plan
from cosup.planning.rates import Rates, read_rates

__all__ = [
    "Cluster",
    "Job",
    "Plan",
    "Rates",
    "Stage",
    "measure_rates",
    "plan",
    "read_cluster",
    "read_rates",
    "render_plan",
    "sizes_of",
]
