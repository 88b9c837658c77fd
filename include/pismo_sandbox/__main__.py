"""Serve the look-alike, publish into it, check a lake, or try a project: `python -m pismo_sandbox`."""

from __future__ import annotations

import argparse
import math
import signal
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from pismo_sandbox.check.truth import Truth
from pismo_sandbox.check.verify import Verification, verify
from pismo_sandbox.feed.publisher import Dials, FolderSink, Publisher, S3Sink

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; `verify` returns 1 if the lake differs from the published events."""
    options = _parser().parse_args(arguments)
    return int(options.run(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pismo_sandbox", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="S3, STS and KMS, until a signal arrives")
    serve.add_argument("--host", default="127.0.0.1", help="use 0.0.0.0 in a container")
    serve.add_argument("--port", type=int, default=5055)
    serve.add_argument("--get-object-only", action="store_true", help="deny s3:ListBucket, as Pismo's documents say")
    serve.add_argument("--notices", action="store_true", help="an SNS topic and an SQS queue as well")
    serve.set_defaults(run=_serve)

    gcp = commands.add_parser("serve-gcp", help="a bucket and a Pub/Sub subscription, until a signal arrives")
    gcp.set_defaults(run=_serve_gcp)

    mail = commands.add_parser("serve-mail", help="an SMTP server that keeps mails in a folder, until a signal arrives")
    mail.add_argument("folder", metavar="DIR", type=Path)
    mail.set_defaults(run=_serve_mail)

    queue = commands.add_parser("serve-queue", help="an SQS queue for a consumer of events, until a signal arrives")
    queue.add_argument("file", metavar="FILE", type=Path, help="gets the queue and its credentials, for a shell")
    queue.set_defaults(run=_serve_queue)

    stream = commands.add_parser("stream", help="send each published event once to a queue, as Pismo does in real time")
    stream.add_argument("--truth", metavar="FILE", type=_truth, required=True, help="truth ledger of the events")
    stream.add_argument("--queue", metavar="URL", required=True, help="found with the AWS settings of this shell")
    stream.add_argument("--type", metavar="TEXT", default="", help="only types that begin so, like pix/pix_in")
    stream.set_defaults(run=_stream)

    publish = commands.add_parser("publish", help="publish into a running look-alike")
    publish.add_argument("--endpoint", default="http://127.0.0.1:5055")
    publish.set_defaults(run=_publish)

    generate = commands.add_parser("generate", help="write event files into a folder")
    generate.add_argument("--out", type=Path, required=True)
    generate.set_defaults(run=_generate)

    for command in (publish, generate):
        command.add_argument("--truth", type=Path, help="truth ledger (SQLite); generate: OUT/truth.db")
        command.add_argument(
            "--end", metavar="ISO8601", type=_moment, help="end of the published time (default: the last full hour)"
        )
        command.add_argument("--hours", type=_positive, default=3)
        command.add_argument("--mb", type=_positive, default=30)
        command.add_argument("--seed", type=int, default=7)
        command.add_argument(
            "--everything", action="store_true", help="all dials on: duplicates, damage, late events …"
        )

    check = commands.add_parser("verify", help="compare a local lake with the truth")
    check.add_argument("--lake", type=Path, required=True)
    check.add_argument("--truth", type=_truth, required=True)
    check.set_defaults(run=_verify)

    attempt = commands.add_parser("try", help="run the DAG of a project of `pismo-lake init` once, and check the lake")
    attempt.add_argument("project", metavar="DIR", type=Path)
    attempt.set_defaults(run=_try)
    return parser


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _positive(text: str) -> float:
    if not 0 < float(text) < math.inf:
        msg = f"{text} is not more than 0"
        raise argparse.ArgumentTypeError(msg)
    return float(text)


def _truth(text: str) -> Path:
    """Check that a truth exists: a new one would find nothing missing."""
    if not Path(text).is_file():
        msg = f"no file {text}"
        raise argparse.ArgumentTypeError(msg)
    return Path(text)


def _serve(options: argparse.Namespace) -> int:
    from pismo_sandbox.s3.notices import furnish_notices
    from pismo_sandbox.s3.server import Policy, running_sandbox

    stop = _stop_signal()
    policy = Policy(list_allowed=not options.get_object_only)
    with running_sandbox(policy, host=options.host, port=options.port) as sandbox:
        line = f"{sandbox.endpoint} bucket {policy.bucket} role {policy.role_arn}"
        if options.notices:
            made = furnish_notices(sandbox)
            line += f" queue {made.queue_url} topic {made.topic_arn}"
        print(line, flush=True)
        stop.wait()
    return 0


def _serve_gcp(_: argparse.Namespace) -> int:
    from pismo_sandbox.gcp.cloud import BUCKET, SUBSCRIPTION, running_gcp

    stop = _stop_signal()
    with running_gcp() as cloud:
        print(f"{cloud.storage} bucket {BUCKET} pubsub {cloud.pubsub} subscription {SUBSCRIPTION}", flush=True)
        stop.wait()
    return 0


def _serve_queue(options: argparse.Namespace) -> int:
    from pismo_sandbox.s3.consumer_queue import make_consumer_queue, write_variables
    from pismo_sandbox.s3.server import running_sandbox

    stop = _stop_signal()
    with running_sandbox() as sandbox:
        url = make_consumer_queue(sandbox)
        write_variables(options.file, sandbox, url)
        print(url, flush=True)
        stop.wait()
    return 0


def _stream(options: argparse.Namespace) -> int:
    import boto3

    from pismo_sandbox.check.truth import Truth
    from pismo_sandbox.s3.consumer_queue import send_events

    with Truth(options.truth) as truth:
        sent = send_events(boto3.client("sqs"), options.queue, truth.winning_texts(), options.type)
    print(f"{sent} event(s) sent")
    return 0


def _serve_mail(options: argparse.Namespace) -> int:
    from pismo_sandbox.mail import MailServer

    stop = _stop_signal()
    options.folder.mkdir(parents=True, exist_ok=True)
    with MailServer(options.folder) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(f"smtp://127.0.0.1:{server.server_address[1]}", flush=True)
        stop.wait()
        server.shutdown()
    return 0


def _stop_signal() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _window(options: argparse.Namespace) -> tuple[datetime, datetime]:
    end = options.end or datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    return end - timedelta(hours=options.hours), end


def _run(options: argparse.Namespace, publisher: Publisher, truth: Truth) -> int:
    keys = publisher.publish(*_window(options), int(options.mb * 1e6))
    totals = ", ".join(f"{count} {name}" for name, count in truth.totals().items())
    print(f"{len(keys)} file(s) published; in all: {totals}")
    return 0


def _publish(options: argparse.Namespace) -> int:
    from pismo_sandbox.s3.server import ADMIN_KEY, ADMIN_SECRET, Policy, client

    sink = S3Sink(client("s3", options.endpoint, ADMIN_KEY, ADMIN_SECRET), Policy().bucket)
    with Truth(options.truth or Path("truth.db")) as truth:
        return _run(options, Publisher(sink, truth, seed=options.seed, dials=_dials(options)), truth)


def _generate(options: argparse.Namespace) -> int:
    sink = FolderSink(options.out / "raw")
    with Truth(options.truth or options.out / "truth.db") as truth:
        return _run(options, Publisher(sink, truth, seed=options.seed, dials=_dials(options)), truth)


def _dials(options: argparse.Namespace) -> Dials:
    return Dials.everything() if options.everything else Dials()


def _verify(options: argparse.Namespace) -> int:
    with Truth(options.truth) as truth:
        return _show(verify(options.lake, truth))


def _try(options: argparse.Namespace) -> int:
    from pismo_sandbox.try_out import TryError, try_project

    try:
        return _show(try_project(options.project.resolve()))
    except TryError as error:
        print(error, file=sys.stderr)
        return 2


def _show(found: Verification) -> int:
    print(
        f"{found.events} events published, {found.rows} rows in {found.files} files, {found.leaves} values compared,"
        f" {found.rescued} rescued, {found.rejects} rejects, {found.conflicts} conflicts,"
        f" {found.problem_count} problems"
    )
    for problem in found.problems:
        print(f"  {problem}")
    return 0 if found.ok else 1


if __name__ == "__main__":
    sys.exit(main())
