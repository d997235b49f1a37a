"""The templates of pages and charts. All values are escaped unless they are :class:`markupsafe.Markup`."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from iodine_kit import formatting
from iodine_kit.tables import Cell, shown

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("iodine_kit.reporting", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for filter_ in (in_two_lines, formatting.number, formatting.count, formatting.setting, formatting.interval, shown):
        environment.filters[filter_.__name__] = filter_
    return environment


def in_two_lines(cell: Cell) -> Markup:
    """A cell as tables show it; on a narrow screen, the interval after a mean is below it."""
    mean, bracket, interval = shown(cell).partition(" [")
    broken = Markup(' <br class="narrow">[') if mean and bracket else Markup(bracket)
    return Markup("{}{}{}").format(mean, broken, interval)


def fill(template: str, **values: Any) -> Markup:
    """Render ``templates/<template>``; a name that the template uses and that is not given is an error."""
    return Markup(_environment().get_template(template).render(**values))
