"""The page's templates: everything put into them is escaped unless it is :class:`markupsafe.Markup` already."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from iodine_kit import formatting
from iodine_kit.tables import shown


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("iodine_kit.reporting", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for filter_ in (formatting.number, formatting.count, formatting.setting, formatting.interval, shown):
        environment.filters[filter_.__name__] = filter_
    return environment


def fill(template: str, **values: Any) -> Markup:
    """Fill in ``templates/<template>``; a name that the template asks for and is not given is an error."""
    return Markup(_environment().get_template(template).render(**values))
