{{/* What the operator needs in each namespace that it works in. */}}
{{- define "keyferry.namespaceRules" -}}
- apiGroups: [keyferry.io]
  resources: [syncedsecrets]
  # get: one for which the watch cache has no room.
  verbs: [get, list, watch]
- apiGroups: [keyferry.io]
  resources: [awsconnections]
  verbs: [list, watch]
- apiGroups: [keyferry.io]
  resources: [syncedsecrets/status, awsconnections/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [secrets]
  {{- if .Values.readOnly }}
  verbs: [get, list, watch]
  {{- else }}
  # A server-side apply is a patch; where there is nothing yet it takes create as well.
  verbs: [get, list, watch, create, patch, delete]
  {{- end }}
- apiGroups: [events.k8s.io]
  resources: [events]
  # A repeated event is patched.
  verbs: [create, patch]
{{- end }}

{{/* The Leases of leader election, in the operator's own namespace. */}}
{{- define "keyferry.leaseRules" -}}
{{- $name := include "keyferry.fullname" . -}}
{{- $shards := int .Values.leaderElection.shards -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  {{- if gt $shards 1 }}
  resourceNames:
    - {{ $name }}
    {{- range until $shards }}
    - {{ $name }}-shard-{{ . }}
    - {{ $name }}-member-{{ . }}
    {{- end }}
  verbs: [get, update]
# One watch of all shards has no resource name.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [list, watch]
  {{- else }}
  resourceNames: [{{ $name }}]
  verbs: [get, list, watch, update]
  {{- end }}
# A create has no resource name.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
{{- end }}

{{/* With readOnly: statuses belong to the operator that holds the Lease, if there is one. */}}
{{- define "keyferry.leaseViewRules" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ include "keyferry.fullname" . }}]
  verbs: [get]
{{- end }}

{{/* Tokens of ServiceAccounts that connections name in auth.serviceAccountRef. */}}
{{- define "keyferry.serviceAccountTokensRules" -}}
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [get]
- apiGroups: [""]
  resources: [serviceaccounts/token]
  verbs: [create]
{{- end }}

{{/* Restarts of workloads that use a changed Secret. */}}
{{- define "keyferry.rolloutsRules" -}}
- apiGroups: [""]
  resources: [pods]
  verbs: [list]
- apiGroups: [batch]
  resources: [cronjobs]
  verbs: [list]
{{- range $kind := splitList "," (include "keyferry.rolloutKinds" .) }}
- apiGroups: [{{ ternary "argoproj.io" "apps" (eq $kind "Rollout") }}]
  resources: [{{ lower $kind }}s]
  verbs: [list, patch]
{{- end }}
{{- end }}

{{/* Checks of clients that ask for the metrics. */}}
{{- define "keyferry.metricsRules" -}}
- apiGroups: [authentication.k8s.io]
  resources: [tokenreviews]
  verbs: [create]
- apiGroups: [authorization.k8s.io]
  resources: [subjectaccessreviews]
  verbs: [create]
{{- end }}

{{/* What it needs besides, with a ClusterRole. */}}
{{- define "keyferry.clusterRules" -}}
{{ include "keyferry.namespaceRules" . }}
- apiGroups: [keyferry.io]
  resources: [clusterawsconnections]
  {{- if .Values.aws.region }}
  # create: the one that is named "default".
  verbs: [list, watch, create]
  {{- else }}
  verbs: [list, watch]
  {{- end }}
- apiGroups: [keyferry.io]
  resources: [clusterawsconnections/status]
  verbs: [patch]
# Connections select namespaces by their labels.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [list, watch]
{{- end }}

{{/* The default connection outside the operator's namespaces, and its credentials; only its status and events are written. */}}
{{- define "keyferry.connectionRules" -}}
- apiGroups: [keyferry.io]
  resources: [awsconnections]
  verbs: [list, watch]
- apiGroups: [keyferry.io]
  resources: [awsconnections/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}
