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

{{- define "keyferry.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride }}
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
{{- toYaml (merge $own .Values.commonLabels) }}
{{- end }}

{{/*
Labels and annotations of an object. Takes a list: the root, labels and annotations of this object. They win over the common ones;
the chart's own labels win over both.
*/}}
{{- define "keyferry.metadata" -}}
{{- $root := index . 0 -}}
labels:
  {{- toYaml (merge (include "keyferry.labels" $root | fromYaml) (deepCopy (index . 1))) | nindent 2 }}
{{- with merge (deepCopy (index . 2)) $root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
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
{{- $repository := .repository }}
{{- if .registry }}{{ $repository = printf "%s/%s" .registry .repository }}{{ end }}
{{- if .digest }}{{ $repository }}@{{ .digest }}{{ else }}{{ $repository }}:{{ default $.Chart.AppVersion .tag }}{{ end }}
{{- end }}
{{- end }}

{{/* "true" where the operator works in named namespaces only, with Roles and without a ClusterRole. */}}
{{- define "keyferry.namespaced" -}}
{{- if or (eq .Values.scope "namespaces") (and (eq .Values.scope "auto") .Values.namespaces) }}true{{ end }}
{{- end }}

{{/* "true" where replicas elect a leader. A read-only operator writes nothing and takes no Lease. */}}
{{- define "keyferry.leaderElection" -}}
{{- if and .Values.leaderElection.enabled (not .Values.readOnly) }}true{{ end }}
{{- end }}

{{/* Read-only operators do not elect a leader: each replica would make the same calls to AWS. */}}
{{- define "keyferry.replicas" -}}
{{- if .Values.readOnly }}{{ min .Values.replicas 1 }}{{ else }}{{ .Values.replicas }}{{ end }}
{{- end }}

{{/* "true" on OpenShift, which assigns users and groups itself. */}}
{{- define "keyferry.openshift" -}}
{{- $detected := .Capabilities.APIVersions.Has "security.openshift.io/v1" }}
{{- if or (eq .Values.openshift "enabled") (and (eq .Values.openshift "auto") $detected) }}true{{ end }}
{{- end }}

{{/* "true" where metrics are served by TLS, to clients that the API server allows. */}}
{{- define "keyferry.metricsSecure" -}}
{{- if and .Values.metrics.enabled .Values.metrics.secure.enabled }}true{{ end }}
{{- end }}

{{/* The Secret with the certificate of the metrics; empty for a self-signed one. */}}
{{- define "keyferry.metricsCertificate" -}}
{{- if include "keyferry.metricsSecure" . }}{{ .Values.metrics.secure.certSecret }}{{ end }}
{{- end }}

{{/* The name of a cluster-wide object for the metrics. Releases for some namespaces may have equal names. Takes root and suffix. */}}
{{- define "keyferry.metricsName" -}}
{{- $root := index . 0 }}
{{- $name := printf "%s-metrics-%s" (include "keyferry.fullname" $root) (index . 1) }}
{{- if include "keyferry.namespaced" $root }}{{ $name }}-{{ include "keyferry.namespace" $root }}{{ else }}{{ $name }}{{ end }}
{{- end }}

{{/* Kinds of workloads that the operator may restart, separated by commas. A read-only operator restarts nothing. */}}
{{- define "keyferry.rolloutKinds" -}}
{{- with .Values.rbac.rollouts }}
{{- if and .enabled (not $.Values.readOnly) }}{{ join "," .kinds }}{{ end }}
{{- end }}
{{- end }}

{{/* "true" where an object of the Prometheus operator is wanted and can be created. Takes root, kind and its values. */}}
{{- define "keyferry.monitoring" -}}
{{- $root := index . 0 }}
{{- $values := index . 2 }}
{{- $known := $root.Capabilities.APIVersions.Has (printf "monitoring.coreos.com/v1/%s" (index . 1)) }}
{{- if and $values.enabled (or $values.force $known) }}true{{ end }}
{{- end }}

{{/* Labels by which a NetworkPolicy knows the pod of `helm test`. The Deployment's selector does not match them. */}}
{{- define "keyferry.testLabels" -}}
app.kubernetes.io/name: {{ include "keyferry.name" . }}-test
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Metadata of the pod of `helm test`. Takes a list: the root and annotations. */}}
{{- define "keyferry.testMetadata" -}}
{{- $root := index . 0 -}}
labels:
  {{- toYaml (merge (include "keyferry.testLabels" $root | fromYaml) (include "keyferry.labels" $root | fromYaml)) | nindent 2 }}
annotations:
  {{- toYaml (merge (deepCopy (index . 1)) $root.Values.commonAnnotations) | nindent 2 }}
{{- end }}

{{/* How Prometheus reads metrics over TLS. Takes a list: the root and the kind of the monitor. */}}
{{- define "keyferry.scrapeSecurity" -}}
{{- $root := index . 0 -}}
{{- with $root.Values.metrics.secure -}}
scheme: https
{{- if .tokenSecret.name }}
authorization:
  credentials:
    name: {{ .tokenSecret.name }}
    key: {{ .tokenSecret.key }}
{{- else if eq (index $ 1) "ServiceMonitor" }}
bearerTokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token
{{- end }}
tlsConfig:
  {{- if .certSecret }}
  serverName: {{ include "keyferry.fullname" $root }}-metrics.{{ include "keyferry.namespace" $root }}.svc
  {{- if .caKey }}
  ca:
    secret:
      name: {{ .certSecret }}
      key: {{ .caKey }}
  {{- end }}
  {{- else }}
  # Each pod signs its certificate itself.
  insecureSkipVerify: true
  {{- end }}
{{- end }}
{{- end }}
