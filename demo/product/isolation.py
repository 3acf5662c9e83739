"""How Tallyroom keeps its organisations apart, said to the monitor."""

from __future__ import annotations

import tocsin
from demo.product.flags import DEFAULT
from demo.product.models import Organisation


def declare() -> None:
    """Rows carry the organisation's slug in `org_id`, as requests do; flags marked `*` are everybody's."""
    tocsin.isolation(tenant_columns=["org_id"], models={Organisation: "id"}, shared=[DEFAULT])
