// etcd is the server of go.etcd.io/etcd as a command: upstream's own main lives in a module of its own.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	etcdmain.Main(os.Args)
}
