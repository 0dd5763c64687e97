package core_test

import (
	"testing"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
	"github.com/lockify-dlm/lockify/blockdev/nvme/target/core"
)

func TestReadWrite(t *testing.T) {
	for _, ic := range []nvme.ICReq{{}, {HeaderDigest: true, DataDigest: true}} {
		tg, p, _ := newTarget(t)
		_, io := pair(t, tg, p, ic, 1)
		small, large := pattern(4096, 1), pattern(core.MaxTransfer, 2)
		io.want(nvme.StatusSuccess, write(1, 8, small, true), small)
		io.want(nvme.StatusSuccess, write(1, 1000, large, false), large)
		io.expect(1, 8, small)
		io.expect(1, 1000, large)
	}
}
