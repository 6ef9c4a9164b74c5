"""The demo's self-contained report: one HTML file, pictures inside."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

import softstore
from trainer.demo.figures import bytes_by_track, learning_curves, posteriorgram
from trainer.demo.questions import TEMPERATURES


def write_report(out: Path, summary: Mapping[str, Any]) -> None:
    """Write ``report.html`` below ``out`` from the summary and the store beside it."""
    utterance = softstore.open(out / "store")[summary["utterance_id"]]
    template = jinja2.Environment(
        loader=jinja2.PackageLoader("trainer", "demo"), autoescape=True, undefined=jinja2.StrictUndefined
    ).get_template("report.html.j2")
    pictures = {
        "posteriorgram": posteriorgram(utterance, TEMPERATURES),
        "learning_curves": learning_curves({row["title"]: row["curve"] for row in summary["table"]}),
        "bytes_by_track": bytes_by_track(summary["store"]["track_bytes"], summary["store"]["frames"]),
    }
    encoded = {name: base64.b64encode(picture).decode() for name, picture in pictures.items()}
    (out / "report.html").write_text(template.render(**summary, **encoded), encoding="utf-8")
