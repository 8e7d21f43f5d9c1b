"""Fills the page's templates."""

from __future__ import annotations

import functools
import math
from typing import Any

import jinja2

from components.common import readable


def render(template: str, **values: Any) -> str:
    """Fills a template.

    Args:
      template: name of a file in `templates/`.
      **values: what it asks for; a value that it lacks is an error.

    Returns:
      An HTML page that needs nothing else.
    """
    return _environment().get_template(template).render(**values)


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("components.reporter"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["score"] = lambda value: "–" if math.isnan(value) else f"{value:.4f}"
    environment.filters["share"] = lambda value: f"{value:.1%}"
    environment.filters["count"] = lambda value: f"{value:,}"
    environment.filters["counted"] = readable.counted
    return environment
