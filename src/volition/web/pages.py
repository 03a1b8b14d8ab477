"""What every page has: the templates, and the styles and scripts beside them, all our own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from volition.evidence.report.page import number, read_source
from volition.reward.preferences import Proportion

TEMPLATES = Path(__file__).parent / "templates"
KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
STYLE = "report.css"  # the report's, which the pages share


@cache
def template(name: str) -> jinja2.Template:
    """One of the templates, which escape all that they are given."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    environment.filters["percent"] = percent
    environment.filters["proportion"] = proportion
    return environment.get_template(name)


def page(name: str, values: Mapping[str, object], status: int = 200) -> HTMLResponse:
    """A template filled in."""
    return HTMLResponse(template(name).render(**values), status)


def percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}%"


def proportion(counted: Proportion) -> str:
    """A share with its interval, in words."""
    if not counted.trials:
        return "not known yet"
    low, high = counted.interval
    return (
        f"{counted.share:.0%} ({counted.successes} of {counted.trials}; "
        f"95% interval {low:.0%} to {high:.0%})"
    )


def static() -> Route:
    """The styles and scripts: those files alone that the package has."""
    texts = {
        path.name: path.read_text(encoding="utf-8")
        for path in TEMPLATES.iterdir()
        if path.suffix in KINDS
    }
    texts[STYLE] = read_source(STYLE)

    async def answer(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in texts:
            return PlainTextResponse("there is no such file\n", 404)
        return Response(
            texts[name],
            media_type=KINDS[Path(name).suffix],
            headers={"Cache-Control": "no-cache"},
        )

    return Route("/static/{name}", answer)
