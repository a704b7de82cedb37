{{/*
A Role with its RoleBinding, or with an empty namespace a ClusterRole with its ClusterRoleBinding, for the operator's ServiceAccount.
Takes a list: the root, the name, the namespace, the rules as YAML.
*/}}
{{- define "keyferry.role" -}}
{{- $root := index . 0 }}
{{- $namespace := index . 2 }}
{{- $scope := ternary "" "Cluster" (ne $namespace "") }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $scope }}Role
metadata:
  name: {{ index . 1 }}
  {{- with $namespace }}
  namespace: {{ . }}
  {{- end }}
  {{- include "keyferry.metadata" (list $root dict dict) | nindent 2 }}
rules:
  {{- index . 3 | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $scope }}RoleBinding
metadata:
  name: {{ index . 1 }}
  {{- with $namespace }}
  namespace: {{ . }}
  {{- end }}
  {{- include "keyferry.metadata" (list $root dict dict) | nindent 2 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ $scope }}Role
  name: {{ index . 1 }}
subjects:
  - kind: ServiceAccount
    name: {{ include "keyferry.serviceAccountName" $root }}
    namespace: {{ include "keyferry.namespace" $root }}
{{- end }}
