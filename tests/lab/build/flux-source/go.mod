// Flux's source-controller, of which only the CRDs are used: it does not build from what the module proxy serves.
// `go mod tidy` would drop the requirement, since no program here needs it.
module bluegreen.mesh/lab/flux-source

go 1.26.0

require github.com/fluxcd/source-controller v1.9.4
