{{/* Name of everything of this release: `allod` for a release called allod, else RELEASE-allod. */}}
{{- define "allod.name" -}}
{{- if contains "allod" .Release.Name }}{{ .Release.Name | trunc 53 | trimSuffix "-" }}{{ else }}{{ printf "%s-allod" (.Release.Name | trunc 47 | trimSuffix "-") }}{{ end }}
{{- end }}

{{/* What selects the operator's pods. Never changes: a Deployment's selector is immutable. */}}
{{- define "allod.selector" -}}
app.kubernetes.io/name: allod
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "allod.labels" -}}
{{ include "allod.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* REPOSITORY:TAG[@DIGEST] of the operator's image. */}}
{{- define "allod.image" -}}
{{- $repository := required "image.repository is not set: build the operator's image, push it to your registry and name it here (docs/install.md, step 1)" .Values.image.repository -}}
{{ $repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ with .Values.image.digest }}@{{ . }}{{ end }}
{{- end }}
