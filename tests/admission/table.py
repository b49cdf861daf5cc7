from __future__ import annotations

from admission.adapter_cases import ADAPTER_CASES
from admission.canary_cases import CANARY_CASES
from admission.engine_cases import ENGINE_CASES
from admission.rollout_cases import ROLLOUT_CASES
from admission.slo_cases import SLO_CASES
from admission.spec_cases import SPEC_CASES

CASES = SPEC_CASES + ENGINE_CASES + ROLLOUT_CASES + CANARY_CASES + SLO_CASES + ADAPTER_CASES
