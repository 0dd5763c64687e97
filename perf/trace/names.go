package trace

import (
	"bytes"
	"fmt"
	"strconv"
)

// creating lists the operations, and for rows outside operations the phases,
// that make files or directories.
var creating = map[string]bool{"create": true, "screate": true, "mkdir": true}

// freshType says that a name is of a type whose lock a file system asks with
// New when it makes a file: for GFS2 the inode (2) and its iopen (5) glock,
// for OCFS2 the inode's W, M and O locks and the dentry's N lock.
func freshType(name []byte) bool {
	if kind, _, ok := gfs2Name(name); ok {
		return kind == 2 || kind == 5
	}
	return len(name) == ocfs2Len && bytes.IndexByte([]byte("WMON"), name[0]) >= 0
}

const (
	gfs2Len  = 24 // "%8x%16x"
	ocfs2Len = 31
)

// gfs2Name takes a GFS2 name apart.
func gfs2Name(name []byte) (kind, number uint64, ok bool) {
	if len(name) != gfs2Len {
		return 0, 0, false
	}
	kind, err := strconv.ParseUint(string(bytes.TrimLeft(name[:8], " ")), 16, 32)
	if err != nil {
		return 0, 0, false
	}
	number, err = strconv.ParseUint(string(bytes.TrimLeft(name[8:], " ")), 16, 64)
	return kind, number, err == nil
}

// copyName gives the name that copy k of a file's resource has: same length,
// same form, and different from every name of another copy. It uses digits of
// the block number that are zero on any disk these traces can come from: GFS2
// bits 48 and up; OCFS2 the first four digits behind the type letter (padding
// in W, M and O, the top of the parent's block number in N).
func copyName(name []byte, k int) ([]byte, error) {
	if k == 0 {
		return name, nil
	}
	if kind, number, ok := gfs2Name(name); ok && number>>48 == 0 {
		return fmt.Appendf(nil, "%8x%16x", kind, number|uint64(k)<<48), nil
	}
	if len(name) == ocfs2Len && string(name[1:5]) == "0000" {
		c := bytes.Clone(name)
		copy(c[1:5], fmt.Sprintf("%04x", k))
		return c, nil
	}
	return nil, fmt.Errorf("%w: repeat: can't make a copy of the name %q", ErrOptions, name)
}
