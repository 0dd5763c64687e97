package auth

import (
	"testing"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
)

// fuzzSecret is small and cheap: what is fuzzed are messages, not arithmetic.
func fuzzSecret() Secret { return Secret{key: make([]byte, 32)} }

// messages cuts input into messages, each with its length, in units of 8 bytes, in front
// of it.
func messages(input []byte) (all [][]byte) {
	for len(input) > 0 && len(all) < 16 {
		n := min(int(input[0])*8, len(input)-1)
		all = append(all, input[1:1+n])
		input = input[1+n:]
	}
	return all
}

// framed is what messages cuts.
func framed(all ...[]byte) (out []byte) {
	for _, m := range all {
		n := (len(m) + 7) / 8
		out = append(append(append(out, byte(n)), m...), make([]byte, n*8-len(m))...)
	}
	return out
}

// conversation gives what both ends say in an authentication, with random numbers of
// fixed streams, so that the fuzzer's answers fit.
func conversation(f testing.TB, g nvme.AuthGroup, two bool) (host, controller [][]byte) {
	h, c := fuzzConfigs(two)
	h.Choice.Groups = []nvme.AuthGroup{g}
	e := newEnds(f, h, c)
	turn := 0
	e.run(func(m []byte) []byte {
		if turn++; turn%2 == 1 {
			host = append(host, m)
		} else {
			controller = append(controller, m)
		}
		return m
	})
	if !e.Authenticated() || e.Host.Err() != nil {
		f.Fatal(e.Host.Err())
	}
	return host, controller
}

func fuzzConfigs(two bool) (h HostConfig, c ControllerConfig) {
	h = HostConfig{HostNQN: hostNQN, SubNQN: subNQN, Secret: fuzzSecret(), Rand: &stream{name: "host"}}
	c = ControllerConfig{HostNQN: hostNQN, SubNQN: subNQN, Secret: fuzzSecret(), Controller: fuzzSecret(), Rand: &stream{name: "controller"}}
	if two {
		h.Controller = fuzzSecret()
	}
	return h, c
}

// FuzzController has a host send anything, and ask for messages at any time: before each
// of its messages, if ask has that bit. Only one that knows the secret is let in, that is
// one that sends what seeds have: nobody finds a response by chance.
func FuzzController(f *testing.F) {
	known := map[string]bool{}
	for _, g := range []nvme.AuthGroup{nvme.AuthGroupNull, nvme.AuthGroup2048} {
		for _, two := range []bool{false, true} {
			host, _ := conversation(f, g, two)
			known[string(responseIn(f, host[1]))] = true
			f.Add(framed(host...), uint16(0xffff))
			f.Add(framed(host...), uint16(0xfffe))
		}
	}
	f.Fuzz(func(t *testing.T, input []byte, ask uint16) {
		_, cfg := fuzzConfigs(false)
		c, err := NewController(cfg)
		if err != nil {
			t.Fatal(err)
		}
		right := false
		for _, m := range append(messages(input), nil) {
			if ask&1 != 0 {
				reply := c.Reply(nvme.MaxAuthMessage)
				if len(reply) == 0 || len(reply) > nvme.MaxAuthMessage || new(nvme.AuthMessage).Decode(reply) != nil {
					t.Fatalf("the host is told %x", reply)
				}
			}
			if ask >>= 1; c.Over() {
				break
			}
			var got nvme.AuthMessage
			if got.Decode(m) == nil && got.ID == nvme.AuthReply {
				right = right || known[string(got.Response)]
			}
			c.Received(m)
			if c.Authenticated() && (!right || c.Err() != nil) {
				t.Fatalf("a host that knows no secret is let in; error: %v", c.Err())
			}
		}
	})
}

func responseIn(f testing.TB, b []byte) []byte {
	var m nvme.AuthMessage
	if err := m.Decode(b); err != nil || m.ID != nvme.AuthReply {
		f.Fatalf("%v, %v", m.ID, err)
	}
	return m.Response
}

// FuzzHost has a controller send anything. The host is always through after few messages,
// and if it has asked, takes no controller that does not answer.
func FuzzHost(f *testing.F) {
	known := map[string]bool{}
	for _, g := range []nvme.AuthGroup{nvme.AuthGroupNull, nvme.AuthGroup2048} {
		for _, two := range []bool{false, true} {
			_, controller := conversation(f, g, two)
			f.Add(framed(controller...), two)
			if two {
				known[string(controller[1][16:])] = true
			}
		}
	}
	f.Add(framed(refusal(nvme.AuthFailure1, 0, nvme.AuthFailed)), false)
	f.Fuzz(func(t *testing.T, input []byte, two bool) {
		cfg, _ := fuzzConfigs(two)
		h, err := NewHost(cfg)
		if err != nil {
			t.Fatal(err)
		}
		all, right := append(messages(input), nil), false
		for range 8 {
			m, more := h.Next()
			switch {
			case !more:
				if two && h.Err() == nil && !right {
					t.Fatal("a controller that knows no secret is taken")
				}
				return
			case m != nil:
				if new(nvme.AuthMessage).Decode(m) != nil {
					t.Fatalf("the controller is told %x", m)
				}
			default:
				var got nvme.AuthMessage
				if got.Decode(all[0]) == nil && got.ID == nvme.AuthSuccess1 {
					right = right || known[string(got.Response)]
				}
				h.Received(all[0])
				all = append(all[1:], nil)
			}
		}
		t.Fatal("the host is not through")
	})
}
