{{/* What stands in the rules as @{name}: the thresholds, and what is not a number. A threshold that is null is not in it. */}}
{{- define "completiond.rules.words" -}}
{{- $words := dict -}}
{{- range $name, $value := .Values.prometheusRule.thresholds -}}
{{- if not (kindIs "invalid" $value) -}}{{- $_ := set $words $name (toString $value) -}}{{- end -}}
{{- end -}}
{{- $job := printf "job=%q" (include "completiond.fullname" .) -}}
{{- $_ := set $words "selector" (default $job .Values.prometheusRule.selector) -}}
{{- $_ := set $words "runbook" .Values.prometheusRule.runbook -}}
{{- toJson $words -}}
{{- end -}}

{{/* The groups of one file of rules (.text), with the words (.words) in their places. A rule with a word that is missing is
     left out. What stands in double braces is Prometheus', and is never looked into. */}}
{{- define "completiond.rules.groups" -}}
{{- $words := .words -}}
{{- $values := .values -}}
{{- $groups := list -}}
{{- range $group := (fromYaml .text).groups -}}
{{- $rules := list -}}
{{- range $rule := $group.rules -}}
{{- if $rule.alert -}}
{{- $labels := merge (deepCopy (default dict $rule.labels)) $values.alertLabels -}}
{{- $rule = mergeOverwrite (set $rule "labels" $labels) (deepCopy (default dict (get $values.overrides $rule.alert))) -}}
{{- end -}}
{{- $isOn := ne (toString $rule.enabled) "false" -}}
{{- $text := toJson (omit $rule "enabled") -}}
{{- range $name, $value := $words -}}
{{- $text = replace (printf "@{%s}" $name) (toJson $value | trimPrefix "\"" | trimSuffix "\"") $text -}}
{{- end -}}
{{- if and $isOn (not (regexMatch "@\\{" $text)) -}}
{{- $rules = append $rules (fromJson $text) -}}
{{- end -}}
{{- end -}}
{{- if $rules -}}{{- $groups = append $groups (set $group "rules" $rules) -}}{{- end -}}
{{- end -}}
{{- toJson $groups -}}
{{- end -}}
