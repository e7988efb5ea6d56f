"""The job that a verb describes for Dataflow, captured by a bucket on this machine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

from apache_beam.internal.gcp import auth
from apache_beam.portability.api import beam_runner_api_pb2

from tests import fake_storage

FLAGS = [
    "--runner=DataflowRunner",
    "--no_auth",
    "--experiments=disable_logging_submission_environment",
    "--project=my-project-123",
    "--region=europe-west4",
    "--job_name=babelear-first",
    "--sdk_container_image=registry/worker:1",
    "--temp_location=gs://bucket/temp",
    "--staging_location=gs://bucket/staging",
    "--template_location=gs://bucket/staging/job_object",
]


@dataclass
class Job:
    """A job as it was described.

    Args:
        description: of the service: machines, network, account.
        pipeline: of Beam: steps, environments.
    """

    description: dict[str, Any]
    pipeline: beam_runner_api_pb2.Pipeline

    @property
    def machines(self) -> dict[str, Any]:
        """The pool of workers."""
        (pool,) = [
            p for p in self.description["environment"]["workerPools"] if p["kind"] == "harness"
        ]
        return dict(pool)

    def environments(self) -> list[beam_runner_api_pb2.Environment]:
        """What steps run in, one for each set of resource hints."""
        return list(self.pipeline.components.environments.values())

    def steps(self) -> dict[str, dict[str, str]]:
        """The steps, by the names of two levels, each with its resource hints."""
        components = self.pipeline.components
        found = {}
        for transform in components.transforms.values():
            if transform.unique_name and transform.unique_name.count("/") < 2:
                environment = components.environments[transform.environment_id]
                hints = environment.resource_hints if transform.environment_id else {}
                found[transform.unique_name] = {
                    urn.split(":")[2]: value.decode() for urn, value in hints.items()
                }
        return found


@contextmanager
def bucket() -> Iterator[fake_storage.Objects]:
    """Makes every `gs://bucket/…` an object of a server on this machine."""
    with fake_storage.serve() as (address, objects), mock.patch.dict("os.environ") as environment:
        environment["STORAGE_EMULATOR_HOST"] = address
        # Beam looks for credentials in spite of --no_auth, for twenty seconds.
        with mock.patch.object(auth._Credentials, "get_service_credentials", lambda _: None):
            yield objects


def capture(
    objects: fake_storage.Objects, main: Callable[[Sequence[str]], int], flags: Sequence[str]
) -> Job:
    """Runs a verb with flags of its own and of Dataflow; gives the job that it describes."""
    try:
        status: Any = main([*flags, *FLAGS])
    except SystemExit as ended:
        status = ended.code
    assert status == 0
    (staged,) = [name for name in objects if name.endswith("/pipeline.pb")]
    pipeline = beam_runner_api_pb2.Pipeline.FromString(objects.pop(staged))
    return Job(json.loads(objects.pop("staging/job_object")), pipeline)
