{{/* The chart's name, or the one that stands for it. */}}
{{- define "completiond.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of what is installed: the release's with the chart's, but once. Names in Kubernetes have at most 63 letters. */}}
{{- define "completiond.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The chart with its version, as a label. */}}
{{- define "completiond.chart" -}}
{{- printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* What selects: it may not change over the life of a release. */}}
{{- define "completiond.selectorLabels" -}}
app.kubernetes.io/name: {{ include "completiond.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* The labels of everything. */}}
{{- define "completiond.labels" -}}
helm.sh/chart: {{ include "completiond.chart" . }}
{{ include "completiond.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The labels of pods: not the chart's version, so that a newer chart with the same server starts none anew. */}}
{{- define "completiond.podLabels" -}}
{{ include "completiond.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The name of a second Service or object of one kind: the full name, cut so that the ending has room. Takes .root, .ending. */}}
{{- define "completiond.named" -}}
{{- printf "%s-%s" (include "completiond.fullname" .root | trunc (int (sub 62 (len .ending))) | trimSuffix "-") .ending -}}
{{- end -}}

{{/* The name of the service account that pods run as. */}}
{{- define "completiond.serviceAccountName" -}}
{{- $default := ternary (include "completiond.fullname" .) "default" .Values.serviceAccount.create -}}
{{- default $default .Values.serviceAccount.name -}}
{{- end -}}

{{/* The image: by its digest where there is one. */}}
{{- define "completiond.image" -}}
{{- $tag := default .Chart.AppVersion .Values.image.tag -}}
{{- if .Values.image.digest -}}
{{- printf "%s:%s@%s" .Values.image.repository $tag .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository $tag -}}
{{- end -}}
{{- end -}}

{{/* Whether something of the Prometheus operator is wanted: "true" or empty. Takes .root and .mode: auto, true or false. */}}
{{- define "completiond.operator" -}}
{{- $mode := toString .mode -}}
{{- if or (eq $mode "true") (and (eq $mode "auto") (.root.Capabilities.APIVersions.Has "monitoring.coreos.com/v1")) -}}true{{- end -}}
{{- end -}}

{{/* The ports of a Service, as JSON, by their names. `appProtocol` tells meshes and gateways what they need not guess. */}}
{{- define "completiond.ports" -}}
{{- $plain := default "grpc" .Values.service.appProtocol -}}
{{- $grpc := ternary (default "https" .Values.service.appProtocol) $plain (ne .Values.tls.secretName "") -}}
{{- $admin := ternary "https" "grpc" (ne .Values.admin.tls.secretName "") -}}
{{- dict "grpc" (dict "name" "grpc" "port" (int .Values.ports.grpc) "targetPort" "grpc" "appProtocol" $grpc) "admin" (dict "name" "admin" "port" (int .Values.ports.admin) "targetPort" "admin" "appProtocol" $admin) "ops" (dict "name" "ops" "port" (int .Values.ports.ops) "targetPort" "ops" "appProtocol" "http") | toJson -}}
{{- end -}}
