"""Executes workflows with `workflows-emulator`, in whose environment it runs.

Reads a line of JSON an execution, with the workflow's file, its argument, its environment variables
and the address that stands for the cloud, to which requests go without credentials. Sleeping takes
no time. Writes a line of JSON: the result, or the error.
"""

import json
import logging
import os
import sys
import time
from threading import Lock
from urllib.parse import quote

import requests
from workflows_emulator import main
from workflows_emulator.lib import http_utils, text_utils
from workflows_emulator.utils import WorkflowError

address = ""


class Session(requests.Session):
    """Sends what is meant for the cloud to the address that stands for it."""

    def __init__(self, _: object) -> None:
        super().__init__()
        self.trust_env = False

    def request(self, method: str, url: str, **keywords: object) -> requests.Response:
        """As of `requests.Session`."""
        assert url.startswith("https://"), url
        return super().request(method, f"{address}/{url.removeprefix('https://')}", **keywords)


logging.disable(logging.CRITICAL)
http_utils.AuthorizedSession = Session
http_utils.default = lambda **_: (None, "project")
text_utils.url_encode = lambda text: quote(text, safe="")  # the emulator leaves slashes
main.sleep = time.sleep = lambda _: None
for line in sys.stdin:
    execution = json.loads(line)
    address = execution["address"]
    os.environ.update(execution["environment"])
    main.LOCK = Lock()  # an assignment that fails keeps it
    try:
        workflow = main.load_workflow(execution["workflow"])
        ended = {"result": main.execute_workflow(workflow, {"input": execution["argument"]})}
    except WorkflowError as error:
        ended = {"error": error.payload}
    print(json.dumps(ended, default=str), flush=True)
