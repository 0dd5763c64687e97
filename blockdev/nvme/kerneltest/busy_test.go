package kerneltest

import (
	"syscall"
	"testing"
)

// busy has the guest write data to a device and compare it, again and again, with several
// requests under way, until calm. It returns when the first round is done.
func (g *Guest) busy(t *testing.T, dev string) {
	t.Helper()
	g.Run(t, "rm -f /tmp/stop /tmp/rounds /tmp/result; touch /tmp/rounds")
	const round = `for i in 0 1 2 3; do dd if=/tmp/data of=$D bs=32k seek=$((i*8)) skip=$((i*8)) count=8 oflag=direct || exit 1 & P="$P $!"; done; ` +
		`for p in $P; do wait $p || exit 1; done; P=; dd if=$D bs=128k count=8 iflag=direct | cmp -n 1048576 - /tmp/data || exit 2; echo >>/tmp/rounds; `
	g.Run(t, `{ (D=%s; while [ ! -e /tmp/stop ]; do `+round+`done; exit 0); echo $? >/tmp/result; } >/tmp/busy 2>&1 &`, dev)
}

// rounds waits until n more rounds are done.
func (g *Guest) rounds(t *testing.T, n int) {
	t.Helper()
	g.Run(t, "n=$(wc -l </tmp/rounds); for i in $(seq 600); do [ -e /tmp/result ] && cat /tmp/busy && exit 1; [ $(wc -l </tmp/rounds) -ge $((n+%d)) ] && exit 0; sleep 0.1; done; exit 2", n)
}

// calm ends what busy has begun, and fails if anything has gone wrong meanwhile.
func (g *Guest) calm(t *testing.T) {
	t.Helper()
	g.Run(t, "touch /tmp/stop")
	g.await(t, "[ -s /tmp/result ]")
	g.Run(t, "cat /tmp/busy; exit $(cat /tmp/result)")
}

func (s *initiator) reset(t *testing.T) {
	s.connect(t, "-i 2")
	defer s.disconnect(t)
	s.busy(t, s.dev(2))
	for range 2 {
		s.Run(t, "nvme reset /dev/%s", s.disk)
		s.rounds(t, 2)
	}
	s.Run(t, "nvme ns-rescan /dev/%s", s.disk)
	s.calm(t)
}

func (s *initiator) cut(t *testing.T) {
	s.connect(t, "-i 2 -g -G")
	defer s.disconnect(t)
	s.busy(t, s.dev(2))
	for range 2 {
		s.rounds(t, 1)
		s.wire.Cut()
		s.await(t, "[ $(cat /sys/class/nvme/%s/state) = connecting ]", s.disk)
		s.wire.Mend()
		s.rounds(t, 2)
	}
	s.calm(t)
}

func (s *initiator) restart(t *testing.T) {
	s.connect(t, "-i 2")
	defer s.disconnect(t)
	s.busy(t, s.dev(2))
	for _, how := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		s.rounds(t, 1)
		s.end(t, how)
		s.start()
		s.rounds(t, 2)
	}
	s.calm(t)
}

// stopped: a target that is silent for too long is given up, and found again.
func (s *initiator) stopped(t *testing.T) {
	s.connect(t, "-i 2 -k 1")
	defer s.disconnect(t)
	s.busy(t, s.dev(2))
	s.rounds(t, 1)
	s.daemon.Signal(t, syscall.SIGSTOP)
	s.await(t, "[ $(cat /sys/class/nvme/%s/state) = connecting ]", s.disk)
	s.daemon.Signal(t, syscall.SIGCONT)
	s.rounds(t, 2)
	s.calm(t)
}

// disconnectBusy: who disconnects while requests are under way gets errors, and may connect
// again.
func (s *initiator) disconnectBusy(t *testing.T) {
	for range 2 {
		s.connect(t, "-i 2")
		s.busy(t, s.dev(2))
		s.rounds(t, 1)
		s.disconnect(t)
		s.await(t, "[ -s /tmp/result ]")
		s.refuse(t, "error", "cat /tmp/busy; exit $(cat /tmp/result)")
	}
	s.connect(t, "-i 2")
	s.roundTrip(t, s.dev(2), 64, 16)
	s.disconnect(t)
}
