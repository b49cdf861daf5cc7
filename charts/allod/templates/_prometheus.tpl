{{/* The Prometheus that tells what engines count: what the operator is told of it, and the files that it gets. Nothing of it without prometheus.url. */}}
{{- define "allod.prometheus.files" }}/etc/allod/prometheus{{ end }}

{{- define "allod.prometheus.env" }}
{{- with .Values.prometheus }}
{{- if .url }}
- name: ALLOD_PROMETHEUS_URL
  value: {{ .url | quote }}
{{- if .caBundle.configMap }}
- name: ALLOD_PROMETHEUS_CA_FILE
  value: {{ include "allod.prometheus.files" $ }}/ca.crt
{{- end }}
{{- if or .token.secret .token.serviceAccount }}
{{- if and .token.secret .token.serviceAccount }}
{{- fail "prometheus.token: either secret or serviceAccount, not both" }}
{{- end }}
{{- if not (hasPrefix "https://" .url) }}
{{- fail "prometheus.token is sent over https alone: prometheus.url has to begin with https://, or whoever is on the way could read the token" }}
{{- end }}
- name: ALLOD_PROMETHEUS_TOKEN_FILE
  value: {{ include "allod.prometheus.files" $ }}/token
{{- end }}
{{- with .matchLabels }}
- name: ALLOD_PROMETHEUS_MATCH_LABELS
  value: {{ toJson . | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* One projected volume, so that the kubelet brings a renewed certificate or token without a restart. Empty: no file is needed. */}}
{{- define "allod.prometheus.sources" }}
{{- with .Values.prometheus }}
{{- if .url }}
{{- with .caBundle }}
{{- if .configMap }}
- configMap:
    name: {{ .configMap | quote }}
    items: [{key: {{ .key | quote }}, path: ca.crt}]
{{- end }}
{{- end }}
{{- with .token }}
{{- if .secret }}
- secret:
    name: {{ .secret | quote }}
    items: [{key: {{ .key | quote }}, path: token}]
{{- else if .serviceAccount }}
- serviceAccountToken:
    path: token
    expirationSeconds: 3600
    {{- with .audience }}
    audience: {{ . | quote }}
    {{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Ports of the NetworkPolicy: those that are named, or the one of the URL. */}}
{{- define "allod.prometheus.ports" }}
{{- if .Values.networkPolicy.prometheusPorts }}
{{- range .Values.networkPolicy.prometheusPorts }}
- port: {{ . }}
{{- end }}
{{- else }}
{{- $url := urlParse .Values.prometheus.url }}
{{- $port := regexFind "[0-9]+$" (regexFind ":[0-9]+$" $url.host) }}
- port: {{ $port | default (eq $url.scheme "https" | ternary 443 80) }}
{{- end }}
{{- end }}
