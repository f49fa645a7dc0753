"""The stand-ins as commands: ``python -m sandbox recall`` and ``python -m sandbox zoom``."""

import json
import signal
import threading
from pathlib import Path
from typing import Any, get_args

import click

from sandbox import events
from sandbox.recall import RecallSandbox
from sandbox.zoom import Delivery, ZoomSandbox


class LimitType(click.ParamType[tuple[int, float]]):
    """``60/60``: at most 60 in any 60 seconds."""

    name = "COUNT/SECONDS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: Any) -> tuple[int, float]:
        """Parse the two numbers."""
        try:
            count, seconds = str(value).split("/")
            return int(count), float(seconds)
        except ValueError:
            self.fail(f"{value!r} is not like 60/60", param, ctx)


@click.group()
def main() -> None:
    """Stand-ins for Recall and for Zoom. Neither needs an account."""


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=0, help="0: any free port.", show_default=True)
@click.option("--api-key", default="sandbox-key", show_default=True)
@click.option("--latency", default=0.0, help="Seconds that each call takes.", show_default=True)
@click.option("--limit", type=LimitType(), help="Successful creates, for instance 60/60.")
@click.option("--retrieve-limit", type=LimitType(), help="Retrieves, for instance 300/60.")
@click.option("--link-seconds", default=3600.0, help="Lifetime of a link.", show_default=True)
@click.option("--idempotency-seconds", default=3600.0, show_default=True)
@click.option("--processing-seconds", default=0.2, show_default=True)
@click.option("--video-bytes", type=int, help="Size of a synthetic video.")
@click.option("--client-id", help="The Zoom app's, to check join signatures.")
@click.option("--client-secret", help="The Zoom app's.")
@click.option("--webhook-url", help="Where to send status webhooks.")
@click.option("--webhook-secret", help="whsec_..., to sign them.")
@click.option("--webhook-scale", default=0.001, help="Compresses retries.", show_default=True)
def recall(**options: Any) -> None:
    """Run a stand-in for Recall until SIGTERM or Ctrl-C.

    Prints one line of JSON, {"url": ...}, when it is ready. It is controlled over HTTP: GET
    /_sandbox/ledger, /_sandbox/connections, /_sandbox/summary, /_sandbox/faults; POST
    /_sandbox/faults, /_sandbox/settings, /_sandbox/streams/<rtms_stream_id>/end,
    /_sandbox/streams/<rtms_stream_id>/media/<kind>; DELETE /_sandbox/faults.
    """
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    try:
        sandbox = RecallSandbox(**options)
    except (OSError, ValueError) as error:  # the port is in use, or options conflict
        raise click.ClickException(str(error)) from error
    with sandbox:
        click.echo(json.dumps({"url": sandbox.url}))
        over.wait()


@main.group()
@click.option("--endpoint", required=True, help="Your server's URL, with /zoom-webhook.")
@click.option("--secret-token", required=True, envvar="ZOOM_SECRET_TOKEN", show_envvar=True)
@click.option("--nested", is_flag=True, help="Put the fields under payload.object.")
@click.option("--copies", default=1, help="Send this many at the same time.", show_default=True)
@click.pass_context
def zoom(ctx: click.Context, endpoint: str, secret_token: str, nested: bool, copies: int) -> None:
    """Send signed deliveries to your own server as Zoom does.

    Start a stream, and use the printed ids to interrupt, move or stop it. The exit code is 1 if
    Zoom would count the delivery as failed.
    """
    sender = ctx.with_resource(ZoomSandbox(endpoint, secret_token))
    ctx.obj = {"zoom": sender, "nested": nested, "copies": copies}


def _stream_options(command: Any) -> Any:
    for option in (
        click.option("--meeting-id", help="The meeting's number."),
        click.option("--server-urls", help="Comma-separated."),
        click.option("--operator-id"),
        click.option("--stream-id", "rtms_stream_id"),
        click.option("--meeting-uuid", help="Also a webinar's UUID or a session's id."),
        click.option("--product", type=click.Choice(get_args(events.Product)), default="meeting"),
    ):
        command = option(command)
    return click.pass_obj(command)


def _stream(options: dict[str, Any]) -> events.Stream:
    return events.Stream(**{name: value for name, value in options.items() if value is not None})


def _send(obj: dict[str, Any], body: events.Body) -> None:
    click.echo(json.dumps(body, indent=2))
    if obj["copies"] == 1:
        _report([obj["zoom"].deliver(body)])
    else:
        _report(obj["zoom"].deliver_at_once(body, obj["copies"]))


def _report(deliveries: list[Delivery]) -> None:
    for each in deliveries:
        result = each.error if each.status is None else f"{each.status} {each.answer.strip()}"
        click.echo(f"{'ok' if each.ok else 'FAILED'} after {each.seconds * 1000:.0f} ms: {result}")
    if not all(each.ok for each in deliveries):
        raise SystemExit(1)


@zoom.command()
@click.option("--signed", is_flag=True, help="With signature headers.")
@click.pass_obj
def validate(obj: dict[str, Any], signed: bool) -> None:
    """Send the challenge that Zoom sends to validate an endpoint, and check the answer."""
    result = obj["zoom"].validate(signed=signed)
    click.echo(f"{'ok' if result.ok else 'FAILED'}: {result.reason}")
    if not result.ok:
        raise SystemExit(1)


@zoom.command()
@_stream_options
def start(obj: dict[str, Any], **options: Any) -> None:
    """Send rtms_started. Ids that are not given are random."""
    _send(obj, events.started(_stream(options), nested=obj["nested"]))


@zoom.command()
@click.option("--reason", default=6, help="6: the meeting ended.", show_default=True)
@_stream_options
def stop(obj: dict[str, Any], reason: int, **options: Any) -> None:
    """Send rtms_stopped for a stream that was started."""
    _send(obj, events.stopped(_stream(options), reason, nested=obj["nested"]))


@zoom.command()
@_stream_options
def interrupt(obj: dict[str, Any], **options: Any) -> None:
    """Send rtms_interrupted for a stream that was started."""
    urls = options["server_urls"]
    _send(obj, events.interrupted(_stream(options), server_urls=urls, nested=obj["nested"]))


@zoom.command()
@_stream_options
def failover(obj: dict[str, Any], **options: Any) -> None:
    """Send rtms_started again, with new server_urls, for a stream that was started."""
    _send(obj, events.failover(_stream(options), nested=obj["nested"]))


@zoom.command("near-limit")
@click.pass_obj
def near_limit(obj: dict[str, Any]) -> None:
    """Send rtms.concurrency_near_limit."""
    _send(obj, events.concurrency_near_limit(nested=obj["nested"]))


@zoom.command()
@_stream_options
def limited(obj: dict[str, Any], **options: Any) -> None:
    """Send rtms.concurrency_limited."""
    _send(obj, events.concurrency_limited(_stream(options), nested=obj["nested"]))


@zoom.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.pass_obj
def send(obj: dict[str, Any], file: Path) -> None:
    """Send the JSON body in a file."""
    _send(obj, json.loads(file.read_text("utf-8")))


if __name__ == "__main__":
    main(prog_name="python -m sandbox")
