package admin

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/lockify-dlm/lockify/internal/node"
	"github.com/lockify-dlm/lockify/lockspace"
)

// TestOwner: whose a connection is, as long as it is open.
func TestOwner(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "[::1]:0"} {
		ln, err := net.Listen("tcp", at)
		if err != nil && strings.HasPrefix(at, "[") {
			continue // a machine without IPv6
		}
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		from, to := netip.MustParseAddrPort(c.LocalAddr().String()), netip.MustParseAddrPort(ln.Addr().String())
		if uid, err := ownerOf(from, to); err != nil || uid != uint64(os.Geteuid()) {
			t.Errorf("%s: uid %d, %v; this is %d", at, uid, err, os.Geteuid())
		}
		c.Close() // the listener has not accepted it, so that it is half closed for long
		if uid, err := ownerOf(from, to); err == nil {
			t.Errorf("%s: a connection that is closed seems to be of uid %d", at, uid)
		}
	}
}

// TestValues: values of locks, which the rules of access keep from those who may not open a lockspace, are not
// shown to whom this machine does not know.
func TestValues(t *testing.T) {
	n, s, _ := start(t)
	sp, err := n.Open(t.Context(), "s", node.Props{ValueLen: 2})
	if err != nil {
		t.Fatal(err)
	}
	o := owner{make(chan uint64, 2)}
	ask(sp, o, "name", lockspace.NL, 0)
	writer := ask(sp, o, "name", lockspace.EX, 0)
	<-o.granted
	<-o.granted
	sp.Unlock(o, writer, lockspace.ValBlk, []byte("hi"), 1)
	for _, path := range []string{"/v1/locks?lockspace=s", "/v1/dump?lockspace=s", "/v1/dump?lockspace=s&local=true"} {
		resp, err := http.Get("http://" + s.Addr() + path)
		if err != nil {
			t.Fatal(err)
		}
		own, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || !strings.Contains(string(own), `"value_hex":"6869"`) {
			t.Errorf("%s for this process: %s, %v", path, own, err)
		}
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, nil)
		r.RemoteAddr, r.Host = "10.0.0.1:1234", s.Addr()
		s.handler().ServeHTTP(w, r)
		if text := w.Body.String(); !strings.Contains(text, `"value_hex":"","value_seq":1`) {
			t.Errorf("%s for somebody else: %s", path, text)
		}
	}
}

// TestDumpOfCrowd: a client that has very many requests wait for one name hides nothing from who looks.
func TestDumpOfCrowd(t *testing.T) {
	n, _, c := start(t)
	sp, err := n.Open(t.Context(), "s", node.Props{ValueLen: 2})
	if err != nil {
		t.Fatal(err)
	}
	const most = 250_000 // max_client_waiting is more than that
	o := owner{make(chan uint64, most+2)}
	ask(sp, o, "other", lockspace.EX, 0)
	ask(sp, o, "crowd", lockspace.EX, 0)
	<-o.granted
	<-o.granted
	for range most {
		ask(sp, o, "crowd", lockspace.PR, 0)
	}
	look := func(f func(func(*Resource) error) error) {
		t.Helper()
		found := map[string]int{}
		if err := f(func(r *Resource) error {
			found[r.Name.String()] = len(r.Granted) + len(r.Waiting) + r.More
			return nil
		}); err != nil || found["crowd"] != most+1 || found["other"] != 1 {
			t.Errorf("%v, %v", found, err)
		}
	}
	look(func(f func(*Resource) error) error {
		_, err := c.Dump(t.Context(), "s", false, f)
		return err
	})
	look(func(f func(*Resource) error) error {
		_, err := c.Locks(t.Context(), "s", 0, f)
		return err
	})
	if y, err := c.Why(t.Context(), "s", "crowd"); err != nil || y.Names[0].Totals.Waiting != most {
		t.Errorf("why: %+v, %v", y, err)
	}
}

// TestAdministrator: profiles and changes are not for whom this machine does not know.
func TestAdministrator(t *testing.T) {
	_, s, _ := start(t)
	for _, remote := range []string{"10.0.0.1:1234", "127.0.0.1:1"} {
		for _, r := range []*http.Request{
			httptest.NewRequest(http.MethodGet, "/debug/pprof/heap", nil),
			httptest.NewRequest(http.MethodPost, "/v1/members", strings.NewReader(`{"op":"leave"}`)),
		} {
			w := httptest.NewRecorder()
			r.RemoteAddr, r.Host = remote, s.Addr()
			s.handler().ServeHTTP(w, r)
			if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "permission denied") {
				t.Errorf("%s %s of %s: %d %s", r.Method, r.URL, remote, w.Code, w.Body)
			}
		}
	}
	resp, err := http.Get("http://" + s.Addr() + "/debug/pprof/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("this process itself: %s", resp.Status)
	}
}
