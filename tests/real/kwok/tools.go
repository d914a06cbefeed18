//go:build tools

// Package kwok pins the command that plays the kubelets: its import keeps `go mod tidy` from dropping it.
package kwok

import _ "sigs.k8s.io/kwok/cmd/kwok"
