{{/* Durations of the configuration (500ms, 30s, 1h30m) in whole seconds, rounded up. Fails where it is none: the server would
     refuse it as well, but the chart needs the number. Takes .text, and .key for the message. */}}
{{- define "completiond.seconds" -}}
{{- $text := toString .text | replace " " "" -}}
{{- if eq $text "0" -}}0
{{- else -}}
{{- if not (regexMatch "^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$" $text) -}}
{{- fail (printf "config.%s: %q is no duration; write a number with a unit (ms, s, m, h), as in 500ms, 30s or 1h30m" .key (toString .text)) -}}
{{- end -}}
{{- $milliseconds := 0.0 -}}
{{- range $part := regexFindAll "[0-9]+(\\.[0-9]+)?(ms|s|m|h)" $text -1 -}}
{{- $number := regexFind "^[0-9.]+" $part -}}
{{- $unit := trimPrefix $number $part -}}
{{- $milliseconds = addf $milliseconds (mulf (float64 $number) (get (dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000) $unit)) -}}
{{- end -}}
{{- divf $milliseconds 1000.0 | ceil | int64 -}}
{{- end -}}
{{- end -}}

{{/* How long a pod may take to stop, as JSON: what its steps take, in seconds, their sum, and what was asked for. */}}
{{- define "completiond.stop" -}}
{{- $config := default dict .Values.config -}}
{{- $total := dig "timeouts" "total" "10m" $config -}}
{{- $delay := include "completiond.seconds" (dict "key" "drain_delay" "text" (dig "drain_delay" "5s" $config)) | int64 -}}
{{- $grace := include "completiond.seconds" (dict "key" "shutdown_grace" "text" (dig "shutdown_grace" $total $config)) | int64 -}}
{{- $sum := add .Values.preStopSleepSeconds $delay $grace .Values.stopMarginSeconds -}}
{{- $chosen := $sum -}}
{{- if not (kindIs "invalid" .Values.terminationGracePeriodSeconds) -}}{{- $chosen = int64 .Values.terminationGracePeriodSeconds -}}{{- end -}}
{{- dict "delay" $delay "grace" $grace "sum" $sum "chosen" $chosen | toJson -}}
{{- end -}}
