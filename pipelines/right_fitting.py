"""Machines that fit the step: what Dataflow is told of memory and GPUs, and nobody else.

Reading and grouping rows need next to nothing, a speech encoder or an LLM with a shard of sound
needs gigabytes. Steps say so by Beam's resource hints, from which Dataflow makes a pool of machines
for each kind of step. Other runners have no such pools. Yet steps whose hints differ are never run
in one go by any of them: Beam's in-process runner would write between them what it else hands over,
and Flink would start a second Python process, with a second copy of every model. So hints are
forgotten where nothing fits machines to them.
"""

from __future__ import annotations

from typing import Any, TypeVar

from pipelines import quiet  # noqa: F401  (before Beam)

from apache_beam.options.pipeline_options import GoogleCloudOptions  # isort: skip
from apache_beam.options.pipeline_options import PipelineOptions  # isort: skip
from apache_beam.options.pipeline_options import StandardOptions  # isort: skip
from apache_beam.pipeline import PipelineVisitor  # isort: skip
from apache_beam.portability.common_urns import resource_hints  # isort: skip

MODEL_RAM = "8GB"
"""Of a machine, not of a process: the least on which a model runs beside a shard of sound. The
demo's preparation holds 1.8 GB in one process, the rest is for longer shards. Dataflow runs one for
each vCPU: take machines of 4 GB a vCPU, as n2-standard are; --resource_hint=min_ram=64GB asks for
more."""

Step = TypeVar("Step")


def with_model(step: Step) -> Step:
    """The step, asking for a machine that a model fits on."""
    asking: Step = step.with_resource_hints(min_ram=MODEL_RAM)  # type: ignore[attr-defined]
    return asking


def fit(pipeline: Any, options: PipelineOptions) -> None:
    """Leaves a pipeline the hints that its runner uses.

    Raises:
        ValueError: a step asks for a GPU, which flexible scheduling has none of.
    """
    name = options.view_as(StandardOptions).runner or ""
    flexible = bool(options.view_as(GoogleCloudOptions).flexrs_goal)
    if "dataflow" in name.lower() and not flexible:
        return
    if flexible and _Hints.of(pipeline, resource_hints.ACCELERATOR.urn):
        raise ValueError(
            "Dataflow's flexible scheduling has no GPUs: leave out --flexrs_goal or the accelerator"
        )
    pipeline.visit(_Forget())


class _Hints(PipelineVisitor):
    """Looks for a hint."""

    def __init__(self, urn: str) -> None:
        self.urn = urn
        self.found = False

    @classmethod
    def of(cls, pipeline: Any, urn: str) -> bool:
        """Whether any step has the hint."""
        visitor = cls(urn)
        pipeline.visit(visitor)
        return visitor.found

    def enter_composite_transform(self, node: Any) -> None:
        """Beam calls this at every step made of others."""
        self.found |= self.urn in node.resource_hints

    visit_transform = enter_composite_transform


class _Forget(PipelineVisitor):
    """Takes the hints away."""

    def enter_composite_transform(self, node: Any) -> None:
        """Beam calls this at every step made of others."""
        node.resource_hints = {}

    visit_transform = enter_composite_transform
