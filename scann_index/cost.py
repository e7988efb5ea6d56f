"""What an evaluation and the stages before it cost: time, processor, memory, size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

_TITLES = {
    "prepare": "prepare the speech",
    "train": "train the model",
    "build": "build the index",
    "evaluate": "evaluate",
}


def of_stages(stages: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What each stage recorded of its cost.

    Args:
        stages: `stats.json` of each stage by its name, in their order. `wall_seconds` is a number,
            or numbers by step; `cpu_seconds` and `peak_memory_bytes` may be missing.

    Returns:
        Of each stage that recorded its time: `stage`, `wall_seconds`, `steps` (seconds by step,
        empty if there is one), `cpu_seconds` and `peak_memory_bytes` (None if not recorded).
    """
    found = []
    for stage, stats in stages.items():
        seconds = stats.get("wall_seconds")
        if seconds is None:
            continue
        steps = seconds if isinstance(seconds, Mapping) else {}
        cpu = stats.get("cpu_seconds")
        found.append(
            {
                "stage": stage,
                "wall_seconds": float(sum(steps.values()) if steps else seconds),
                "steps": {name: float(value) for name, value in steps.items()},
                "cpu_seconds": float(sum(cpu.values()) if isinstance(cpu, Mapping) else cpu)
                if cpu is not None
                else None,
                "peak_memory_bytes": stats.get("peak_memory_bytes"),
            }
        )
    return found


def sizes(stages: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """What was made, in numbers: a name and a value for a person."""
    trained, built = stages.get("train", {}), stages.get("build", {})
    made = (
        ("parameters", trained.get("parameters"), "{:,}"),
        ("training steps", trained.get("steps"), "{:,}"),
        ("tokens trained on", trained.get("tokens"), "{:,}"),
        ("floating-point operations in training", trained.get("flops"), "{:.2g}"),
        ("of the machine's matmul peak in training", trained.get("matmul_share"), "{:.0%}"),
        ("rows indexed", built.get("rows"), "{:,}"),
    )
    return [(name, form.format(value)) for name, value, form in made if value is not None]


def section(stages: Mapping[str, Mapping[str, Any]]) -> Markup:
    """A table of the stages and their steps, the time of each as a bar too."""
    rows = of_stages(stages)
    if not rows:
        return Markup('<p class="mute">No stage recorded its time.</p>')
    total = sum(row["wall_seconds"] for row in rows)
    lines = []
    for row in rows:
        title = _TITLES.get(row["stage"], row["stage"])
        lines.append(_line(title, row["wall_seconds"], total, row, ""))
        lines += [_line(step, s, total, {}, "step") for step, s in row["steps"].items()]
    known = [row["cpu_seconds"] for row in rows if row["cpu_seconds"] is not None]
    foot = {"cpu_seconds": sum(known) if len(known) == len(rows) else None}
    made = Markup("").join(
        Markup("<span><b>{}</b> {}</span>").format(value, name) for name, value in sizes(stages)
    )
    return Markup(
        '<p class="made">{}</p><div class="scroll" tabindex="0"><table class="plain cost"><thead>'
        '<tr><th scope="col">stage</th><th scope="col">time</th><th scope="col" class="share">'
        'share</th><th scope="col">processor time</th><th scope="col">peak memory</th></tr>'
        "</thead><tbody>{}</tbody><tfoot>{}</tfoot></table></div>"
        '<p class="mute">Time by the clock; processor time adds up all cores. A dash: the stage '
        "did not record it.</p>"
    ).format(made, Markup("").join(lines), _line("all", total, total, foot, "all"))


_LINE = Markup(
    '<tr class="{kind}"><th scope="row">{title}</th><td>{wall}</td><td class="share">'
    '<div><svg width="100%" height="10" aria-hidden="true"><rect class="fill" '
    'width="{share:.1f}%" height="10" rx="2"/></svg><span>{share:.0f}%</span></div></td>'
    "<td>{cpu}</td><td>{memory}</td></tr>"
)


def _line(title: str, seconds: float, total: float, row: Mapping[str, Any], kind: str) -> Markup:
    cpu, memory = row.get("cpu_seconds"), row.get("peak_memory_bytes")
    blank = "" if kind == "step" else "–"
    return _LINE.format(
        kind=kind,
        title=title,
        wall=duration(seconds),
        share=100 * seconds / max(total, 1e-9),
        cpu=blank if cpu is None else duration(cpu),
        memory=blank if memory is None else f"{memory / 1e9:.2f} GB",
    )


def duration(seconds: float) -> str:
    """`42.6 s`, `9 min 8 s` or `3 h 20 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds + 0.5) // 60} min {int(seconds + 0.5) % 60} s"
    minutes = int(seconds / 60 + 0.5)
    return f"{minutes // 60} h {minutes % 60} min"
