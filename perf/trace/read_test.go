package trace

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// formatRow is the inverse of parseRow.
func formatRow(ev Event) string {
	if ev.Kind == KindPhase {
		detail := fmt.Sprintf("%v:%s", ev.Mark, ev.Label)
		if ev.Mark != MarkEnd {
			detail += fmt.Sprintf(":%d", ev.Arg)
		} else {
			detail += ":"
		}
		return fmt.Sprintf("%d,%d,%v,,,,%s,", ev.TimeUS, ev.Node, ev.Kind, strings.TrimSuffix(detail, ":"))
	}
	id, mode, detail := fmt.Sprintf("%x", ev.LockID), ev.Mode.String(), ""
	switch ev.Kind {
	case KindLock, KindConvert:
		detail = ev.Flags.String()
	case KindUnlock:
		mode, detail = "", ev.Flags.String()
	case KindAst:
		mode, detail = "", fmt.Sprintf("%v:%d", ev.Sb, ev.Status)
	case KindSend, KindRecv:
		id, detail = fmt.Sprint(ev.LockID), fmt.Sprintf("%v:to%d", ev.Msg, ev.From)
	}
	return fmt.Sprintf("%d,%d,%v,%d,%s,%s,%s,%s", ev.TimeUS, ev.Node, ev.Kind, ev.Lockspace, id, mode, detail, hex.EncodeToString(ev.Name))
}

func TestNoRowLosesAnything(t *testing.T) {
	for _, name := range Names() {
		tr := mustLoad(t, name)
		f, err := embedded.Open("data/" + name + suffix)
		if err != nil {
			t.Fatal(err)
		}
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		sc := bufio.NewScanner(z)
		sc.Scan() // header
		for _, ev := range tr.Events {
			sc.Scan()
			if got := formatRow(ev); got != sc.Text() {
				t.Fatalf("%s:%d: read as %s\nis %s", name, ev.Line, got, sc.Text())
			}
		}
		if sc.Scan() {
			t.Errorf("%s: rows not read", name)
		}
	}
}

func TestEmbeddedRecordings(t *testing.T) {
	want := []string{"gfs2-1node", "gfs2-2node", "ocfs2-2node"}
	if got := Names(); !reflect.DeepEqual(got, want) {
		t.Errorf("names %v, want %v", got, want)
	}
	rows := map[string]int{"gfs2-1node": 4585, "gfs2-2node": 22577, "ocfs2-2node": 21753}
	for name, n := range rows {
		if tr := mustLoad(t, name); len(tr.Events) != n {
			t.Errorf("%s: %d rows, want %d", name, len(tr.Events), n)
		}
	}
}

// zipped compresses a trace: the header and these rows.
func zipped(rows ...string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, columns+"\n"+strings.Join(rows, "\n"))
	z.Close()
	return b.Bytes()
}

func TestLoadFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mine.csv.gz")
	if err := os.WriteFile(path, zipped("5,3,phase,,,,OP:create:17,"), 0o600); err != nil {
		t.Fatal(err)
	}
	tr, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	want := &Trace{Name: "mine", Nodes: []int{3}, Events: []Event{{
		Line: 2, TimeUS: 5, Node: 3, Kind: KindPhase, Mode: NoMode, Mark: MarkOp, Label: "create", Arg: 17,
	}}}
	if !reflect.DeepEqual(tr, want) {
		t.Errorf("got %+v, want %+v", tr, want)
	}
	if _, err := Load("nothing-like-it"); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "gfs2-2node") {
		t.Errorf("missing file: %v", err)
	}
}

func TestReadErrors(t *testing.T) {
	good := "5,1,lock,9,1,PR,VALBLK,41"
	for _, c := range []struct {
		what string
		data []byte
		want string
	}{
		{"no gzip", []byte("time_us"), "x: "},
		{"cut off", zipped(good)[:40], "unexpected EOF"},
		{"empty", zipped(), "no rows"},
		{"bad row", zipped(good, "5,1,lock,9,1,PX,,41"), `x:3: bad trace row: mode "PX"`},
		{"clock", zipped(good, "4,2,phase,,,,PHASE_END:a,", "4,1,ast,9,1,,:0,41"), "x:4: bad trace row: node 1's clock runs backwards"},
		{"long row", zipped(good, strings.Repeat("1", MaxLine+1)), "x:3: "},
	} {
		_, err := Read("x", bytes.NewReader(c.data))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.what, err, c.want)
		}
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, "time,node\n")
	z.Close()
	if _, err := Read("x", &b); !errors.Is(err, ErrRow) || !strings.Contains(err.Error(), "x:1:") {
		t.Errorf("header: %v", err)
	}
}

func TestRowErrors(t *testing.T) {
	for row, want := range map[string]string{
		"":                                                    "1 columns",
		"5,1,lock,9,1,PR,VALBLK":                              "7 columns",
		"5,1,lock,9,1,PR,VALBLK,41,":                          "9 columns",
		"-5,1,lock,9,1,PR,VALBLK,41":                          "time_us",
		"5,0,lock,9,1,PR,VALBLK,41":                           "node",
		"5,65536,lock,9,1,PR,VALBLK,41":                       "node",
		"5,1,look,9,1,PR,VALBLK,41":                           "event",
		"5,1,,9,1,PR,VALBLK,41":                               "event",
		"5,1,lock,,1,PR,VALBLK,41":                            "lockspace",
		"5,1,lock,9,g,PR,VALBLK,41":                           "lkid",
		"5,1,send,9,a,PR,LOOKUP:to1,41":                       "lkid",
		"5,1,lock,9,1,IV,VALBLK,41":                           "mode",
		"5,1,unlock,9,1,PR,VALBLK,41":                         "mode",
		"5,1,lock,9,1,PR,VALBLOCK,41":                         "request flag",
		"5,1,lock,9,1,PR,VALBLK|VALBLK,41":                    "repeated",
		"5,1,lock,9,1,PR,VALBLK|0x8,41":                       "repeated",
		"5,1,lock,9,1,PR,0x200000,41":                         "unknown",
		"5,1,lock,9,1,PR,VALBLK,4":                            "name_hex",
		"5,1,lock,9,1,PR,VALBLK,":                             "name_hex",
		"5,1,recv,9,1,PR,LOOKUP:to2,41":                       "name_hex",
		"5,1,ast,9,1,,0,41":                                   "sbflags:status",
		"5,1,ast,9,1,,:7,41":                                  "status 7",
		"5,1,ast,9,1,,:,41":                                   "status",
		"5,1,ast,9,1,,SPOILT:0,41":                            "status block flag",
		"5,1,bast,9,1,EX,x,41":                                "bast",
		"5,1,send,9,1,EX,LOOKUP:2,41":                         "TYPE:toN",
		"5,1,send,9,1,EX,LOOKUP:to0,41":                       "TYPE:toN",
		"5,1,send,9,1,EX,LOOKDOWN:to1,41":                     "message type",
		"5,1,send,9,1,EX,LOOKUP:to2,41":                       "sender",
		"5,1,recv,9,1,EX,LOOKUP:to1,":                         "sender",
		"5,1,phase,9,,,OP:create:1,":                          "lock's columns",
		"5,1,phase,,,,OPS:create:1,":                          "mark",
		"5,1,phase,,,,OP::1,":                                 "phase name",
		"5,1,phase,,,,OP:create,":                             "number",
		"5,1,phase,,,,OP:create:-1,":                          "number",
		"5,1,phase,,,,PHASE_BEGIN:c:99999999,":                "number",
		"5,1,phase,,,,PHASE_END:create:1,":                    "number",
		"5,1,lock,9,1,PR,," + strings.Repeat("41", MaxName+1): "name_hex",
	} {
		_, err := parseRow(row)
		if !errors.Is(err, ErrRow) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", row, err, want)
		}
	}
}

// FuzzParseRow: what is accepted can be written down and read again as the
// same event.
func FuzzParseRow(f *testing.F) {
	for _, row := range []string{
		"9510849,1,phase,,,,PHASE_BEGIN:mount:1,",
		"24650,2,phase,,,,OP:create:17,",
		"13393107,1,phase,,,,PHASE_END:umount,",
		"9639470,1,lock,1575360851,1,NL,VALBLK,2020312020",
		"1,2,convert,1404315992,1f,EX,NOQUEUE|CONVERT|NODLCKWT|0x100000,4d30",
		"1,2,unlock,1404315992,1f,,VALBLK,4d30",
		"1,2,ast,1404315992,1f,,VALNOTVALID:-65538,4d30",
		"1,2,bast,1404315992,1f,EX,,4d30",
		"1,2,send,1404315992,31,IV,REQUEST_REPLY:to2,4d30",
		"1,2,recv,1404315992,31,IV,REQUEST_REPLY:to1,",
	} {
		f.Add(row)
	}
	f.Fuzz(func(t *testing.T, row string) {
		ev, err := parseRow(row)
		if err != nil {
			if !errors.Is(err, ErrRow) {
				t.Fatalf("%q: %v", row, err)
			}
			return
		}
		again, err := parseRow(formatRow(ev))
		if err != nil || !reflect.DeepEqual(ev, again) {
			t.Fatalf("%q: %+v, written %q, read %+v, %v", row, ev, formatRow(ev), again, err)
		}
	})
}
