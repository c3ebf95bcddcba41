{{/* The chart's name, cut to what a label may hold. */}}
{{- define "trainingrun-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The prefix of all names: the release and the chart, said once where they are the same word. */}}
{{- define "trainingrun-operator.fullname" -}}
{{- $name := include "trainingrun-operator.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 55 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 55 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 55 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The name of a cluster-wide object. It carries the namespace, so that two releases of one name do not meet. */}}
{{- define "trainingrun-operator.clusterName" -}}
{{- printf "%s:%s" .Release.Namespace (include "trainingrun-operator.fullname" .) -}}
{{- end -}}

{{- define "trainingrun-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "trainingrun-operator.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* What the Deployment, the Service and the PodDisruptionBudget select: never changes between versions. */}}
{{- define "trainingrun-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "trainingrun-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{/* The labels of every object. What selectors and tools rely on wins over commonLabels. */}}
{{- define "trainingrun-operator.labels" -}}
{{- $own := include "trainingrun-operator.selectorLabels" . | fromYaml -}}
{{- $_ := set $own "app.kubernetes.io/version" .Chart.AppVersion -}}
{{- $_ := set $own "app.kubernetes.io/part-of" "trainingrun" -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .Release.Service -}}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- toYaml (merge $own .Values.commonLabels) -}}
{{- end -}}

{{/* Annotations of an object: [root, its own]. Its own win over commonAnnotations; nothing where there are none. */}}
{{- define "trainingrun-operator.annotations" -}}
{{- with merge (deepCopy (index . 1)) (index . 0).Values.commonAnnotations -}}
annotations: {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}

{{/* The selector of the operator's pods, as a query takes it. */}}
{{- define "trainingrun-operator.selector" -}}
{{- $pairs := list -}}
{{- range $key, $value := include "trainingrun-operator.selectorLabels" . | fromYaml -}}
{{- $pairs = append $pairs (printf "%s=%s" $key $value) -}}
{{- end -}}
{{- join "," $pairs -}}
{{- end -}}

{{/* What of a pod's spec says where it runs and as whom: the same for the operator and the Job of an uninstall. */}}
{{- define "trainingrun-operator.placement" -}}
{{- $placement := pick .Values "imagePullSecrets" "priorityClassName" "nodeSelector" "tolerations" "affinity" -}}
{{- $_ := set $placement "securityContext" .Values.podSecurityContext -}}
{{- range $field, $value := $placement }}
{{- with $value }}
{{ $field }}: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}

{{/* An image reference of {image, appVersion}: by digest where one is given, else by tag. */}}
{{- define "trainingrun-operator.image" -}}
{{- if .image.digest -}}
{{- printf "%s@%s" .image.repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" .image.repository (default .appVersion .image.tag) -}}
{{- end -}}
{{- end -}}
