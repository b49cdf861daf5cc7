"""What the API server refuses about rollouts and standbys: each rule with its sentence."""

from __future__ import annotations

from allod.api.markers import Cel
from allod.api.modeldeploymentrules import between

__all__ = ["STANDBY_IS_ITSELF", "STRATEGY", "between"]

STRATEGY = (
    Cel(
        "handoff-standby",
        "!has(self.rollout) || !has(self.rollout.strategy) || self.rollout.strategy != 'StandbyHandoff' || has(self.standby)",
        "rollout.strategy StandbyHandoff needs somebody who answers meanwhile: name a ModelDeployment in standby.modelDeploymentRef",
        field_path=".rollout",
    ),
    Cel(
        "max-surge-strategy",
        "!has(self.rollout) || !has(self.rollout.maxSurge) || !has(self.rollout.strategy) || self.rollout.strategy == 'Surge'",
        "rollout.maxSurge is for the strategy Surge: Canary starts all new pods at once, the others end the old ones before",
        field_path=".rollout",
    ),
)

STANDBY_IS_ITSELF = Cel(
    "standby-itself",
    "!has(self.spec.standby) || self.spec.standby.modelDeploymentRef.name != self.metadata.name",
    "standby.modelDeploymentRef names this very model: a standby is another ModelDeployment",
    field_path=".spec.standby",
)
