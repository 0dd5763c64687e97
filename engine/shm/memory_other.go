//go:build !linux

package shm

import (
	"errors"
	"os"
)

// Create is not possible here: there is no memory whose size can be sealed.
func Create(int) (*End, *os.File, error) { return nil, nil, errors.ErrUnsupported }

// Open is not possible here.
func Open(*os.File, int) (*End, error) { return nil, errors.ErrUnsupported }

// Unmap has nothing to give back here.
func (e *End) Unmap() error { return errors.ErrUnsupported }
