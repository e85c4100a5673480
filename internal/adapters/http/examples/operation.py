"""Examples of what admins and whoever runs Windlass ask."""

from __future__ import annotations

from typing import Final

from internal.adapters.http.admin import InvariantsAnswer
from internal.adapters.http.examples.declaring import Examples
from internal.adapters.http.examples.story import WORKER, at
from internal.adapters.http.operation import Health, Ready
from internal.domain.invariants import INVARIANTS, Finding

FINDINGS: Final = [
    Finding(each.number, each.statement, each.how, holds=True, violations=(), checked_at=at(12))
    for each in INVARIANTS
]
NUMBERS: Final = f"""\
# HELP windlass_http_requests_total Requests answered
# TYPE windlass_http_requests_total counter
windlass_http_requests_total{{method="POST",route="/v1/jobs",status="201"}} 120.0
# HELP windlass_worker_running Jobs that a worker process runs
# TYPE windlass_worker_running gauge
windlass_worker_running{{worker="{WORKER}"}} 1.0
"""

EXAMPLES: Final = {
    "invariants": Examples(answers={200: InvariantsAnswer(FINDINGS)}),
    "health": Examples(answers={200: Health("ok")}),
    "ready": Examples(answers={200: Ready("ready")}),
    "metrics": Examples(answers={200: NUMBERS}),
}
