{{/* The configuration that the server reads: `config` with what other values say, as YAML. What the chart itself sets may not
     stand in `config`; _checks.tpl says so. */}}
{{- define "completiond.config" -}}
{{- $config := deepCopy (default dict .Values.config) -}}
{{- $values := .Values -}}
{{- $_ := set $config "listen" (printf "%s:%d" $values.bindAddress (int $values.ports.grpc)) -}}
{{- $host := ternary $values.bindAddress "127.0.0.1" $values.admin.expose -}}
{{- $_ := set $config "admin_listen" (printf "%s:%d" $host (int $values.ports.admin)) -}}
{{- $_ := set $config "ops_listen" (printf "%s:%d" $values.bindAddress (int $values.ports.ops)) -}}
{{- with include "completiond.config.tls" (dict "tls" $values.tls "folder" "tls") -}}
{{- $_ := set $config "tls" (fromJson .) -}}
{{- end -}}
{{- with include "completiond.config.tls" (dict "tls" $values.admin.tls "folder" "admin-tls") -}}
{{- $_ := set $config "admin_tls" (fromJson .) -}}
{{- end -}}
{{- if or $values.callersDir.configMapName $values.callersDir.secretName -}}
{{- $_ := set $config "callers_dir" (merge (dict "path" "/etc/completiond/callers") (default dict $config.callers_dir)) -}}
{{- end -}}
{{- if $values.persistence.enabled -}}
{{- $_ := set $config "usage" (merge (dict "data_dir" "/var/lib/completiond") (dig "usage" dict $config)) -}}
{{- end -}}
{{- if $values.valkey.secret.name -}}
{{- range $use, $section := include "completiond.config.shared" . | fromJson -}}
{{- if get $values.valkey.use $use -}}
{{- $_ := set $config $section (merge (dict "redis_url" "${COMPLETIOND_VALKEY_URL}") (dig $section dict $config)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* The sections of the configuration that can be shared, by their names in `valkey.use`. */}}
{{- define "completiond.config.shared" -}}
{{- dict "usage" "usage" "completions" "completions" "cache" "cache" "limits" "limits" | toJson -}}
{{- end -}}

{{/* The section of a listener's TLS, as JSON; empty without a certificate. */}}
{{- define "completiond.config.tls" -}}
{{- if .tls.secretName -}}
{{- $folder := printf "/etc/completiond/%s" .folder -}}
{{- $section := dict "certificate" (printf "%s/tls.crt" $folder) "key" (printf "%s/tls.key" $folder) -}}
{{- if .tls.clientCa.secretName -}}
{{- $_ := set $section "client_ca" (printf "%s-ca/%s" $folder .tls.clientCa.key) -}}
{{- $_ := set $section "client_certificates" .tls.clientCertificates -}}
{{- end -}}
{{- toJson $section -}}
{{- end -}}
{{- end -}}
