//go:build nolabel

package main

import (
	"errors"

	"github.com/hashicorp/memberlist"
)

// Releases before v0.3.0 know no labels.
func label(*memberlist.Config, string) error {
	return errors.New("this release of memberlist has no labels")
}
