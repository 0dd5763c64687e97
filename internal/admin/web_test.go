package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/internal/node"
	"github.com/lockify-dlm/lockify/lockspace"
)

// hostile is a name that runs something where it is taken for HTML.
const hostile = `<img src=x onerror=document.title='owned'>`

// fetch gives the answer to a GET, which must be 200.
func fetch(t *testing.T, url string, header http.Header) string {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: status %d, %v\n%s", url, answer.StatusCode, err, text)
	}
	for k := range header {
		if got := answer.Header.Get(k); got != header.Get(k) {
			t.Errorf("%s: %s is %q, want %q", url, k, got, header.Get(k))
		}
	}
	return string(text)
}

// The page is whole: each file that it names is there, under a policy that lets nothing
// else run, and no file turns text into elements.
func TestPageFiles(t *testing.T) {
	_, s, _ := start(t)
	base := "http://" + s.Addr()
	seen := map[string]bool{}
	for path, file := range pages {
		kind := map[string]string{".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}[filepath.Ext(file)]
		text := fetch(t, base+strings.TrimSuffix(path, "{$}"), http.Header{
			"Content-Type": {kind}, "Content-Security-Policy": {webPolicy}, "X-Content-Type-Options": {"nosniff"},
		})
		for _, bad := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "http://", "https://", "onclick=", "style="} {
			if strings.Contains(strings.ReplaceAll(text, `"http://www.w3.org/2000/svg"`, ""), bad) {
				t.Errorf("%s has %s", file, bad)
			}
		}
		for _, f := range regexp.MustCompile(`(?:src|href|from )=?"(/web/[^"]*|\./[^"]*)"`).FindAllStringSubmatch(text, -1) {
			seen[strings.Replace(f[1], "./", "/web/", 1)] = true
		}
	}
	for path := range pages {
		if path != "/{$}" && !seen[path] {
			t.Errorf("nothing names %s", path)
		}
		delete(seen, path)
	}
	if len(seen) != 0 {
		t.Errorf("not there: %v", seen)
	}
}

// busy lets three wait for a hostile name in a hostile lockspace, two in a circle, and
// goes on to lock and unlock until the test ends.
func busy(t *testing.T) (*Server, *node.Space) {
	n, s, _ := start(t)
	sp, err := n.Open(t.Context(), "space "+hostile, node.Props{ValueLen: 8})
	if err != nil {
		t.Fatal(err)
	}
	o := owner{make(chan uint64, 8)}
	lock := func(name string, mode lockspace.Mode, flags uint32, xid uint64, granted bool) {
		sp.LockHere(&lockspace.Request{Mode: mode, Flags: flags, User: o, Owner: xid}, name, 0, new(uint64))
		if granted {
			<-o.granted
		}
	}
	lock(hostile, lockspace.PR, 0, 7, true)
	lock(hostile, lockspace.PR, 0, 1<<32|4, true)
	lock("orders/42", lockspace.EX, 0, 8, true)
	lock(hostile, lockspace.EX, lockspace.NoDlckWt, 8, false)
	lock(hostile, lockspace.PW, 0, 0, false)
	lock(hostile, lockspace.PR, 0, 2<<32|1, false)
	lock("orders/42", lockspace.PR, lockspace.NoDlckWt, 7, false)
	lock("orders/42", lockspace.PR, 0, 9, false)
	lock("queue/head", lockspace.EX, 0, 5, true)
	lock("queue/head", lockspace.EX, 0, 6, false)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		own := owner{make(chan uint64, 8)}
		for ctx.Err() == nil {
			first := ask(sp, own, "busy", lockspace.EX, 0)
			<-own.granted
			second := ask(sp, own, "busy", lockspace.EX, 0)
			sp.Unlock(own, first, 0, nil, 1)
			<-own.granted
			sp.Unlock(own, second, 0, nil, 1)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return s, sp
}

// /v1/top of a lockspace and /v1/times say what there is.
func TestWaitedAndTimes(t *testing.T) {
	s, _ := busy(t)
	base := "http://" + s.Addr()
	var top Top
	if err := json.Unmarshal([]byte(fetch(t, base+"/v1/top?lockspace="+url.QueryEscape("space "+hostile), nil)), &top); err != nil {
		t.Fatal(err)
	}
	hot := top.Waited
	if top.Node != 5 || hot == nil || hot.All < 3 || string(hot.Names[0].Name) != hostile {
		t.Fatalf("%+v", hot)
	}
	h := hot.Names[0]
	if h.Master != 5 || h.Waits != 3 || h.Holds != 2 || len(h.Holders) != 2 || len(h.Waiters) != 3 || h.WaitS <= 0 {
		t.Errorf("%+v", h)
	}
	if w := h.Waiters[0]; w.Wanted != "EX" || w.Owner != 8 || w.Session != 0 || w.Node != 5 {
		t.Errorf("%+v", w)
	}
	if l := h.Holders[1]; l.Granted != "PR" || l.Owner != 4 || l.Session != 1 {
		t.Errorf("%+v", l)
	}
	var times Times
	if err := json.Unmarshal([]byte(fetch(t, base+"/v1/times", nil)), &times); err != nil {
		t.Fatal(err)
	}
	if len(times.BoundsNS) != lockspace.Buckets || len(times.Lockspaces) != 1 {
		t.Fatalf("%+v", times)
	}
	sum := uint64(0)
	for _, c := range times.Lockspaces[0].Grants["at-once"].Counts {
		sum += c
	}
	if sum < 4 || times.Lockspaces[0].Pending < 6 {
		t.Errorf("%d grants at once, %d pending", sum, times.Lockspaces[0].Pending)
	}
}

// In a real browser the page shows what there is, and takes no name for anything but text.
// With $OUT there is a picture of it, page.png.
func TestPageInBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds, and more under the race detector")
	}
	browser, err := exec.LookPath("chromium")
	if err != nil && os.Getenv("CI") != "" {
		t.Fatal("no chromium: .ci/run installs it")
	} else if err != nil {
		t.Skip("needs chromium")
	}
	s, _ := busy(t)
	run := func(args ...string) string {
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		defer cancel()
		dir := t.TempDir()
		cmd := exec.CommandContext(ctx, browser, append([]string{
			"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--user-data-dir=" + dir,
			"--disable-background-networking", "--hide-scrollbars", "--window-size=1280,1900", "--virtual-time-budget=14000",
		}, args...)...)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: %v", cmd.Args, err)
		}
		return string(out)
	}
	dom := run("--dump-dom", "http://"+s.Addr()+"/")
	for what, want := range map[string]string{
		"title":     `<title>lockify c node 5</title>`,
		"state":     `as of `,
		"member":    `5 \(this one\)`,
		"lockspace": `<button[^>]*>space &lt;img src=x onerror=`,
		"hot name":  `<td class="name">&lt;img src=x onerror=document.title='owned'&gt;</td><td class="n">5</td><td class="n">3</td>`,
		"holder":    `node 5 owner 7 PR for `,
		"graph":     `<rect class="res"`,
		"circle":    `class="edge waits circle"`,
		"sentence":  `Red: a circle`,
		"latency":   `<path class="s1" d="M[0-9]`,
		"waited":    `waited p99 [0-9]`,
		"rate":      `aria-label="at once: [0-9]`,
	} {
		if !regexp.MustCompile(want).MatchString(dom) {
			t.Errorf("%s: no %s", what, want)
		}
	}
	if strings.Contains(dom, "<img") || strings.Contains(dom, "owned</title>") {
		t.Error("a name has become an element")
	}
	if t.Failed() {
		t.Logf("%.20000s", dom)
	}
	if out := os.Getenv("OUT"); out != "" {
		file := filepath.Join(cmp.Or(out, "."), "page.png")
		run("--screenshot="+file, "http://"+s.Addr()+"/")
		if i, err := os.Stat(file); err != nil || i.Size() < 20_000 {
			t.Errorf("no picture: %v", err)
		}
	}
}
