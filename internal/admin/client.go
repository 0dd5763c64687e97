package admin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// maxDocument bounds an answer in bytes, and maxLine a line of /v1/locks: three queues of
// lockspace.MaxListed locks, and all byte ranges that a name may have.
const (
	maxDocument = 64 << 20
	maxLine     = 32 << 20
)

// Errors of Client.
var (
	ErrRefused = errors.New("admin: the node answers with an error") // with the node's text
	ErrCutOff  = errors.New("admin: the answer ends in the middle")
)

// Client asks a node's admin address.
type Client struct {
	base string
	http http.Client
}

// NewClient takes "host:port" or "http://host:port". Errors: ErrAddr.
func NewClient(addr string) (*Client, error) {
	rest := strings.TrimSuffix(strings.TrimPrefix(addr, "http://"), "/")
	host, port, err := net.SplitHostPort(rest)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil || host == "" {
		return nil, fmt.Errorf("%w %q: want host:port", ErrAddr, addr)
	}
	// A transport of its own without a proxy: what the environment says about
	// the web does not concern the cluster.
	return &Client{base: "http://" + rest, http: http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}, nil
}

// Status asks for /v1/status.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	return document[Status](ctx, c, "/v1/status")
}

// Lockspaces asks for /v1/lockspaces.
func (c *Client) Lockspaces(ctx context.Context) ([]Lockspace, error) {
	all, err := document[[]Lockspace](ctx, c, "/v1/lockspaces")
	if err != nil {
		return nil, err
	}
	return *all, nil
}

// Members asks for /v1/members.
func (c *Client) Members(ctx context.Context) (*Members, error) {
	return document[Members](ctx, c, "/v1/members")
}

// Change changes who is a member, or has a vote. It returns when that is agreed;
// leave when the node has begun to. Errors: ErrRefused, those of the network.
func (c *Client) Change(ctx context.Context, change Change) error {
	text, err := json.Marshal(change)
	if err != nil {
		return fmt.Errorf("admin: %w", err)
	}
	body, err := c.do(ctx, http.MethodPost, "/v1/members", text)
	if err != nil {
		return err
	}
	return body.Close()
}

// Counters asks for /v1/counters.
func (c *Client) Counters(ctx context.Context) (*Counters, error) {
	return document[Counters](ctx, c, "/v1/counters")
}

// Ranges asks for /v1/ranges.
func (c *Client) Ranges(ctx context.Context, lockspace string) ([]Range, error) {
	all, err := document[[]Range](ctx, c, "/v1/ranges?"+url.Values{"lockspace": {lockspace}}.Encode())
	if err != nil {
		return nil, err
	}
	return *all, nil
}

// Locks asks for /v1/locks and calls f for each resource, until f returns an
// error. limit is 1 to MaxLimit, 0: DefaultLimit. truncated says that there
// are more. Errors: ErrRefused, ErrCutOff, that of f, those of the network.
func (c *Client) Locks(ctx context.Context, lockspace string, limit int, f func(*Resource) error) (truncated bool, err error) {
	q := url.Values{"lockspace": {lockspace}}
	if limit != 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	t, err := resourceLines[Trailer](ctx, c, "/v1/locks?"+q.Encode(), f)
	if err != nil {
		return false, err
	}
	return t.Truncated, nil
}

// Dump asks for /v1/dump and calls f for each resource, until f returns an error: of all
// nodes, or as the node that is asked sees them. Errors: as of Locks.
func (c *Client) Dump(ctx context.Context, lockspace string, local bool, f func(*Resource) error) (*DumpTrailer, error) {
	return resourceLines[DumpTrailer](ctx, c, "/v1/dump?"+url.Values{"lockspace": {lockspace}, "local": {strconv.FormatBool(local)}}.Encode(), f)
}

// trailer is the last line of an answer in lines.
type trailer interface{ ended() (end bool, lines int) }

// resourceLines reads an answer of a resource in each line, and a trailer.
func resourceLines[T trailer](ctx context.Context, c *Client, path string, f func(*Resource) error) (*T, error) {
	body, err := c.get(ctx, path)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxLine)
	for seen := 0; lines.Scan(); seen++ {
		t, r := new(T), &Resource{}
		if err := errors.Join(json.Unmarshal(lines.Bytes(), t), json.Unmarshal(lines.Bytes(), r)); err != nil {
			return nil, fmt.Errorf("admin: line %d of the answer: %w", seen+1, err)
		}
		if end, n := (*t).ended(); end {
			if n != seen {
				return nil, fmt.Errorf("%w: %d of %d resources", ErrCutOff, seen, n)
			}
			return t, nil
		}
		if err := f(r); err != nil {
			return nil, err
		}
	}
	return nil, errors.Join(ErrCutOff, lines.Err())
}

func document[T any](ctx context.Context, c *Client, path string) (*T, error) {
	body, err := c.get(ctx, path)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	v := new(T)
	if err := json.NewDecoder(io.LimitReader(body, maxDocument)).Decode(v); err != nil {
		return nil, fmt.Errorf("admin: %s: %w", path, err)
	}
	return v, nil
}

// get gives the body of a good answer; the caller closes it.
func (c *Client) get(ctx context.Context, path string) (io.ReadCloser, error) {
	return c.do(ctx, http.MethodGet, path, nil)
}

func (c *Client) do(ctx context.Context, method, path string, content []byte) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	if len(content) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	var f failure
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxDocument)).Decode(&f); err != nil || f.Error == "" {
		return nil, fmt.Errorf("%w: %s", ErrRefused, resp.Status)
	}
	return nil, fmt.Errorf("%w: %s", ErrRefused, f.Error)
}

// Raw asks for a path as it is, such as /metrics or a profile of /debug/pprof/. The caller
// closes the answer.
func (c *Client) Raw(ctx context.Context, path string) (io.ReadCloser, error) {
	return c.get(ctx, path)
}
