"""What /metrics says, read as Prometheus reads it."""

from __future__ import annotations

from typing import Any

from prometheus_client import Metric
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text


class Scraped:
    """One answer. Indexed by a sample's name and labels, it gives the sum of all that match."""

    def __init__(self, text: str, *, openmetrics: bool = False) -> None:
        parse: Any = parse_openmetrics if openmetrics else parse_text
        self.families: list[Metric] = list(parse(text))
        self.samples = [sample for family in self.families for sample in family.samples]

    @property
    def names(self) -> set[str]:
        return {sample.name for sample in self.samples}

    def all(self, name: str, **labels: str) -> list[Any]:
        return [
            sample
            for sample in self.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]

    def sum(self, name: str, **labels: str) -> float:
        found = self.all(name, **labels)
        assert found, f"there is no {name} with {labels}"
        return sum(float(sample.value) for sample in found)

    def values(self, name: str, label: str) -> dict[str, float]:
        return {sample.labels[label]: sample.value for sample in self.all(name)}
