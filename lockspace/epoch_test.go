package lockspace

import (
	"reflect"
	"testing"

	"github.com/lockify-dlm/lockify/wire"
)

// TestCloneMsg: a message that is kept for later shares no memory with the one
// that came, which lies in a receive buffer.
func TestCloneMsg(t *testing.T) {
	var m wire.Msg
	v := reflect.ValueOf(&m).Elem()
	slices := 0
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Slice {
			f.Set(reflect.MakeSlice(f.Type(), 8, 8))
			slices++
		}
	}
	if slices == 0 {
		t.Fatal("no slices in a message")
	}
	c := cloneMsg(&m)
	w := reflect.ValueOf(&c).Elem()
	for i := range v.NumField() {
		f, g := v.Field(i), w.Field(i)
		if f.Kind() == reflect.Slice && (g.Len() != 8 || f.Pointer() == g.Pointer()) {
			t.Errorf("%s is not copied", v.Type().Field(i).Name)
		}
	}
}
