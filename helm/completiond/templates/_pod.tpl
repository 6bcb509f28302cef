{{/* The pod: one server, which asks nothing of Kubernetes. */}}
{{- define "completiond.pod" -}}
{{- $values := .Values -}}
serviceAccountName: {{ include "completiond.serviceAccountName" . }}
automountServiceAccountToken: false
# The variables that Kubernetes makes of Services would look like the server's own: COMPLETIOND_...
enableServiceLinks: false
terminationGracePeriodSeconds: {{ (include "completiond.stop" . | fromJson).chosen | int }}
securityContext:
  {{- toYaml $values.podSecurityContext | nindent 2 }}
{{- with $values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.initContainers }}
initContainers:
  {{- toYaml . | nindent 2 }}
{{- end }}
containers:
  - name: completiond
    {{- include "completiond.container" . | nindent 4 }}
  {{- with $values.extraContainers }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
volumes:
  {{- include "completiond.volumes" . | nindent 2 }}
{{- with include "completiond.spread" . | fromJsonArray }}
topologySpreadConstraints:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- range $key := list "nodeSelector" "tolerations" "affinity" "priorityClassName" "runtimeClassName" "schedulerName" "hostAliases" "dnsPolicy" "dnsConfig" }}
{{- with get $values $key }}
{{ dict $key . | toYaml }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Constraints of spreading, with the pods that they count. Only those of one version are counted, so that a rollout spreads
     its own pods and not around the old ones. */}}
{{- define "completiond.spread" -}}
{{- $selector := dict "matchLabels" (include "completiond.selectorLabels" . | fromYaml) -}}
{{- $constraints := list -}}
{{- range .Values.topologySpreadConstraints -}}
{{- $constraints = append $constraints (merge (deepCopy .) (dict "labelSelector" $selector "matchLabelKeys" (list "pod-template-hash"))) -}}
{{- end -}}
{{- toJson $constraints -}}
{{- end -}}

{{/* The volumes: the configuration, and Secrets by reference. */}}
{{- define "completiond.volumes" -}}
{{- $values := .Values -}}
- name: config
  configMap:
    name: {{ include "completiond.fullname" . }}
{{- range $folder, $secret := include "completiond.certificates" . | fromJson }}
- name: {{ $folder }}
  secret:
    secretName: {{ $secret }}
    defaultMode: 0440
{{- end }}
{{- range $name, $file := $values.secretFiles }}
- name: secret-{{ $name }}
  secret:
    secretName: {{ $file.name }}
    defaultMode: 0440
    {{- with $file.items }}
    items:
      {{- range . }}
      - { key: {{ . | quote }}, path: {{ . | quote }} }
      {{- end }}
    {{- end }}
{{- end }}
{{- if or $values.callersDir.configMapName $values.callersDir.secretName }}
- name: callers
  {{- with $values.callersDir.configMapName }}
  configMap:
    name: {{ . }}
  {{- end }}
  {{- with $values.callersDir.secretName }}
  secret:
    secretName: {{ . }}
    defaultMode: 0440
  {{- end }}
{{- end }}
{{- if $values.persistence.enabled }}
- name: usage
  persistentVolumeClaim:
    claimName: {{ default (include "completiond.fullname" .) $values.persistence.existingClaim }}
{{- end }}
{{- with $values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Where they are in the container. */}}
{{- define "completiond.mounts" -}}
{{- $values := .Values -}}
- { name: config, mountPath: /etc/completiond/config, readOnly: true }
{{- range $folder, $secret := include "completiond.certificates" . | fromJson }}
- { name: {{ $folder }}, mountPath: /etc/completiond/{{ $folder }}, readOnly: true }
{{- end }}
{{- range $name, $file := $values.secretFiles }}
- { name: secret-{{ $name }}, mountPath: /etc/completiond/secrets/{{ $name }}, readOnly: true }
{{- end }}
{{- if or $values.callersDir.configMapName $values.callersDir.secretName }}
- { name: callers, mountPath: /etc/completiond/callers, readOnly: true }
{{- end }}
{{- if $values.persistence.enabled }}
- { name: usage, mountPath: /var/lib/completiond }
{{- end }}
{{- with $values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The Secrets with certificates, by the folders where they are mounted, as JSON. */}}
{{- define "completiond.certificates" -}}
{{- $secrets := dict -}}
{{- range $folder, $tls := dict "tls" .Values.tls "admin-tls" .Values.admin.tls -}}
{{- if $tls.secretName -}}
{{- $_ := set $secrets $folder $tls.secretName -}}
{{- if $tls.clientCa.secretName -}}{{- $_ := set $secrets (printf "%s-ca" $folder) $tls.clientCa.secretName -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $secrets -}}
{{- end -}}
