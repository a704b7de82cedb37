{{/* The arguments of the operator. Those of extraArgs come last, so that they win. */}}
{{- define "keyferry.args" -}}
- controller
{{- if .Values.metrics.enabled }}
- --metrics-bind-address=:{{ .Values.metrics.port }}
{{- if .Values.metrics.secure.enabled }}
- --metrics-secure
{{- if .Values.metrics.secure.certSecret }}
- --metrics-cert-path=/etc/keyferry/metrics
{{- end }}
{{- end }}
{{- else }}
- --metrics-bind-address=0
{{- end }}
- --health-probe-bind-address=:{{ .Values.healthProbe.port }}
{{- if not (include "keyferry.leaderElection" .) }}
- --leader-elect=false
{{- if .Values.readOnly }}
- --lease-name={{ include "keyferry.fullname" . }}
{{- end }}
{{- else }}
{{- with .Values.leaderElection }}
- --leader-elect=true
- --lease-name={{ include "keyferry.fullname" $ }}
- --lease-duration={{ .leaseDuration }}
- --renew-deadline={{ .renewDeadline }}
- --retry-period={{ .retryPeriod }}
{{- if gt (int .shards) 1 }}
- --shards={{ .shards }}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.namespaces }}
- --namespaces={{ join "," . }}
{{- end }}
- --protected-namespaces={{ join "," .Values.protectedNamespaces }}
{{- with .Values.allowedTargetMetadata }}
- --allowed-target-metadata={{ join "," . }}
{{- end }}
{{- with .Values.defaultConnection }}
- --default-connection={{ . }}
{{- end }}
{{- with .Values.aws.region }}
- --default-connection-region={{ . }}
{{- end }}
- --missing-grace={{ .Values.missingGrace }}
{{- with .Values.clusterName }}
- {{ printf "--cluster-name=%s" . | quote }}
{{- end }}
{{- with .Values.auditLog }}
- {{ printf "--audit-log=%s" . | quote }}
{{- end }}
{{- with .Values.tracing }}
{{- if .endpoint }}
- --otlp-endpoint={{ .endpoint }}
- --trace-sample-ratio={{ .sampleRatio }}
{{- end }}
{{- end }}
{{- if .Values.readOnly }}
- --read-only
{{- end }}
{{- if .Values.allowInsecureEndpoints }}
- --allow-insecure-endpoints
{{- end }}
- --rollout-kinds={{ include "keyferry.rolloutKinds" . }}
{{- if include "keyferry.rolloutKinds" . }}
- --max-concurrent-rollouts={{ int64 .Values.rbac.rollouts.maxConcurrent }}
{{- end }}
- --per-object-metrics={{ .Values.perObjectMetrics }}
- --log-level={{ .Values.logLevel }}
- --log-format={{ .Values.logFormat }}
{{- with .Values.extraArgs }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Environment variables. Those of extraEnv replace the chart's own. */}}
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
{{- if and (hasPrefix "/" .Values.auditLog) .Values.auditVolume.claim }}
{{- $env = append $env (dict "name" "POD_NAME" "valueFrom" (dict "fieldRef" (dict "fieldPath" "metadata.name"))) }}
{{- end }}
{{- $names := list }}
{{- range .Values.extraEnv }}{{ $names = append $names .name }}{{ end }}
{{- $kept := list }}
{{- range $env }}
{{- if not (has .name $names) }}{{ $kept = append $kept . }}{{ end }}
{{- end }}
{{- toYaml (concat $kept .Values.extraEnv) }}
{{- end }}

{{- define "keyferry.mounts" -}}
{{- if hasPrefix "/" .Values.auditLog }}
- name: audit
  mountPath: {{ dir .Values.auditLog | quote }}
  {{- if .Values.auditVolume.claim }}
  # Each pod appends to a file of its own.
  subPathExpr: $(POD_NAME)
  {{- end }}
{{- end }}
{{- if or .Values.extraCa.configMap .Values.extraCa.secret }}
- name: extra-ca
  mountPath: /etc/keyferry/ca
  readOnly: true
{{- end }}
{{- if include "keyferry.metricsCertificate" . }}
- name: metrics-certificate
  mountPath: /etc/keyferry/metrics
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
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
{{- with include "keyferry.metricsCertificate" . }}
- name: metrics-certificate
  secret:
    secretName: {{ . }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* A probe: its settings, and the path that it asks. Takes a list of both. */}}
{{- define "keyferry.probe" -}}
httpGet:
  path: {{ index . 1 }}
  port: probes
{{ toYaml (omit (index . 0) "enabled") }}
{{- end }}

{{/* The pod's security context: fsGroup lets the operator write to a claim. OpenShift assigns users and groups itself. */}}
{{- define "keyferry.podSecurityContext" -}}
{{- $context := deepCopy .Values.podSecurityContext }}
{{- if and (hasPrefix "/" .Values.auditLog) .Values.auditVolume.claim .Values.auditVolume.fsGroup }}
{{- $context = merge $context (dict "fsGroup" .Values.auditVolume.fsGroup) }}
{{- end }}
{{- if include "keyferry.openshift" . }}
{{- $context = omit $context "runAsUser" "runAsGroup" "fsGroup" "supplementalGroups" }}
{{- end }}
{{- toYaml $context }}
{{- end }}

{{- define "keyferry.securityContext" -}}
{{- $context := .Values.securityContext }}
{{- if include "keyferry.openshift" . }}
{{- $context = omit $context "runAsUser" "runAsGroup" }}
{{- end }}
{{- toYaml $context }}
{{- end }}

{{/* Spread constraints that name no pods are for the operator's own. */}}
{{- define "keyferry.topologySpreadConstraints" -}}
{{- $own := dict "labelSelector" (dict "matchLabels" (include "keyferry.selectorLabels" . | fromYaml)) }}
{{- $all := list }}
{{- range .Values.topologySpreadConstraints }}
{{- $all = append $all (merge (deepCopy .) $own) }}
{{- end }}
{{- toYaml $all }}
{{- end }}

{{/* The port of the receiver of traces, as a list: empty without traces. */}}
{{- define "keyferry.tracingPort" -}}
{{- with .Values.tracing.endpoint }}
{{- $url := urlParse . }}
{{- $default := ternary "443" "80" (eq $url.scheme "https") }}
- {{ default $default (trimPrefix ":" (regexFind ":[0-9]+$" $url.host)) }}
{{- end }}
{{- end }}
