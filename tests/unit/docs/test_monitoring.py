"""Dashboard and alert rules: Prometheus reads them, and they name only metrics that are published."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml
from tests.promtool import needs_promtool, promtool

from pismo.signals.metrics import NAMES

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "monitoring"
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text())
RULES = [rule for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
SUFFIX = re.compile("_(total|milliseconds)$")


def queries() -> list[str]:
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


def names_in(text: str) -> set[str]:
    return {SUFFIX.sub("", name) for name in re.findall(r"airflow_pismo_(\w+)", text)}


def test_the_dashboard_shows_every_metric_and_no_other() -> None:
    assert names_in(" ".join(queries())) == NAMES


def test_rules_name_metrics_that_are_published() -> None:
    assert names_in(" ".join(rule["expr"] for rule in RULES)) <= NAMES


def test_panels_do_not_overlap() -> None:
    cells = [
        (place["x"] + column, place["y"] + row)
        for place in (panel["gridPos"] for panel in DASHBOARD["panels"])
        for column in range(place["w"])
        for row in range(place["h"])
    ]
    assert len(set(cells)) == len(cells)
    # Grafana's grid has 24 columns
    assert max(column for column, _ in cells) < 24
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_the_dashboard_uses_its_own_variables_only() -> None:
    known = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", " ".join(queries()) + json.dumps(DASHBOARD["panels"])))
    assert used == known
    for panel in DASHBOARD["panels"]:
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references)


def test_the_page_lists_every_metric() -> None:
    page = (FOLDER.parent / "how-to" / "metrics.md").read_text()
    assert set(re.findall(r"`pismo\.(\w+)`", page)) == NAMES


@needs_promtool
def test_alerts_come_when_they_should() -> None:
    assert "SUCCESS" in promtool("check", "rules", str(FOLDER / "alerts.yml"))
    assert "SUCCESS" in promtool("test", "rules", str(FOLDER / "alerts.test.yml"))
    tested = yaml.safe_load((FOLDER / "alerts.test.yml").read_text())["tests"]
    names = {each["alertname"] for test in tested for each in test["alert_rule_test"]}
    assert names == {rule["alert"] for rule in RULES}


@needs_promtool
def test_prometheus_reads_the_queries_of_the_dashboard(tmp_path: Path) -> None:
    rules: list[dict[str, Any]] = [
        {"record": f"query:{number}", "expr": query.replace("$delivery", ".*")}
        for number, query in enumerate(queries())
    ]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert "SUCCESS" in promtool("check", "rules", str(tmp_path / "rules.yml"))


@needs_promtool
def test_each_query_shows_something_if_the_metrics_come(tmp_path: Path) -> None:
    # promtool's tests have no native histograms, which timings are
    asked = [query for query in queries() if "histogram_quantile" not in query]
    found = {name for query in asked for name in re.findall(r"airflow_pismo_\w+", query)}
    labels = '{delivery="a", kind="added", verdict="complete"}'
    test = {
        "interval": "1m",
        "input_series": [{"series": f"{name}{labels}", "values": "0+10x200"} for name in sorted(found)],
        "promql_expr_test": [
            {
                "expr": f"count({query.replace('$delivery', 'a|b')}) >= bool 1",
                "eval_time": "3h",
                "exp_samples": [{"labels": "{}", "value": 1}],
            }
            for query in asked
        ],
    }
    (tmp_path / "queries.yml").write_text(yaml.safe_dump({"evaluation_interval": "1m", "tests": [test]}))
    assert "SUCCESS" in promtool("test", "rules", str(tmp_path / "queries.yml"))
