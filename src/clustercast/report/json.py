"""One JSON document: no NaN, no infinity; what is absent is null."""

import json
import math
from typing import Any


def dumps(document: dict[str, Any]) -> str:
    """The document as text that any JSON reader takes.

    >>> dumps({"days": 1.5, "cost_usd": float("nan")})
    '{\\n  "days": 1.5,\\n  "cost_usd": null\\n}'
    """
    return json.dumps(finite(document), indent=2, allow_nan=False)


def finite(value: Any) -> Any:
    """The same value with null for every number that is none.

    >>> finite({"a": [1.0, float("inf")]})
    {'a': [1.0, None]}
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(each) for each in value]
    return value
