{{- define "keyferry.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* A name that no other release of the namespace has: the release's own where it says enough. */}}
{{- define "keyferry.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains (include "keyferry.name" .) .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "keyferry.name" .) | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "keyferry.selectorLabels" -}}
app.kubernetes.io/name: {{ include "keyferry.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Labels of every object. The chart's own win over those of the values: selectors depend on them. */}}
{{- define "keyferry.labels" -}}
{{- $own := include "keyferry.selectorLabels" . | fromYaml }}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63) }}
{{- $_ := set $own "app.kubernetes.io/version" .Chart.AppVersion }}
{{- $_ := set $own "app.kubernetes.io/managed-by" .Release.Service }}
{{- toYaml (merge $own .Values.labels) }}
{{- end }}

{{- define "keyferry.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "keyferry.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "keyferry.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ default $.Chart.AppVersion .tag }}{{ end }}
{{- end }}
{{- end }}

{{/* Values that are each fine, but not together. */}}
{{- define "keyferry.validate" -}}
{{- with .Values.defaultConnection }}
{{- if not $.Values.namespaces }}
{{- fail "defaultConnection is only for an installation with namespaces: without, the ClusterAWSConnection \"default\" is what SyncedSecrets use; remove defaultConnection, or set namespaces" }}
{{- end }}
{{- end }}
{{- with .Values.extraCa }}
{{- if and .configMap .secret }}
{{- fail "extraCa takes its certificates from one place: remove extraCa.configMap or extraCa.secret" }}
{{- end }}
{{- end }}
{{- if and .Values.aws.region .Values.namespaces }}
{{- fail "aws.region makes a ClusterAWSConnection, which an installation with namespaces has no right to see: remove aws.region and name an AWSConnection in defaultConnection, or remove namespaces" }}
{{- end }}
{{- end }}

{{/* What the operator needs in each namespace that it works in. */}}
{{- define "keyferry.namespaceRules" -}}
- apiGroups: [keyferry.io]
  resources: [syncedsecrets, awsconnections]
  verbs: [get, list, watch]
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

{{/* Environment variables. Those of extraEnv come last, so that they win. */}}
{{- define "keyferry.env" -}}
{{- $env := list }}
{{- with .Values.proxy }}
{{- range $name, $url := dict "HTTPS_PROXY" .https "HTTP_PROXY" .http }}
{{- if $url }}
{{- $env = append $env (dict "name" $name "value" $url) }}
{{- end }}
{{- end }}
{{- if or .https .http }}
{{- /* Kubernetes fills in the variable. The addresses: EC2, ECS and EKS Pod Identity, by IPv4 and IPv6. */}}
{{- $own := list "$(KUBERNETES_SERVICE_HOST)" "kubernetes.default" ".svc" ".cluster.local" "169.254.169.254" "169.254.170.2" "169.254.170.23" "fd00:ec2::254" "fd00:ec2::23" }}
{{- $env = append $env (dict "name" "NO_PROXY" "value" (join "," (concat $own .noProxy))) }}
{{- end }}
{{- end }}
{{- if or .Values.extraCa.configMap .Values.extraCa.secret }}
{{- $env = append $env (dict "name" "NODE_EXTRA_CA_CERTS" "value" (printf "/etc/keyferry/ca/%s" .Values.extraCa.key)) }}
{{- end }}
{{- toYaml (concat $env .Values.extraEnv) }}
{{- end }}

{{- define "keyferry.mounts" -}}
{{- if hasPrefix "/" .Values.auditLog }}
- name: audit
  mountPath: {{ dir .Values.auditLog | quote }}
{{- end }}
{{- if or .Values.extraCa.configMap .Values.extraCa.secret }}
- name: extra-ca
  mountPath: /etc/keyferry/ca
  readOnly: true
{{- end }}
{{- end }}

{{- define "keyferry.volumes" -}}
{{- if hasPrefix "/" .Values.auditLog }}
- name: audit
  {{- with .Values.auditVolume }}
  {{- if .claim }}
  persistentVolumeClaim:
    claimName: {{ .claim }}
  {{- else }}
  emptyDir:
    sizeLimit: {{ .sizeLimit }}
  {{- end }}
  {{- end }}
{{- end }}
{{- with .Values.extraCa }}
{{- if .configMap }}
- name: extra-ca
  configMap:
    name: {{ .configMap }}
{{- else if .secret }}
- name: extra-ca
  secret:
    secretName: {{ .secret }}
{{- end }}
{{- end }}
{{- end }}
