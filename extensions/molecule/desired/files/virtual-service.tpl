{{- /* The chart's only template: what a team's chart makes of its values. */ -}}
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: {{ .Release.Name }}
spec:
  hosts: [{{ .Release.Name }}.desired.test]
  gateways: {{ .Values.istio.gateways | toYaml | nindent 4 }}
  http:
    - match:
        - gateways: {{ .Values.istio.gateways | toYaml | nindent 12 }}
      route:
        - destination: {host: nowhere}
