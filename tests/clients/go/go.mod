module github.com/completiond/completiond/tests/clients/go

go 1.26.0

require (
	github.com/completiond/completiond/examples/go v0.0.0
	github.com/klauspost/compress v1.20.3
	google.golang.org/genproto/googleapis/rpc v0.0.0-20261104224025-d1e00e9f33ab
	google.golang.org/grpc v1.83.2
	google.golang.org/protobuf v1.36.12
)

require (
	golang.org/x/net v0.58.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
	golang.org/x/text v0.41.0 // indirect
)

replace github.com/completiond/completiond/examples/go => ../../../examples/go
