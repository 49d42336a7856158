module fed/interop/memberlist

go 1.16

require github.com/hashicorp/memberlist v0.1.3
