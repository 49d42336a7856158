//go:build !nolabel

package main

import "github.com/hashicorp/memberlist"

func label(c *memberlist.Config, text string) error {
	c.Label = text
	return nil
}
