"""A stand-in for the Google provider: Terraform talks to it as to the real one, without a network.

It serves Terraform's plugin protocol 6 on a Unix socket, which `TF_REATTACH_PROVIDERS` names. It
knows the provider's schema (arguments, types, nesting, listed values), not its code: rules between
arguments, regular expressions and defaults are the real provider's alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import msgpack

from tests.terraform import schema
from tests.terraform.schema import SCHEMA
from tests.terraform.wire import mapping, message, nested, parse, text

ADDRESS = "registry.terraform.io/hashicorp/google"
Fields = dict[int, list[int | bytes]]


def value_of(fields: Fields, number: int) -> Any:
    """A `DynamicValue`."""
    data = nested(fields, number).get(1, [b"\xc0"])[-1]
    return msgpack.unpackb(data, raw=False, strict_map_key=False, ext_hook=msgpack.ExtType)


def dynamic(value: Any) -> bytes:
    """A value as a `DynamicValue`."""
    return message((1, msgpack.packb(value)))


def diagnostic(summary: str) -> bytes:
    """An error."""
    return message((1, 1), (2, summary))


class Provider:
    """Answers the calls of protocol 6; a method's name is the call's."""

    def GetProviderSchema(self, _: Fields) -> bytes:
        """Everything Terraform asks first."""
        resources = {name: schema.encode(block) for name, block in SCHEMA["resources"].items()}
        data = {name: schema.encode(block) for name, block in SCHEMA["data_sources"].items()}
        return message(
            (1, schema.encode(SCHEMA["provider"])),
            *mapping(2, resources.items()),
            *mapping(3, data.items()),
        )

    def ValidateProviderConfig(self, _: Fields) -> bytes:
        """The schema has said it all."""
        return b""

    def ConfigureProvider(self, _: Fields) -> bytes:
        """There is nothing to log in to."""
        return b""

    def ValidateResourceConfig(self, request: Fields) -> bytes:
        """Values that the documentation lists are held to the list."""
        block = SCHEMA["resources"][text(request, 1)]
        found = schema.problems(block, value_of(request, 2))
        return message(*((1, diagnostic(problem)) for problem in found))

    def ValidateDataResourceConfig(self, _: Fields) -> bytes:
        """The schema has said it all."""
        return b""

    def UpgradeResourceState(self, request: Fields) -> bytes:
        """The state is always of this version."""
        state = json.loads(nested(request, 3)[1][0])
        return message((1, dynamic(state)))

    def ReadResource(self, request: Fields) -> bytes:
        """Nobody else changes anything."""
        return message((1, dynamic(value_of(request, 2))))

    def PlanResourceChange(self, request: Fields) -> bytes:
        """The configuration, with what is yet to be computed unknown."""
        proposed = value_of(request, 3)
        if proposed is not None:
            proposed = schema.planned(SCHEMA["resources"][text(request, 1)], proposed)
        return message((1, dynamic(proposed)), (5, 1))

    def ApplyResourceChange(self, request: Fields) -> bytes:
        """The plan, with everything unknown made up."""
        kind, plan = text(request, 1), value_of(request, 3)
        if plan is not None:
            plan = schema.applied(kind, SCHEMA["resources"][kind], plan)
        return message((1, dynamic(plan)), (4, 1))

    def ReadDataSource(self, request: Fields) -> bytes:
        """The configuration, with everything else made up."""
        kind, config = text(request, 1), value_of(request, 2)
        made = schema.applied(kind, SCHEMA["data_sources"][kind], config)
        return message((1, dynamic(made)))

    def StopProvider(self, _: Fields) -> bytes:
        """Terraform asks it when interrupted; it has nothing to stop."""
        return b""


class _Calls(grpc.GenericRpcHandler):
    """Routes `/tfplugin6.Provider/Call` to the provider's method of that name."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider

    def service(self, details: Any) -> Any:
        """The handler of one call; None says that it is not implemented."""
        service, name = details.method.strip("/").split("/")
        method: Callable[[Fields], bytes] | None = getattr(self.provider, name, None)
        if service != "tfplugin6.Provider" or method is None:
            return None
        return grpc.unary_unary_rpc_method_handler(
            lambda request, _, method=method: method(parse(request))
        )


@contextmanager
def serve() -> Iterator[dict[str, str]]:
    """Serves in a process of its own: gRPC and the forks of a test run don't go together.

    Yields:
        The environment that makes Terraform use it.
    """
    with tempfile.TemporaryDirectory() as folder:
        socket = f"{folder}/provider"
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.terraform.standin", socket],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "no_grpc_proxy": "localhost"},
        )
        assert process.stdin and process.stdout
        assert process.stdout.readline(), "the stand-in provider did not start"
        reattach = {
            "Protocol": "grpc",
            "ProtocolVersion": 6,
            "Pid": process.pid,
            "Test": True,
            "Addr": {"Network": "unix", "String": socket},
        }
        yield {"TF_REATTACH_PROVIDERS": json.dumps({ADDRESS: reattach})}
        process.stdin.close()
        process.wait()


def main(socket: str) -> None:
    """Serves on a Unix socket until standard input ends.

    Args:
        socket: its path, at most 100 characters.
    """
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.server(ThreadPoolExecutor(8), handlers=[_Calls(Provider())], options=options)
    server.add_insecure_port(f"unix:{socket}")
    server.start()
    print("serving", flush=True)
    sys.stdin.read()
    server.stop(grace=None)


if __name__ == "__main__":
    main(sys.argv[1])
