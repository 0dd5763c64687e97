package admin

import (
	"embed"
	"net/http"
)

// The page for people: plain HTML, a style and a script that asks the documents of this
// server again and again. It needs nothing from elsewhere, and runs nothing that is not in
// these files: names of locks are whatever programs say (the policy below, and the script
// only ever makes text of them).
//
//go:embed web
var webFiles embed.FS

// webPolicy is the Content-Security-Policy of the page.
const webPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// page answers with a file of the page.
func page(file string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", webPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache") // the next version of lockifyd has another one
		http.ServeFileFS(w, r, webFiles, "web/"+file)
	}
}

// pages are the files by their addresses.
var pages = map[string]string{
	"/{$}":           "page.html",
	"/web/style.css": "style.css",
	"/web/page.js":   "page.js",
	"/web/chart.js":  "chart.js",
	"/web/graph.js":  "graph.js",
}
