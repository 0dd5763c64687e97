package tools

import (
	"os"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// TestGrafana: the dashboard is one by Grafana's own types: each field of it, its panels'
// options, and its queries is one that there is, and has a value that may be.
func TestGrafana(t *testing.T) {
	plugins.RegisterDefaultPlugins()
	text, err := os.ReadFile("../deploy/grafana/lockify.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard.Dashboard
	for _, err := range []error{d.UnmarshalJSONStrict(text), d.Validate()} {
		if err != nil && err.Error() != "" { // a list of none is an error, too
			t.Error(err)
		}
	}
	if len(d.Panels) < 10 {
		t.Errorf("%d panels", len(d.Panels))
	}
}
