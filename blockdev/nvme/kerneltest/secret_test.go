package kerneltest

import (
	"strings"
	"testing"

	"github.com/lockify-dlm/lockify/blockdev/nvme/auth"
)

// newSecret has lockctl make a secret.
func newSecret(t *testing.T, hash string) string {
	t.Helper()
	return strings.TrimSpace(string(lockctl(t, nil, "key", "--hash", hash)))
}

// authentication: nvme-cli and we take each other's secrets, and a host that does not
// authenticate itself gets nothing. Debian's kernel is built without DH-HMAC-CHAP.
func (s *initiator) authentication(t *testing.T) {
	for i, hash := range []string{"none", "sha256", "sha384", "sha512"} {
		want(t, s.Run(t, "nvme check-dhchap-key -k %s", newSecret(t, hash)), "Key is valid")
		theirs := strings.TrimSpace(s.Run(t, "nvme gen-dhchap-key -m %d -n %s", i, guestNQN))
		if _, err := auth.ParseSecret(theirs); err != nil {
			t.Errorf("a secret that nvme-cli has made: %v", err)
		}
	}
	s.refuse(t, "", "nvme connect -t tcp -a 10.0.2.2 -s %d -n %s", s.wire.Port, secretNQN)
	want(t, s.Run(t, "dmesg | tail -5"), "authentication setup failed")
	if out := s.Run(t, "ls /dev"); strings.Contains(out, "nvme0") {
		t.Fatalf("a host that has not authenticated itself has a disk:\n%s", out)
	}
}
