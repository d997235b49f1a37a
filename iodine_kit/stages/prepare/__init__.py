"""prepare: published files, or a generator, become a data set in our shards.

`config` says what is wanted, `choice` finds the plug-ins and rules that this means, and `plan` looks at the source:
the result is `work`, which `make` carries out. `recipe` is the work on one record, which `workers` may do in several
processes; `assembly` deals the results out to splits and writes shards; `journal` keeps what is done, so that an
interruption costs nothing and changes nothing; `outcome` describes and shows what came of it.
"""

from iodine_kit.stages.prepare.config import TABLES, PrepareConfig, PrepareExecution
from iodine_kit.stages.prepare.plan import INPUTS, VERSION, plan
from iodine_kit.stages.prepare.resolve import Choice, choose

configure = choose
__all__ = [
    "INPUTS", "TABLES", "VERSION", "Choice", "PrepareConfig", "PrepareExecution", "choose", "configure", "plan",
]  # fmt: skip
