package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"

	"github.com/lockify-dlm/lockify/fence"
)

// tokenHeader carries the token of the lock under which a request is made.
const tokenHeader = "Lock-Token"

// storage keeps texts by name, and takes none under a lock that has had a later holder.
// It lives as long as what it keeps: both are in memory, so that the gate needs no log.
type storage struct {
	gate fence.Gate

	mu    sync.Mutex
	texts map[string]string
}

// serve runs a storage on a port of the loopback interface, and prints its URL.
func serve(ctx context.Context, out io.Writer) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "http://%s\n", l.Addr())
	s := &http.Server{Handler: &storage{texts: map[string]string{}}}
	context.AfterFunc(ctx, func() { s.Close() })
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (s *storage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Path
	switch r.Method {
	case http.MethodGet:
		s.mu.Lock()
		defer s.mu.Unlock()
		io.WriteString(w, s.texts[name])
	case http.MethodPut:
		token, err := strconv.ParseUint(r.Header.Get(tokenHeader), 10, 64)
		if err != nil {
			http.Error(w, tokenHeader+": "+err.Error(), http.StatusBadRequest)
			return
		}
		text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		err = s.gate.Do(name, token, func() error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.texts[name] = string(text)
			return nil
		})
		if err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
		}
	default:
		http.Error(w, "GET or PUT", http.StatusMethodNotAllowed)
	}
}
