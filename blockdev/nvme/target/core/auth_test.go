package core_test

import (
	"strings"
	"testing"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
	"github.com/lockify-dlm/lockify/blockdev/nvme/auth"
	"github.com/lockify-dlm/lockify/blockdev/nvme/target/core"
)

func newSecret(t testing.TB) auth.Secret {
	t.Helper()
	s, err := auth.NewSecret(nvme.AuthSHA256)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// lockedTarget makes a target whose host has to authenticate itself.
func lockedTarget(t *testing.T, s core.Secrets) (*core.Target, *core.Port) {
	t.Helper()
	tg, p := core.New(), &core.Port{ID: 1, Address: "127.0.0.1", Service: "4420"}
	if err := tg.AddPort(p); err != nil {
		t.Fatal(err)
	}
	sub, err := tg.AddSubsystem(core.SubsystemConfig{NQN: subNQN, Secrets: map[string]core.Secrets{hostNQN: s}})
	if err != nil {
		t.Fatal(err)
	}
	addMemory(t, sub, 1)
	return tg, p
}

// join connects a queue, which then asks for authentication.
func join(t *testing.T, tg *core.Target, p *core.Port, qid, cntlid uint16) (*host, uint16) {
	t.Helper()
	h := newHost(t, tg, p)
	h.greet(nvme.ICReq{})
	var c nvme.Command
	c.SetConnect(&nvme.Connect{QID: qid, SQSize: 63, KATO: 5000})
	d := nvme.ConnectData{CNTLID: cntlid, SubNQN: subNQN, HostNQN: hostNQN, HostID: [16]byte{15: 1}}
	r, _ := h.do(&c, d.Append(nil))
	got := nvme.ParseConnectResult(r.Result)
	if !r.Status.OK() || !got.AuthRequired || got.AuthSecure {
		t.Fatalf("Connect ends with %v, %+v", r.Status, got)
	}
	return h, got.CNTLID
}

// authenticate does so with these secrets, and gives the host's verdict. Its messages go
// in the capsule, or not.
func (h *host) authenticate(host, controller auth.Secret, inCapsule bool) error {
	h.t.Helper()
	a, err := auth.NewHost(auth.HostConfig{HostNQN: hostNQN, SubNQN: subNQN, Secret: host, Controller: controller})
	if err != nil {
		h.t.Fatal(err)
	}
	for {
		m, more := a.Next()
		var c nvme.Command
		switch {
		case !more:
			return a.Err()
		case m != nil:
			c.SetAuthSend(uint32(len(m)), inCapsule)
			h.want(nvme.StatusSuccess, &c, m)
		default:
			c.SetAuthReceive(nvme.MaxAuthMessage)
			b := h.want(nvme.StatusSuccess, &c, nil)
			if len(b) != nvme.MaxAuthMessage {
				h.t.Fatalf("%d bytes of data, not %d", len(b), nvme.MaxAuthMessage)
			}
			a.Received(b)
		}
	}
}

// TestAuthentication: a queue takes nothing else before, and all after it.
func TestAuthentication(t *testing.T) {
	host, controller := newSecret(t), newSecret(t)
	for name, asked := range map[string]auth.Secret{"one-way": {}, "two-way": controller} {
		t.Run(name, func(t *testing.T) {
			tg, p := lockedTarget(t, core.Secrets{Host: host, Controller: controller})
			a, cntlid := join(t, tg, p, 0, nvme.CNTLIDDynamic)
			var get, set, id nvme.Command
			get.SetPropertyGet(nvme.Property{Offset: nvme.PropVS})
			set.SetPropertySet(nvme.Property{Offset: nvme.PropCC, Value: 1})
			id.SetIdentify(nvme.Identify{CNS: nvme.CNSController})
			for _, c := range []*nvme.Command{&get, &set, &id} {
				a.want(nvme.StatusAuthRequired, c, nil)
			}
			if err := a.authenticate(host, asked, true); err != nil {
				t.Fatal(err)
			}
			a.enable()
			a.want(nvme.StatusSuccess, &id, nil)
			io, _ := join(t, tg, p, 1, cntlid)
			data := pattern(512, 1)
			io.want(nvme.StatusAuthRequired, write(1, 0, data, true), data)
			io.want(nvme.StatusAuthRequired, write(1, 0, data, false), nil)
			io.want(nvme.StatusAuthRequired, read(1, 0, 512), nil)
			io.authenticated(t, host, asked)
			io.want(nvme.StatusSuccess, write(1, 0, data, true), data)
			io.expect(1, 0, data)
			io.authenticated(t, host, asked) // again, in the middle
			io.expect(1, 0, data)
		})
	}
}

// authenticated authenticates with messages that are asked for by R2T.
func (h *host) authenticated(t *testing.T, host, controller auth.Secret) {
	t.Helper()
	if err := h.authenticate(host, controller, false); err != nil {
		t.Fatal(err)
	}
}

// TestWrongSecret: the host is told, the connection ends, and nothing is left of it.
func TestWrongSecret(t *testing.T) {
	host := newSecret(t)
	tg, p := lockedTarget(t, core.Secrets{Host: host})
	for name, tc := range map[string]struct {
		host, controller auth.Secret
		says             string
	}{
		"host":       {newSecret(t), auth.Secret{}, "the host does not know its secret"},
		"controller": {host, newSecret(t), "the host wants to know who the controller is"},
	} {
		h, _ := join(t, tg, p, 0, nvme.CNTLIDDynamic)
		if err := h.authenticate(tc.host, tc.controller, true); err == nil || !strings.Contains(err.Error(), "the controller says: authentication failed") {
			t.Errorf("%s: the host gets %v", name, err)
		}
		if err := h.ses.Err(); err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: the session: %v, want %q", name, err, tc.says)
		}
		h.ses.Close()
	}
	// Failing later takes back what was reached before.
	h, _ := join(t, tg, p, 0, nvme.CNTLIDDynamic)
	h.authenticated(t, host, auth.Secret{})
	h.enable()
	if h.authenticate(newSecret(t), auth.Secret{}, true) == nil || h.ses.Err() == nil {
		t.Errorf("a host with a wrong secret stays; session: %v", h.ses.Err())
	}
	h.ses.Close()
	if n := tg.Sessions(); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}

func TestWrongAuthCommands(t *testing.T) {
	tg, p := lockedTarget(t, core.Secrets{Host: newSecret(t)})
	h, _ := join(t, tg, p, 0, nvme.CNTLIDDynamic)
	var c nvme.Command
	c.SetAuthSend(nvme.MaxAuthMessage+4, false)
	h.want(nvme.StatusInvalidField, &c, nil)
	c.SetAuthReceive(core.MaxTransfer + 4)
	h.want(nvme.StatusInvalidField, &c, nil)
	c.SetAuthReceive(0)
	h.want(nvme.StatusInvalidField, &c, nil)
	c.SetAuthReceive(64)
	c.CDW10 = 0
	h.want(nvme.StatusInvalidField, &c, nil)
	// Where no authentication is wanted there are no such commands.
	open, q, _ := newTarget(t)
	a, _ := pair(t, open, q, nvme.ICReq{}, 1)
	c.SetAuthReceive(64)
	a.want(nvme.StatusInvalidOpcode, &c, nil)
	// A message that does not fit is kept for a larger buffer.
	negotiate := (&nvme.AuthMessage{ID: nvme.AuthNegotiate, Hashes: []byte{1}, Groups: []byte{0}}).Append(nil)
	c.SetAuthSend(uint32(len(negotiate)), true)
	h.want(nvme.StatusSuccess, &c, negotiate)
	c.SetAuthReceive(40)
	h.want(nvme.StatusInvalidField, &c, nil)
	c.SetAuthReceive(48)
	h.want(nvme.StatusSuccess, &c, nil)
}

// TestAuthTimeout: who does not authenticate himself loses his connection, and does not
// keep another's controller alive.
func TestAuthTimeout(t *testing.T) {
	host := newSecret(t)
	tg, p := lockedTarget(t, core.Secrets{Host: host})
	a, cntlid := join(t, tg, p, 0, nvme.CNTLIDDynamic)
	a.authenticated(t, host, auth.Secret{})
	a.enable()
	io, _ := join(t, tg, p, 1, cntlid)
	tg.Tick(4000)
	io.want(nvme.StatusAuthRequired, read(1, 0, 512), nil)
	tg.Tick(5000)
	if a.ses.Err() != nil || io.ses.Err() != nil {
		t.Fatal(a.ses.Err(), io.ses.Err())
	}
	tg.Tick(9001)
	if a.ses.Err() == nil || io.ses.Err() == nil {
		t.Fatal("the controller lives on what others send")
	}
	var c nvme.Command
	c.SetPropertyGet(nvme.Property{Offset: nvme.PropVS})
	idle, _ := join(t, tg, p, 0, nvme.CNTLIDDynamic)
	idle.want(nvme.StatusAuthRequired, &c, nil)
	for now := uint64(10_000); now < 9001+core.AuthTimeout; now += 1000 {
		tg.Tick(now)
		if idle.ses.Err() != nil {
			t.Fatalf("after %d ms: %v", now-9001, idle.ses.Err())
		}
	}
	tg.Tick(9001 + core.AuthTimeout)
	if err := idle.ses.Err(); err == nil || !strings.Contains(err.Error(), "has not authenticated itself") {
		t.Fatalf("the session: %v", err)
	}
}

func TestSecretsConfig(t *testing.T) {
	some := map[string]core.Secrets{hostNQN: {Host: newSecret(t)}}
	for name, cfg := range map[string]core.SubsystemConfig{
		"any host":  {AnyHost: true, Secrets: some},
		"no secret": {Secrets: map[string]core.Secrets{hostNQN: {Controller: newSecret(t)}}},
		"no NQN":    {Secrets: map[string]core.Secrets{"a": some[hostNQN]}},
		"no groups": {Secrets: some, Auth: auth.Choice{Groups: []nvme.AuthGroup{}}},
	} {
		cfg.NQN = subNQN
		if _, err := core.New().AddSubsystem(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
