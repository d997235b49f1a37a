"""prepare: write a data set from published files or from a generator.

The work has three phases:

1. :mod:`resolve <iodine_kit.stages.prepare.resolve>` validates the configuration and loads the plug-ins and the split
   rule that it names.
2. :mod:`plan <iodine_kit.stages.prepare.plan>` reads the source's file list and hashes and returns a job.
3. :mod:`make <iodine_kit.stages.prepare.make>` executes the job. ``process_record`` turns one record into encoded
   scenes. ``results`` does this for all records in order: in this process, or in ``blocks`` that the workers of an
   engine process. Every worker reads its own part of the ``source``, and ``schedule`` says which. ``shard_writer``
   assigns the scenes to splits and writes shards. ``journal`` saves the progress so that an interrupted run can
   resume. ``describe`` writes the description and a contact sheet.

With several workers on this machine, the processes are spawned. A Python script that calls this stage must therefore
guard its entry point, or every worker would run the script again::

    if __name__ == "__main__":
        main()
"""

from iodine_kit.stages.prepare.config import TABLES, PrepareConfig, PrepareExecution
from iodine_kit.stages.prepare.inspect import Inspection, inspect
from iodine_kit.stages.prepare.plan import INPUTS, VERSION, plan, planned_config
from iodine_kit.stages.prepare.resolve import ResolvedConfig, configure
from iodine_kit.stages.prepare.trial import Trial, source_bytes, try_scenes

__all__ = [
    "INPUTS", "TABLES", "VERSION", "Inspection", "PrepareConfig", "PrepareExecution", "ResolvedConfig", "Trial",
    "configure", "inspect", "plan", "planned_config", "source_bytes", "try_scenes",
]  # fmt: skip
