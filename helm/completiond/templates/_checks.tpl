{{/* What is wrong with the values beyond what the schema can say: all of it at once, each with what would be right. What is
     wrong with the configuration itself the server says, at its start. */}}
{{- define "completiond.checks" -}}
{{- $wrong := concat (include "completiond.checks.choices" . | fromJsonArray) (include "completiond.checks.config" . | fromJsonArray) (include "completiond.checks.replicas" . | fromJsonArray) (include "completiond.checks.stop" . | fromJsonArray) -}}
{{- if $wrong -}}
{{- fail (printf "\n\n- %s\n" (join "\n- " $wrong)) -}}
{{- end -}}
{{- end -}}

{{/* What nobody but who installs it can choose. */}}
{{- define "completiond.checks.choices" -}}
{{- $config := default dict .Values.config -}}
{{- $wrong := list -}}
{{- if not .Values.image.repository -}}
{{- $wrong = append $wrong "image.repository: where is the image? Set it to where you have pushed it; docs/release.md says how it is built" -}}
{{- end -}}
{{- if not $config.providers -}}
{{- $wrong = append $wrong "config.providers: whom shall the server ask? Set [{ id: claude, preset: anthropic, api_key: \"${ANTHROPIC_API_KEY}\" }] with secretEnv.ANTHROPIC_API_KEY, or for a trial without a key [{ id: simulator, preset: simulator }]" -}}
{{- end -}}
{{- $dir := or .Values.callersDir.configMapName .Values.callersDir.secretName -}}
{{- if not (or $config.callers $config.issuers $config.callers_dir $dir (eq (toString $config.allow_anonymous) "true")) -}}
{{- $wrong = append $wrong "config.callers: who may call? Set [{ name: search, keys: [\"sha256:...\"] }], or config.allow_anonymous: true if whoever reaches the port may spend your providers' money (behind a mesh or a NetworkPolicy, say)" -}}
{{- end -}}
{{- if .Values.admin.expose -}}
{{- $admins := list -}}
{{- range default list $config.callers -}}{{- if .admin -}}{{- $admins = append $admins .name -}}{{- end -}}{{- end -}}
{{- range default list $config.issuers -}}{{- range default list .callers -}}{{- if .admin -}}{{- $admins = append $admins "a token" -}}{{- end -}}{{- end -}}{{- end -}}
{{- if not (or $admins $config.callers_dir $dir) -}}
{{- $wrong = append $wrong "admin.expose: who may administer the server? Give one of config.callers `admin: true`, or leave admin.expose false and use kubectl port-forward" -}}
{{- end -}}
{{- else if .Values.admin.tls.secretName -}}
{{- $wrong = append $wrong "admin.tls: nobody outside the pod reaches the admin port; set admin.expose: true, or leave admin.tls out" -}}
{{- end -}}
{{- range $name, $tls := dict "tls" .Values.tls "admin.tls" .Values.admin.tls -}}
{{- if and $tls.clientCa.secretName (not $tls.secretName) -}}
{{- $wrong = append $wrong (printf "%s.clientCa: callers show certificates only where the server has one; set %s.secretName" $name $name) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.grpcRoute.enabled (not .Values.grpcRoute.parentRefs) -}}
{{- $wrong = append $wrong "grpcRoute.parentRefs: by which gateway? Set [{ name: public, namespace: gateways }]" -}}
{{- end -}}
{{- toJson $wrong -}}
{{- end -}}

{{/* What two places would set. */}}
{{- define "completiond.checks.config" -}}
{{- $values := .Values -}}
{{- $config := default dict $values.config -}}
{{- $wrong := list -}}
{{- range $key, $instead := dict "listen" "ports.grpc and bindAddress" "admin_listen" "ports.admin and admin.expose" "ops_listen" "ports.ops and bindAddress" "tls" "tls" "admin_tls" "admin.tls" -}}
{{- if hasKey $config $key -}}
{{- $wrong = append $wrong (printf "config.%s: the chart sets it from %s, so that ports, probes and mounts agree with it" $key $instead) -}}
{{- end -}}
{{- end -}}
{{- if and $values.callersDir.configMapName $values.callersDir.secretName -}}
{{- $wrong = append $wrong "callersDir: callers are in a ConfigMap or in a Secret, not in both; leave one out" -}}
{{- end -}}
{{- if and (or $values.callersDir.configMapName $values.callersDir.secretName) (dig "callers_dir" "path" "" $config) -}}
{{- $wrong = append $wrong "config.callers_dir.path: callersDir sets it; leave it out" -}}
{{- end -}}
{{- if and $config.callers_dir (not (or $values.callersDir.configMapName $values.callersDir.secretName)) -}}
{{- $path := dig "callers_dir" "path" "" $config -}}
{{- $mounted := list "/etc/completiond/secrets" -}}
{{- range $values.extraVolumeMounts -}}{{- $mounted = append $mounted (trimSuffix "/" .mountPath) -}}{{- end -}}
{{- $isMounted := false -}}
{{- range $mounted -}}{{- if hasPrefix (printf "%s/" .) (printf "%s/" $path) -}}{{- $isMounted = true -}}{{- end -}}{{- end -}}
{{- if not $isMounted -}}
{{- $wrong = append $wrong (printf "config.callers_dir: nothing is mounted at its path (%s), so that the server would not start; leave it out and set callersDir.configMapName or callersDir.secretName, or mount it with extraVolumes and extraVolumeMounts" (default "none is set" $path)) -}}
{{- end -}}
{{- end -}}
{{- range $use, $section := include "completiond.config.shared" . | fromJson -}}
{{- if dig $section "redis_url" "" $config -}}
{{- if and $values.valkey.secret.name (get $values.valkey.use $use) -}}
{{- $wrong = append $wrong (printf "config.%s.redis_url: valkey.secret sets it too; leave it out, or set valkey.use.%s: false" $section $use) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $sharesUsage := and $values.valkey.secret.name $values.valkey.use.usage -}}
{{- if and $values.persistence.enabled (or $sharesUsage (dig "usage" "redis_url" "" $config)) -}}
{{- $wrong = append $wrong "persistence.enabled: sums of usage are kept in a file or in the Valkey, not in both; set valkey.use.usage: false, or persistence.enabled: false" -}}
{{- end -}}
{{- if dig "usage" "data_dir" "" $config -}}
{{- if $values.persistence.enabled -}}
{{- $wrong = append $wrong "config.usage.data_dir: persistence sets it; leave it out" -}}
{{- else if not $values.extraVolumeMounts -}}
{{- $wrong = append $wrong "config.usage.data_dir: the container's file system is read-only and ends with it; set persistence.enabled: true and leave data_dir out" -}}
{{- end -}}
{{- end -}}
{{- if hasKey $values.configFiles "completiond.yaml" -}}
{{- $wrong = append $wrong "configFiles: completiond.yaml is the configuration itself; give the file another name" -}}
{{- end -}}
{{- toJson $wrong -}}
{{- end -}}

{{/* How many replicas there may be. */}}
{{- define "completiond.checks.replicas" -}}
{{- $values := .Values -}}
{{- $wrong := list -}}
{{- if $values.persistence.enabled -}}
{{- if or (ne (int $values.replicaCount) 1) $values.autoscaling.enabled -}}
{{- $wrong = append $wrong "persistence.enabled: one process owns the file of usage, so there is one replica: set replicaCount: 1 and autoscaling.enabled: false, or share the sums by valkey instead" -}}
{{- end -}}
{{- if ne (dig "type" "Recreate" $values.updateStrategy) "Recreate" -}}
{{- $wrong = append $wrong "updateStrategy: with persistence the old pod must have given up its file before the new one starts; leave it out or set { type: Recreate }" -}}
{{- end -}}
{{- end -}}
{{- if $values.autoscaling.enabled -}}
{{- if gt (int $values.autoscaling.minReplicas) (int $values.autoscaling.maxReplicas) -}}
{{- $wrong = append $wrong "autoscaling.minReplicas: it is more than maxReplicas" -}}
{{- end -}}
{{- if not (or $values.autoscaling.cpuUtilization $values.autoscaling.callsInFlight $values.autoscaling.extraMetrics) -}}
{{- $wrong = append $wrong "autoscaling: by what? Set cpuUtilization, callsInFlight or extraMetrics" -}}
{{- end -}}
{{- if and $values.autoscaling.cpuUtilization (not (dig "requests" "cpu" "" $values.resources)) -}}
{{- $wrong = append $wrong "autoscaling.cpuUtilization: it is a share of resources.requests.cpu, which is not set" -}}
{{- end -}}
{{- end -}}
{{- toJson $wrong -}}
{{- end -}}

{{/* Whether a pod gets the time that its calls get. */}}
{{- define "completiond.checks.stop" -}}
{{- $wrong := list -}}
{{- $stop := include "completiond.stop" . | fromJson -}}
{{- if lt (int $stop.chosen) (int $stop.sum) -}}
{{- $wrong = append $wrong (printf "terminationGracePeriodSeconds: %d s end calls that may run for %d s: preStopSleepSeconds %d + config.drain_delay %d + config.shutdown_grace %d + stopMarginSeconds %d; leave it null, or shorten config.shutdown_grace" (int $stop.chosen) (int $stop.sum) (int .Values.preStopSleepSeconds) (int $stop.delay) (int $stop.grace) (int .Values.stopMarginSeconds)) -}}
{{- end -}}
{{- toJson $wrong -}}
{{- end -}}
