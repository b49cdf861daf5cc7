{{/*
Every right of the operator in the namespaces of models, each with its reason. tests/control_plane/test_chart_rights.py compares this list with
what the operator really calls, in both directions. `patch` is server-side apply; `create` is what an apply needs when the object does not exist yet.
*/}}
{{- define "allod.rules" -}}
# What people write. Only /status is ours to write.
- apiGroups: [allod.dev]
  resources: [modeldeployments]
  verbs: [list, watch]
- apiGroups: [allod.dev]
  resources: [modeldeployments/status]
  verbs: [patch]
# Where the admission plugin OwnerReferencesPermissionEnforcement is on (OpenShift), an owner reference that blocks the owner's deletion needs this.
- apiGroups: [allod.dev]
  resources: [modeldeployments/finalizers]
  verbs: [update]
# The children of a model. Those that last as long as it does go by their owner reference, so nobody needs to delete them.
- apiGroups: [apps]
  resources: [statefulsets, controllerrevisions]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [services, configmaps]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch]
- apiGroups: [monitoring.coreos.com]
  resources: [podmonitors, prometheusrules]
  verbs: [get, list, watch, create, patch, delete]
# With rollout.canary.parentRef: how the Gateway parts the requests between two revisions.
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, watch, create, patch, delete]
# Why a model does not serve: its pods, and what the cluster says of its StatefulSets.
# A pod that hangs is deleted once traffic has left it: only that frees clients that wait on it. One lost pod of several is taken out by a label.
# One whose list of LoRA adapters changed gets an annotation: only that makes its kubelet fetch the list now and not within a minute or more.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch, patch, delete]
- apiGroups: [""]
  resources: [events]
  verbs: [list, watch]
# What the operator tells in `kubectl events`.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, get, patch]
{{- end }}
