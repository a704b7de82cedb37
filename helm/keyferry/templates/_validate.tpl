{{/* Values that are each fine, but not together. */}}
{{- define "keyferry.validate" -}}
{{- if .Values.labels }}
{{- fail "labels is now commonLabels: rename it in your values" }}
{{- end }}
{{- include "keyferry.validateScope" . }}
{{- include "keyferry.validateReplicas" . }}
{{- include "keyferry.validatePod" . }}
{{- end }}

{{- define "keyferry.validateScope" -}}
{{- $names := .Values.namespaces }}
{{- if and (eq .Values.scope "namespaces") (not $names) }}
{{- fail "scope: namespaces needs the names of the namespaces to work in: set namespaces, or scope: cluster" }}
{{- end }}
{{- if and (eq .Values.scope "cluster") $names }}
{{- fail "scope: cluster is for all namespaces, but namespaces has names: remove namespaces, or set scope: namespaces" }}
{{- end }}
{{- if and .Values.defaultConnection (not $names) }}
{{- fail "defaultConnection is only for an installation with namespaces: without, the ClusterAWSConnection \"default\" is what SyncedSecrets use; remove defaultConnection, or set namespaces" }}
{{- end }}
{{- if and .Values.aws.region $names }}
{{- fail "aws.region makes a ClusterAWSConnection, which an installation with namespaces has no right to see: remove aws.region and name an AWSConnection in defaultConnection, or remove namespaces" }}
{{- end }}
{{- if .Values.rbac.pushes.enabled }}
{{- fail "rbac.pushes.enabled is true, but this version writes no parameters, and no right is granted that it does not use: set it to false" }}
{{- end }}
{{- range $feature := list "rollouts" "serviceAccountTokens" "pushes" }}
{{- $rules := index $.Values.rbac $feature }}
{{- if and $rules.namespaces (not $rules.enabled) }}
{{- fail (printf "rbac.%s.namespaces has names, but rbac.%s.enabled is false: set it to true, or remove the names" $feature $feature) }}
{{- end }}
{{- range $rules.namespaces }}
{{- if and $names (not (has . $names)) }}
{{- fail (printf "rbac.%s.namespaces has %s, which is not one of namespaces: add it to namespaces, or remove it" $feature .) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "keyferry.validateReplicas" -}}
{{- with .Values.leaderElection }}
{{- if and (gt (int $.Values.replicas) 1) (not .enabled) (not $.Values.readOnly) }}
{{- fail (printf "replicas is %d, but leaderElection.enabled is false: two operators would each spend the AWS quota; set leaderElection.enabled to true, or replicas to 1" (int $.Values.replicas)) }}
{{- end }}
{{- if and (gt (int .shards) 1) (not .enabled) (not $.Values.readOnly) }}
{{- fail (printf "leaderElection.shards is %d, but leaderElection.enabled is false: set leaderElection.enabled to true, or leaderElection.shards to 1" (int .shards)) }}
{{- end }}
{{- $lease := trimSuffix "s" .leaseDuration | float64 }}
{{- $renew := trimSuffix "s" .renewDeadline | float64 }}
{{- $retry := trimSuffix "s" .retryPeriod | float64 }}
{{- if le $lease $renew }}
{{- fail (printf "leaderElection.leaseDuration is %s: it must be longer than leaderElection.renewDeadline, which is %s" .leaseDuration .renewDeadline) }}
{{- end }}
{{- if le $renew (mulf $retry 1.2) }}
{{- fail (printf "leaderElection.renewDeadline is %s: it must be longer than 1.2 times leaderElection.retryPeriod, which is %s" .renewDeadline .retryPeriod) }}
{{- end }}
{{- end }}
{{- with .Values.podDisruptionBudget }}
{{- if and (ne (toString .minAvailable) "") (ne (toString .maxUnavailable) "") (ne (toString .maxUnavailable) "1") }}
{{- fail "podDisruptionBudget has both minAvailable and maxUnavailable: set one of them" }}
{{- end }}
{{- end }}
{{- with .Values.strategy }}
{{- if and (not $.Values.leaderElection.enabled) (ne .type "Recreate") (not $.Values.readOnly) }}
{{- fail (printf "strategy.type is %s, but leaderElection.enabled is false: two operators would run during an update; set strategy.type to Recreate, or leaderElection.enabled to true" .type) }}
{{- end }}
{{- if and .rollingUpdate (eq (toString .rollingUpdate.maxSurge) "0") (eq (toString .rollingUpdate.maxUnavailable) "0") }}
{{- fail "strategy.rollingUpdate.maxSurge and maxUnavailable are both 0, so that no pod could be replaced: set one of them to 1" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "keyferry.validatePod" -}}
{{- with .Values.extraCa }}
{{- if and .configMap .secret }}
{{- fail "extraCa takes its certificates from one place: remove extraCa.configMap or extraCa.secret" }}
{{- end }}
{{- end }}
{{- if and .Values.metrics.enabled (eq (int .Values.metrics.port) (int .Values.healthProbe.port)) }}
{{- fail (printf "metrics.port and healthProbe.port are both %d: set different ports" (int .Values.metrics.port)) }}
{{- end }}
{{- with .Values.metrics }}
{{- if and .serviceMonitor.enabled .podMonitor.enabled }}
{{- fail "metrics.serviceMonitor and metrics.podMonitor would each scrape every pod: set enabled of one of them to false" }}
{{- end }}
{{- range $kind := list "serviceMonitor" "podMonitor" }}
{{- if and (index $.Values.metrics $kind "enabled") (not $.Values.metrics.enabled) }}
{{- fail (printf "metrics.%s.enabled is true, but metrics.enabled is false: set metrics.enabled to true" $kind) }}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.metrics.secure }}
{{- if and .enabled (not $.Values.metrics.enabled) }}
{{- fail "metrics.secure.enabled is true, but metrics.enabled is false: set metrics.enabled to true, or metrics.secure.enabled to false" }}
{{- end }}
{{- if and (or .certSecret .readers .tokenSecret.name) (not .enabled) }}
{{- fail "metrics.secure has a certSecret, readers or a tokenSecret, but metrics.secure.enabled is false: set it to true, or remove them" }}
{{- end }}
{{- if and .enabled $.Values.metrics.podMonitor.enabled (not .tokenSecret.name) }}
{{- fail "metrics.podMonitor cannot use the token of Prometheus' own ServiceAccount: set metrics.secure.tokenSecret.name, or use metrics.serviceMonitor" }}
{{- end }}
{{- range .readers }}
{{- if and (eq .kind "ServiceAccount") (not .namespace) }}
{{- fail (printf "metrics.secure.readers has the ServiceAccount %s without a namespace: add its namespace" .name) }}
{{- end }}
{{- end }}
{{- end }}
{{- range .Values.extraArgs }}
{{- if not (hasPrefix "--" .) }}
{{- fail (printf "extraArgs has %q: write each flag with its value, as --flag=value" .) }}
{{- end }}
{{- end }}
{{- range .Values.extraContainers }}
{{- if eq .name "keyferry" }}
{{- fail "extraContainers has a container named keyferry, as the operator's is named: give it another name" }}
{{- end }}
{{- end }}
{{- end }}
