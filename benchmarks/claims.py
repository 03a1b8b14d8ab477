"""What every benchmark here prints: one JSON object a claim, the last line being the verdict."""

from __future__ import annotations

import json
from typing import Any

from volition.run.folder import current_versions


def claim(text: str, value: Any, unit: str, target: str, holds: bool, **more: Any) -> bool:
    """Prints one claim; returns whether it holds."""
    document = {
        "claim": text,
        "value": value,
        "unit": unit,
        "target": target,
        "holds": bool(holds),
        **more,
        "versions": current_versions(),
    }
    print(json.dumps(document), flush=True)
    return bool(holds)
