"""Dashboards as Grafana's own SDK reads them: it is no Grafana, but it has the types of one, and forgets what it does
not know.
"""

import json

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

register_default_plugins()


def unknown(dashboard, name):
    """The places of a dashboard that are gone, or others, once the SDK has read and written it."""
    return list(lost(dashboard, json.loads(JSONEncoder().encode(Dashboard.from_json(dashboard))), name))


def lost(before, after, place):
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            yield from lost(value, after[key], f"{place}.{key}") if key in after else [f"{place}.{key}"]
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (one, other) in enumerate(zip(before, after)):
            yield from lost(one, other, f"{place}[{number}]")
    elif before != after:
        yield place
