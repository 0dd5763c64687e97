package nearest

import "testing"

func TestEdits(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"abc", "acb", 2}, {"shrads", "shards", 2}, {"kitten", "sitting", 3}} {
		if got := edits(tc.a, tc.b); got != tc.want {
			t.Errorf("edits(%q, %q) = %d, want %d", tc.a, tc.b, got, tc.want)
		}
	}
}

func TestSuggest(t *testing.T) {
	for wrote, want := range map[string]string{
		"stroage": "; did you mean --storage?", "storages": "; did you mean --storage?", "s": "", "db": "; did you mean --dbs?", "": "", "other": "",
	} {
		if got := Suggest(wrote, []string{"storage", "dbs"}, "--"); got != want {
			t.Errorf("%q: %q, want %q", wrote, got, want)
		}
	}
}
