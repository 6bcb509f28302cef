{{/* The server's container. */}}
{{- define "completiond.container" -}}
{{- $values := .Values -}}
image: {{ include "completiond.image" . | quote }}
imagePullPolicy: {{ $values.image.pullPolicy }}
args:
  - serve
  {{- with $values.extraArgs }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
env:
  {{- include "completiond.env" . | nindent 2 }}
{{- with $values.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
ports:
  - { name: grpc, containerPort: {{ $values.ports.grpc }}, protocol: TCP }
  {{- if $values.admin.expose }}
  - { name: admin, containerPort: {{ $values.ports.admin }}, protocol: TCP }
  {{- end }}
  - { name: ops, containerPort: {{ $values.ports.ops }}, protocol: TCP }
{{- $ready := dict "port" (int $values.ports.ops) "service" "completiond.v1.CompletionService" }}
{{- $alive := dict "port" (int $values.ports.ops) }}
startupProbe:
  {{- merge (dict "grpc" $ready) $values.startupProbe | toYaml | nindent 2 }}
readinessProbe:
  {{- merge (dict "grpc" $ready) $values.readinessProbe | toYaml | nindent 2 }}
livenessProbe:
  {{- merge (dict "grpc" $alive) $values.livenessProbe | toYaml | nindent 2 }}
{{- if $values.preStopSleepSeconds }}
lifecycle:
  preStop:
    sleep:
      seconds: {{ $values.preStopSleepSeconds }}
{{- end }}
securityContext:
  {{- toYaml $values.securityContext | nindent 2 }}
{{- with $values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumeMounts:
  {{- include "completiond.mounts" . | nindent 2 }}
{{- end -}}

{{/* Its variables. A secret is only ever named here. */}}
{{- define "completiond.env" -}}
{{- $values := .Values -}}
- name: COMPLETIOND_CONFIG
  value: /etc/completiond/config/completiond.yaml
{{- range $name, $from := $values.secretEnv }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef:
      {{- dict "name" $from.name "key" $from.key | toYaml | nindent 6 }}
{{- end }}
{{- if $values.valkey.secret.name }}
- name: COMPLETIOND_VALKEY_URL
  valueFrom:
    secretKeyRef:
      {{- dict "name" $values.valkey.secret.name "key" $values.valkey.secret.key | toYaml | nindent 6 }}
{{- end }}
{{- if $values.otlp.endpoint }}
- name: POD_NAME
  valueFrom: { fieldRef: { fieldPath: metadata.name } }
- name: POD_NAMESPACE
  valueFrom: { fieldRef: { fieldPath: metadata.namespace } }
- name: NODE_NAME
  valueFrom: { fieldRef: { fieldPath: spec.nodeName } }
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ $values.otlp.endpoint | quote }}
- name: OTEL_EXPORTER_OTLP_PROTOCOL
  value: {{ $values.otlp.protocol | quote }}
- name: OTEL_RESOURCE_ATTRIBUTES
  value: k8s.pod.name=$(POD_NAME),k8s.namespace.name=$(POD_NAMESPACE),k8s.node.name=$(NODE_NAME),service.instance.id=$(POD_NAME)
{{- end }}
{{- with $values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}
