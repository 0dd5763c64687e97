package admin

import (
	"net/http"
)

// Settings is the answer to /v1/config: with what the daemon runs, without secrets.
type Settings struct {
	Version  string    `json:"version"`
	Go       string    `json:"go"`
	Settings []Setting `json:"settings"`
}

// Setting is a setting in force.
type Setting struct {
	Key   string `json:"key"`
	Value string `json:"value"` // "(hidden)": it is set, and may have secrets in it
	From  string `json:"from"`  // default, a place in the file, a variable, a flag
}

// config answers /v1/config.
func (s *Server) config(w http.ResponseWriter, _ *http.Request) {
	if s.settings == nil {
		fail(w, http.StatusNotFound, "this node does not say how it is configured")
		return
	}
	writeJSON(w, http.StatusOK, s.settings())
}
