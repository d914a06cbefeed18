//go:build tools

// Package apiserver pins the command that the tests build: its import keeps `go mod tidy` from dropping it.
package apiserver

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
)
