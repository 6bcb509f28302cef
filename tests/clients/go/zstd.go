package main

import (
	"io"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/grpc/encoding"
)

const zstdName = "zstd"

// zstdCompressor is what grpc-go lacks: zstd as a message encoding.
type zstdCompressor struct{}

func init() {
	encoding.RegisterCompressor(zstdCompressor{})
}

func (zstdCompressor) Name() string {
	return zstdName
}

func (zstdCompressor) Compress(w io.Writer) (io.WriteCloser, error) {
	return zstd.NewWriter(w)
}

func (zstdCompressor) Decompress(r io.Reader) (io.Reader, error) {
	return zstd.NewReader(r)
}
