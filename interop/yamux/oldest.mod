module fed/interop/yamux

go 1.20

require github.com/hashicorp/yamux v0.0.0-20181012175058-2f1d1f20f75d
