"""The same requests to an S3 server by two clients: s3fs, used as botocore with an event loop, and botocore alone.

`python benchmarks/s3_clients.py` starts SeaweedFS. Each client runs in a process of its own, several times in turn;
what counts is the CPU of that process (user and system), then the time on the clock. botocore alone is what boto3
calls.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

SMALL, SMALL_BYTES, PART, PARTS, THREADS = 400, 8 << 10, 8 << 20, 32, 8
CONFIG = {
    "read_timeout": 120,
    "connect_timeout": 10,
    "max_pool_connections": 16,
    "retries": {"total_max_attempts": 1},
}


def s3fs_calls(options: dict[str, str]) -> tuple[Callable[..., Any], Callable[[Any], bytes]]:
    """Requests and bodies through s3fs."""
    import s3fs
    from fsspec.asyn import sync

    files = s3fs.S3FileSystem(**options, config_kwargs=CONFIG, use_listings_cache=False)
    files.retries = 1
    return files.call_s3, lambda answer: sync(files.loop, answer["Body"].read)


def botocore_calls(options: dict[str, str]) -> tuple[Callable[..., Any], Callable[[Any], bytes]]:
    """Requests and bodies through one client of botocore."""
    from botocore.config import Config
    from botocore.session import Session

    client = Session().create_client(
        "s3",
        aws_access_key_id=options["key"],
        aws_secret_access_key=options["secret"],
        endpoint_url=options["endpoint_url"],
        region_name="us-east-1",
        config=Config(**CONFIG),
    )
    return lambda method, **keywords: getattr(client, method)(**keywords), lambda answer: answer["Body"].read()


def requests(kind: str, options: dict[str, str], bucket: str) -> dict[str, tuple[float, float]]:
    """CPU and wall seconds of each kind of request."""
    started, cpu = time.perf_counter(), time.process_time()
    call, body = {"s3fs": s3fs_calls, "botocore": botocore_calls}[kind](options)
    call("head_bucket", Bucket=bucket)
    told = {"import and first request": (time.process_time() - cpu, time.perf_counter() - started)}
    small, large = os.urandom(SMALL_BYTES), os.urandom(PART)
    prefix = os.urandom(6).hex()

    def timed(name: str, job: Callable[[int], Any], count: int) -> None:
        started, cpu = time.perf_counter(), time.process_time()
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(job, range(count)))
        told[name] = time.process_time() - cpu, time.perf_counter() - started

    def put(number: int) -> None:
        checksum = base64.b64encode(hashlib.sha256(small).digest()).decode()
        call("put_object", Bucket=bucket, Key=f"{prefix}/{number}", Body=small, ChecksumSHA256=checksum)

    def head(number: int) -> None:
        call("head_object", Bucket=bucket, Key=f"{prefix}/{number}")

    def get(number: int) -> None:
        span = f"bytes=0-{SMALL_BYTES - 1}"
        assert body(call("get_object", Bucket=bucket, Key=f"{prefix}/{number}", Range=span)) == small

    timed(f"PUT {SMALL} x 8 KiB", put, SMALL)
    timed(f"HEAD {SMALL}", head, SMALL)
    timed(f"GET {SMALL} x 8 KiB", get, SMALL)
    key = f"{prefix}/large"
    upload = call("create_multipart_upload", Bucket=bucket, Key=key, ChecksumAlgorithm="SHA256")["UploadId"]
    digest = base64.b64encode(hashlib.sha256(large).digest()).decode()
    marks: dict[int, str] = {}

    def part(number: int) -> None:
        answer = call(
            "upload_part",
            Bucket=bucket,
            Key=key,
            UploadId=upload,
            PartNumber=number + 1,
            Body=large,
            ChecksumSHA256=digest,
        )
        marks[number + 1] = answer["ETag"]

    def piece(number: int) -> None:
        span = f"bytes={number * PART}-{(number + 1) * PART - 1}"
        assert len(body(call("get_object", Bucket=bucket, Key=key, Range=span))) == PART

    timed(f"parts: {PARTS} x 8 MiB", part, PARTS)
    listed = [{"PartNumber": n, "ETag": marks[n], "ChecksumSHA256": digest} for n in sorted(marks)]
    call("complete_multipart_upload", Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": listed})
    timed(f"ranges: {PARTS} x 8 MiB", piece, PARTS)
    return told


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--one", nargs=3, metavar=("CLIENT", "OPTIONS", "BUCKET"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        kind, options, bucket = chosen.one
        print(json.dumps(requests(kind, json.loads(options), bucket)))
        return
    from tests.services import run_s3_server

    found: dict[str, dict[str, list[tuple[float, float]]]] = {"s3fs": {}, "botocore": {}}
    with tempfile.TemporaryDirectory() as folder:
        serving = run_s3_server(Path(folder))
        server = next(serving)
        try:
            for _ in range(chosen.rounds):
                for kind, rows in found.items():
                    command = [
                        sys.executable,
                        __file__,
                        "--one",
                        kind,
                        json.dumps(server.storage_options),
                        server.bucket,
                    ]
                    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                    for name, values in json.loads(output).items():
                        rows.setdefault(name, []).append(values)
        finally:
            serving.close()
    print(f"{'':28} {'CPU s: s3fs':>12} {'botocore':>9} {'wall s: s3fs':>13} {'botocore':>9}")
    for name in found["s3fs"]:
        row = [statistics.median(each[i] for each in found[kind][name]) for i in (0, 1) for kind in found]
        print(f"{name:28} {row[0]:12.3f} {row[1]:9.3f} {row[2]:13.3f} {row[3]:9.3f}")


if __name__ == "__main__":
    main()
