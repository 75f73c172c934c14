"""A real Kubernetes and Istio in namespaces of their own: etcd, API server, nodes, istiod, Envoy, HAProxy."""
