"""A real S3 server, in a thread of this process: that of moto, which tests for AWS are made with."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

import fsspec
import pytest

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}
BUCKET = "s3://faces"
MISSING = "S3 IS NOT TESTED: pip install s3fs 'moto[s3,server]'"


@contextlib.contextmanager
def s3_server(environment: pytest.MonkeyPatch) -> Iterator[str]:
    """One with an empty bucket, whose address is given; skips the test where there is none."""
    pytest.importorskip("s3fs", reason=MISSING)
    moto = pytest.importorskip("moto.server", reason=MISSING)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": "http://{}:{}".format(*server.get_host_and_port())}.items():
        environment.setenv(name, value)
    files = fsspec.filesystem("s3", skip_instance_cache=True)
    files.clear_instance_cache()  # of another test's server
    try:
        files.mkdir(BUCKET)
        yield BUCKET
        files.rm(BUCKET, recursive=True)
    finally:
        files.clear_instance_cache()
        server.stop()
