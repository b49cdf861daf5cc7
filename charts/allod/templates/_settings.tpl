{{/* Environment of the operator: runtime/settings.py says what each one does. A change rolls the Deployment, as it is part of the pod template. */}}
{{- define "allod.settings" -}}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: ALLOD_NAMESPACES
  value: {{ join "," .Values.namespaces | quote }}
- name: ALLOD_CLUSTER_DOMAIN
  value: {{ .Values.clusterDomain }}
- name: ALLOD_LOG_LEVEL
  value: {{ .Values.logLevel }}
- name: ALLOD_VLLM_IMAGE
  value: {{ .Values.engines.vllm.image }}
- name: ALLOD_VLLM_CPU_IMAGE
  value: {{ .Values.engines.vllmCpu.image }}
- name: ALLOD_LLAMACPP_IMAGE
  value: {{ .Values.engines.llamaCpp.image }}
- name: ALLOD_INSPECT_IMAGE
  value: {{ include "allod.image" . }}
{{- include "allod.prometheus.env" . }}
{{- end }}

{{/* The settings, then extraEnv. A variable named twice is refused here: the API server would refuse the Deployment with a longer sentence. */}}
{{- define "allod.env" -}}
{{- $settings := include "allod.settings" . }}
{{- $names := list }}
{{- range fromYamlArray $settings }}{{ $names = append $names .name }}{{ end }}
{{- $settings }}
{{- range .Values.extraEnv }}
{{- if has .name $names }}
{{- fail (printf "extraEnv: %s is set already, by another value of the chart or by an earlier entry" .name) }}
{{- end }}
{{- $names = append $names .name }}
- {{ toYaml . | nindent 2 | trim }}
{{- end }}
{{- end }}
