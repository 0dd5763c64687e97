package auth

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
)

const (
	hostNQN = "nqn.2026-01.example.host:a"
	subNQN  = "nqn.2026-01.example.lockify:disk"
)

// stream gives the same bytes whenever it has the same name: see testdata/vectors.py.
type stream struct {
	name string
	n    uint32
	left []byte
}

func (s *stream) Read(b []byte) (int, error) {
	for len(s.left) < len(b) {
		sum := sha256.Sum256(binary.LittleEndian.AppendUint32([]byte(s.name), s.n))
		s.left = append(s.left, sum[:]...)
		s.n++
	}
	n := copy(b, s.left)
	s.left = s.left[n:]
	return n, nil
}

// vector is an authentication of testdata/vectors.txt.
type vector struct {
	name       string
	choice     Choice
	secret     Secret
	controller Secret
	messages   []string
}

func readVectors(t *testing.T) (all []vector) {
	t.Helper()
	f, err := os.Open("testdata/vectors.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var v vector
		var h nvme.AuthHash
		var g nvme.AuthGroup
		var secret, own string
		if n, _ := fmt.Sscanf(lines.Text(), "case %s %d %d %s %s", &v.name, (*uint8)(&h), (*uint8)(&g), &secret, &own); n != 5 {
			last := &all[len(all)-1]
			last.messages = append(last.messages, lines.Text())
			continue
		}
		v.choice = Choice{Hashes: []nvme.AuthHash{h}, Groups: []nvme.AuthGroup{g}}
		v.secret = secretOf(t, secret)
		if own != "-" {
			v.controller = secretOf(t, own)
		}
		all = append(all, v)
	}
	return all
}

func secretOf(t testing.TB, text string) Secret {
	t.Helper()
	s, err := ParseSecret(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ends are both ends of an authentication.
type ends struct {
	*Host
	*Controller
}

func newEnds(t testing.TB, h HostConfig, c ControllerConfig) ends {
	t.Helper()
	h.HostNQN, h.SubNQN = hostNQN, subNQN
	c.HostNQN, c.SubNQN = hostNQN, subNQN
	host, err := NewHost(h)
	if err != nil {
		t.Fatal(err)
	}
	controller, err := NewController(c)
	if err != nil {
		t.Fatal(err)
	}
	return ends{host, controller}
}

// run carries messages from end to end until the host is through. change sees each one,
// and may replace it.
func (e ends) run(change func(m []byte) []byte) {
	for range 10 {
		m, more := e.Next()
		switch {
		case !more:
			return
		case m != nil:
			e.Controller.Received(change(m))
		default:
			e.Host.Received(change(e.Reply(nvme.MaxAuthMessage)))
		}
	}
	panic("an authentication without end")
}

// TestVectors: each message is what another implementation makes of the same numbers.
func TestVectors(t *testing.T) {
	all := readVectors(t)
	if len(all) != 19 {
		t.Fatalf("%d vectors", len(all))
	}
	for _, v := range all {
		t.Run(v.name, func(t *testing.T) {
			e := newEnds(t,
				HostConfig{Secret: v.secret, Controller: v.controller, Choice: v.choice, Rand: &stream{name: v.name + "-host"}},
				ControllerConfig{Secret: v.secret, Controller: v.controller, Rand: &stream{name: v.name + "-controller"}})
			var got []string
			e.run(func(m []byte) []byte {
				text := hex.EncodeToString(m)
				if len(m) > 160 {
					text = fmt.Sprintf("sha256 %x", sha256.Sum256(m))
				}
				got = append(got, text)
				return m
			})
			if e.Host.Err() != nil || e.Controller.Err() != nil || !e.Authenticated() {
				t.Fatalf("host: %v; controller: %v", e.Host.Err(), e.Controller.Err())
			}
			if !slices.Equal(got, v.messages) {
				t.Fatalf("the messages are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(v.messages, "\n"))
			}
		})
	}
}

// TestPrimes: the groups are those of OpenSSL, by the SHA-256 of their primes.
func TestPrimes(t *testing.T) {
	for g, want := range map[nvme.AuthGroup]string{
		nvme.AuthGroup2048: "9cd3b7f336872f46c09428d1bbc19877a4d440512cda8d1c1cf0cd6e33698966",
		nvme.AuthGroup3072: "0eaf67db3a839156d5013494a5318a772b5697d270d721f37f092efc69ea5a17",
		nvme.AuthGroup4096: "4648414224ac881b3d0dc59b466f96d06a558278776807797ecf1f66ff397b3e",
		nvme.AuthGroup6144: "227ac9066b3ddd9e193670cda2388fa884f65ba0cf98b742d1fe77a6687c79c7",
		nvme.AuthGroup8192: "770b14efaf6f049929c523113b3fa99a8d11dab1b18af3609590122075d19833",
	} {
		p := fields[g]().p.Nat().SubOne(fields[g]().p).Bytes(fields[g]().p)
		p[len(p)-1]++ // p is odd
		if got := fmt.Sprintf("%x", sha256.Sum256(p)); len(p) != g.Size() || got != want {
			t.Errorf("%v: %d bytes, %s", g, len(p), got)
		}
	}
}

func BenchmarkExchange(b *testing.B) {
	for _, g := range allGroups {
		b.Run(g.String(), func(b *testing.B) {
			r := &stream{}
			for b.Loop() {
				mine, err := newExponent(g, r)
				if err != nil {
					b.Fatal(err)
				}
				if _, ok := mine.shared(mine.public()); !ok {
					b.Fatal("no shared secret")
				}
			}
		})
	}
}
