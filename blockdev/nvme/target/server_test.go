package target_test

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
	"github.com/lockify-dlm/lockify/blockdev/nvme/target"
	"github.com/lockify-dlm/lockify/blockdev/nvme/target/core"
)

func TestReadWrite(t *testing.T) {
	for _, spin := range []time.Duration{0, 50 * time.Microsecond} {
		_, addr := serve(t, target.Config{Spin: spin}, memory(t))
		admin, io := pair(t, addr)
		var c nvme.Command
		c.SetIdentify(nvme.Identify{CNS: nvme.CNSNamespace, NSID: 1})
		_, page := admin.ok(&c, nil)
		var ns nvme.IdentifyNamespace
		if err := ns.Decode(page); err != nil || ns.NSZE != 64<<20/512 {
			t.Fatalf("the namespace has %d blocks, error %v", ns.NSZE, err)
		}
		for _, n := range []int{512, 4096, core.CapsuleData, 128 << 10, core.MaxTransfer} {
			data := bytes.Repeat([]byte{byte(n >> 8), 1, 2, 3}, n/4)
			io.ok(write(77, data, n <= core.CapsuleData), data)
			if _, got := io.ok(read(77, n), nil); !bytes.Equal(got, data) {
				t.Fatalf("%d bytes: something else was read than had been written", n)
			}
		}
	}
}

// TestManyLargeReads: what waits for buffers goes on when others have been sent, also when the
// host says nothing meanwhile.
func TestManyLargeReads(t *testing.T) {
	_, addr := serve(t, target.Config{}, memory(t))
	_, io := pair(t, addr)
	const n = 2 * core.MaxBuffered / core.MaxTransfer
	var all []byte
	for i := range n {
		c := read(0, core.MaxTransfer)
		c.CID = uint16(i)
		all = nvme.Format{}.AppendCommand(all, c, 0)
	}
	io.write(all)
	for ended := 0; ended < n; {
		if h, _ := io.pdu(); h.Type == nvme.TypeCapsuleResp {
			ended++
		}
	}
}

// TestQueueIDAgain: a host that has seen the end of a queue may use its ID again at once, also
// while the target waits for it to read why the queue has ended.
func TestQueueIDAgain(t *testing.T) {
	_, addr := serve(t, target.Config{}, memory(t))
	admin, queue := pair(t, addr)
	var c nvme.Command
	c.SetIdentify(nvme.Identify{CNS: nvme.CNSController})
	_, page := admin.ok(&c, nil)
	var id nvme.IdentifyController
	if err := id.Decode(page); err != nil {
		t.Fatal(err)
	}
	queue.write((&nvme.ICReq{}).Append(nil)) // it may come once
	if h, _ := queue.pdu(); h.Type != nvme.TypeC2HTermReq {
		t.Fatalf("a %v", h.Type)
	}
	if _, err := queue.nc.Read(queue.b); err != io.EOF {
		t.Fatal(err)
	}
	dial(t, addr).connect(1, id.CNTLID)
}
