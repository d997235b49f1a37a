"""Pipelines: one TOML file per reproducible experiment, from data to report. Up-to-date artifacts are reused.

:mod:`file <iodine_kit.pipeline.file>` reads a pipeline file. :mod:`matrix <iodine_kit.pipeline.matrix>` turns one with
a matrix into members, and :mod:`graph <iodine_kit.pipeline.graph>` says which stages the members share.
:mod:`plan <iodine_kit.pipeline.plan>` gives the status of each stage, and :mod:`execution
<iodine_kit.pipeline.execution>` brings the stages up to date; :mod:`side_by_side <iodine_kit.pipeline.side_by_side>`
does so in several processes. :mod:`summary <iodine_kit.pipeline.summary>` compares the members at the end.
"""

from iodine_kit.pipeline.comparison import compare_members, plan_end
from iodine_kit.pipeline.execution import run, run_members, try_engine
from iodine_kit.pipeline.file import (
    COMMANDS,
    FOLDER,
    OPTIONAL,
    STAGES,
    TABLES,
    PipelineConfig,
    check,
    load,
    override,
    roles,
)
from iodine_kit.pipeline.graph import Node, Selection, build_graph, select
from iodine_kit.pipeline.matrix import Member, expand, refuse_matrix
from iodine_kit.pipeline.plan import Planned, plan, plan_graph
from iodine_kit.pipeline.side_by_side import Command, Segment, SideBySide
from iodine_kit.pipeline.summary import Result, Spread, collect, raise_failed, spreads, summary_tables

__all__ = [
    "COMMANDS", "FOLDER", "OPTIONAL", "STAGES", "TABLES", "Command", "Member", "Node", "PipelineConfig", "Planned",
    "Result", "Segment", "Selection", "SideBySide", "Spread", "build_graph", "check", "collect", "compare_members",
    "expand", "load", "override", "plan", "plan_end", "plan_graph", "raise_failed", "refuse_matrix", "roles", "run",
    "run_members", "select", "spreads", "summary_tables", "try_engine",
]  # fmt: skip
