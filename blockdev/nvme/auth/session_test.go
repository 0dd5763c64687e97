package auth

import (
	"bytes"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
)

func newSecret(t testing.TB) Secret {
	t.Helper()
	s, err := NewSecret(nvme.AuthSHA256)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func same(m []byte) []byte { return m }

// changed changes the message with that ID, once.
func changed(id nvme.AuthID, change func(m *nvme.AuthMessage)) func([]byte) []byte {
	return func(b []byte) []byte {
		var m nvme.AuthMessage
		if m.Decode(b) != nil || m.ID != id {
			return b
		}
		change(&m)
		return m.Append(nil)
	}
}

// TestRefused: who is not content says why, and is the one who has the error; the other
// end hears of it.
func TestRefused(t *testing.T) {
	a, b, c := newSecret(t), newSecret(t), newSecret(t)
	groups := func(g ...nvme.AuthGroup) Choice { return Choice{Groups: g} }
	hashes := func(h ...nvme.AuthHash) Choice { return Choice{Hashes: h} }
	minusOne := func(m *nvme.AuthMessage) {
		p := prime(2048, 560316)
		p.Sub(p, big.NewInt(1)).FillBytes(m.DHValue)
	}
	for name, tc := range map[string]struct {
		host       HostConfig
		controller ControllerConfig
		change     func([]byte) []byte
		says       string // of the host's and the controller's errors, both
	}{
		"another secret":             {HostConfig{Secret: a}, ControllerConfig{Secret: b}, same, "authentication failed|does not know its secret"},
		"another controller":         {HostConfig{Secret: a, Controller: b}, ControllerConfig{Secret: a, Controller: c}, same, "the controller does not know|the host says: authentication failed"},
		"a controller without":       {HostConfig{Secret: a, Controller: b}, ControllerConfig{Secret: a}, same, "the controller says|which has no secret"},
		"no common hash":             {HostConfig{Secret: a, Choice: hashes(1, 2)}, ControllerConfig{Secret: a, Choice: hashes(3)}, same, "hash function not usable|hashes that the host offers (01 02)"},
		"no common group":            {HostConfig{Secret: a, Choice: groups(0, 1)}, ControllerConfig{Secret: a, Choice: groups(2)}, same, "DH group not usable|groups that the host offers (00 01)"},
		"a secure channel":           {HostConfig{Secret: a}, ControllerConfig{Secret: a}, changed(nvme.AuthNegotiate, func(m *nvme.AuthMessage) { m.Secure = 1 }), "concatenation mismatch|secure channel"},
		"a hash not offered":         {HostConfig{Secret: a, Choice: hashes(1)}, ControllerConfig{Secret: a, Choice: hashes(2)}, changed(nvme.AuthNegotiate, func(m *nvme.AuthMessage) { m.Hashes = []byte{2} }), "picked hash sha384|hash function not usable"},
		"a group not offered":        {HostConfig{Secret: a, Choice: groups(1)}, ControllerConfig{Secret: a, Choice: groups(0)}, changed(nvme.AuthNegotiate, func(m *nvme.AuthMessage) { m.Groups = []byte{0} }), "picked group null|DH group not usable"},
		"public value 1":             {HostConfig{Secret: a}, ControllerConfig{Secret: a}, changed(nvme.AuthChallenge, func(m *nvme.AuthMessage) { clear(m.DHValue); m.DHValue[255] = 1 }), "is none of group|incorrect payload"},
		"public value 0":             {HostConfig{Secret: a}, ControllerConfig{Secret: a}, changed(nvme.AuthReply, func(m *nvme.AuthMessage) { clear(m.DHValue) }), "incorrect payload|none of the group"},
		"public value p-1":           {HostConfig{Secret: a}, ControllerConfig{Secret: a}, changed(nvme.AuthReply, minusOne), "incorrect payload|none of the group"},
		"public value beyond":        {HostConfig{Secret: a}, ControllerConfig{Secret: a}, changed(nvme.AuthReply, func(m *nvme.AuthMessage) { copy(m.DHValue, bytes.Repeat([]byte{0xff}, 256)) }), "incorrect payload|none of the group"},
		"a public value too many":    {HostConfig{Secret: a}, ControllerConfig{Secret: a, Choice: groups(0)}, changed(nvme.AuthReply, func(m *nvme.AuthMessage) { m.DHValue = make([]byte, 256) }), "incorrect payload|none of the group"},
		"no public value":            {HostConfig{Secret: a}, ControllerConfig{Secret: a}, changed(nvme.AuthReply, func(m *nvme.AuthMessage) { m.DHValue = nil }), "incorrect payload|none of the group"},
		"a changed challenge":        {HostConfig{Secret: a}, ControllerConfig{Secret: a}, changed(nvme.AuthChallenge, func(m *nvme.AuthMessage) { m.Challenge[0]++ }), "authentication failed|does not know"},
		"a changed number":           {HostConfig{Secret: a}, ControllerConfig{Secret: a}, changed(nvme.AuthChallenge, func(m *nvme.AuthMessage) { m.Seq++ }), "authentication failed|does not know"},
		"a changed host's number":    {HostConfig{Secret: a, Controller: b}, ControllerConfig{Secret: a, Controller: b}, changed(nvme.AuthReply, func(m *nvme.AuthMessage) { m.Seq = m.Seq&0xff + 1 }), "does not know its secret|the host says"},
		"no response":                {HostConfig{Secret: a, Controller: b}, ControllerConfig{Secret: a, Controller: b}, changed(nvme.AuthSuccess1, func(m *nvme.AuthMessage) { m.Response = nil }), "does not know its secret|the host says"},
		"no challenge":               {HostConfig{Secret: a, Controller: b}, ControllerConfig{Secret: a, Controller: b}, changed(nvme.AuthReply, func(m *nvme.AuthMessage) { m.Challenge = nil }), "does not know its secret|the host says"},
		"a response of another hash": {HostConfig{Secret: a}, ControllerConfig{Secret: a}, changed(nvme.AuthReply, func(m *nvme.AuthMessage) { m.Response = make([]byte, 48) }), "incorrect payload|has 48 bytes, not 32"},
		"another transaction":        {HostConfig{Secret: a}, ControllerConfig{Secret: a}, changed(nvme.AuthChallenge, func(m *nvme.AuthMessage) { m.TID++ }), "for transaction|the host says: incorrect protocol message"},
		"success too early":          {HostConfig{Secret: a}, ControllerConfig{Secret: a}, changed(nvme.AuthChallenge, func(m *nvme.AuthMessage) { *m = nvme.AuthMessage{ID: nvme.AuthSuccess1, TID: m.TID} }), "DH-HMAC-CHAP_Success1 when it may not come|the host says"},
		"garbage":                    {HostConfig{Secret: a}, ControllerConfig{Secret: a}, func([]byte) []byte { return []byte("garbage!") }, "the controller's message|the host's message"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnds(t, tc.host, tc.controller)
			e.run(tc.change)
			host, controller, _ := strings.Cut(tc.says, "|")
			if err := e.Host.Err(); !errors.Is(err, ErrFailed) || !strings.Contains(err.Error(), host) {
				t.Errorf("host: %v, want %q", err, host)
			}
			if err := e.Controller.Err(); !errors.Is(err, ErrFailed) || !strings.Contains(err.Error(), controller) {
				t.Errorf("controller: %v, want %q", err, controller)
			}
			if e.Authenticated() || !e.Over() {
				t.Errorf("authenticated: %v, over: %v", e.Authenticated(), e.Over())
			}
		})
	}
}

// TestNegotiation: the controller's order decides.
func TestNegotiation(t *testing.T) {
	s := newSecret(t)
	e := newEnds(t, HostConfig{Secret: s}, ControllerConfig{Secret: s, Choice: Choice{
		Hashes: []nvme.AuthHash{nvme.AuthSHA512, nvme.AuthSHA256}, Groups: []nvme.AuthGroup{nvme.AuthGroup3072, nvme.AuthGroup2048},
	}})
	var m nvme.AuthMessage
	e.run(func(b []byte) []byte {
		if m.ID != nvme.AuthChallenge {
			if err := m.Decode(bytes.Clone(b)); err != nil {
				t.Fatal(err)
			}
		}
		return b
	})
	if m.Hash != nvme.AuthSHA512 || m.Group != nvme.AuthGroup3072 || !e.Authenticated() {
		t.Fatalf("%v, %v; authenticated: %v", m.Hash, m.Group, e.Authenticated())
	}
}

// TestAgain: a host that is known may authenticate again, with another challenge, and is
// known no more if that fails.
func TestAgain(t *testing.T) {
	s := newSecret(t)
	e := newEnds(t, HostConfig{Secret: s}, ControllerConfig{Secret: s})
	var seen []nvme.AuthMessage
	note := func(b []byte) []byte {
		var m nvme.AuthMessage
		if m.Decode(bytes.Clone(b)) == nil && m.ID == nvme.AuthChallenge {
			seen = append(seen, m)
		}
		return b
	}
	for i, secret := range []Secret{s, s, newSecret(t)} {
		h, err := NewHost(HostConfig{HostNQN: hostNQN, SubNQN: subNQN, Secret: secret})
		if err != nil {
			t.Fatal(err)
		}
		e.Host = h
		e.run(note)
		if e.Authenticated() != (i < 2) || (h.Err() == nil) != (i < 2) {
			t.Fatalf("time %d: authenticated: %v, host: %v", i, e.Authenticated(), h.Err())
		}
	}
	if len(seen) != 3 || seen[1].Seq != seen[0].Seq+1 || bytes.Equal(seen[0].Challenge, seen[1].Challenge) {
		t.Fatalf("challenges: %+v", seen)
	}
}

// TestOutOfTurn: a host gets no further than its messages are right, in order.
func TestOutOfTurn(t *testing.T) {
	s := newSecret(t)
	cfg := ControllerConfig{HostNQN: hostNQN, SubNQN: subNQN, Secret: s}
	negotiate := func() []byte {
		h, _ := NewHost(HostConfig{Secret: s})
		m, _ := h.Next()
		return m
	}
	message := func(id nvme.AuthID) []byte { return (&nvme.AuthMessage{ID: id}).Append(nil) }
	for name, do := range map[string]func(c *Controller){
		"success at once":        func(c *Controller) { c.Received(message(nvme.AuthSuccess2)) },
		"a message of its own":   func(c *Controller) { c.Received(message(nvme.AuthSuccess1)) },
		"nothing is due":         func(c *Controller) { c.Reply(nvme.MaxAuthMessage) },
		"negotiating twice":      func(c *Controller) { c.Received(negotiate()); c.Received(negotiate()) },
		"success after it":       func(c *Controller) { c.Received(negotiate()); c.Received(message(nvme.AuthSuccess2)) },
		"a message after a fail": func(c *Controller) { c.Received(nil); c.Received(negotiate()); c.Received(negotiate()) },
	} {
		c, err := NewController(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if do(c); c.Authenticated() || c.Err() == nil {
			t.Errorf("%s: authenticated: %v, %v", name, c.Authenticated(), c.Err())
		}
		var m nvme.AuthMessage
		if err := m.Decode(c.Reply(nvme.MaxAuthMessage)); err != nil || m.ID != nvme.AuthFailure1 || !c.Over() {
			t.Errorf("%s: the host is told %v, %v", name, m.ID, err)
		}
	}
	c, _ := NewController(cfg)
	c.Received(negotiate())
	if c.Reply(16) != nil || c.Err() != nil || c.Reply(nvme.MaxAuthMessage) == nil {
		t.Error("a buffer that is too small is not only refused")
	}
}

func TestWrongConfig(t *testing.T) {
	s := newSecret(t)
	for _, c := range []Choice{
		{Hashes: []nvme.AuthHash{}}, {Groups: []nvme.AuthGroup{}}, {Hashes: []nvme.AuthHash{0}}, {Hashes: []nvme.AuthHash{4}},
		{Groups: []nvme.AuthGroup{6}}, {Groups: []nvme.AuthGroup{1, 1}}, {Hashes: []nvme.AuthHash{1, 2, 1}},
	} {
		if _, err := NewHost(HostConfig{Secret: s, Choice: c}); err == nil {
			t.Errorf("a host takes %v", c)
		}
		if _, err := NewController(ControllerConfig{Secret: s, Choice: c}); err == nil || c.Check() == nil {
			t.Errorf("a controller takes %v", c)
		}
	}
	if _, err := NewHost(HostConfig{}); !errors.Is(err, ErrFailed) {
		t.Error(err)
	}
	if _, err := NewController(ControllerConfig{}); !errors.Is(err, ErrFailed) {
		t.Error(err)
	}
}
