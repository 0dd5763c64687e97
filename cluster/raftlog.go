package cluster

import "fmt"

// raftPanic is how Raft gives up: its log and what it is told do not fit.
type raftPanic struct{ text string }

// guard turns that into an error, so that one voter with a spoilt store does not
// take the daemon's locks with it.
func (s *Server) guard(do func() error) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case raftPanic:
			err = fmt.Errorf("cluster: voter %#x gives up, its store does not fit the others': %s", s.cfg.Store, p.text)
		default:
			panic(p)
		}
	}()
	return do()
}

// raftLogger tells Raft's log to a function.
type raftLogger struct {
	logf func(format string, args ...any)
}

func (l raftLogger) printf(format string, v ...any) {
	if l.logf != nil {
		l.logf("raft: "+format, v...)
	}
}

func (l raftLogger) Debug(...any)          {}
func (l raftLogger) Debugf(string, ...any) {}
func (l raftLogger) Info(v ...any)         { l.printf("%s", fmt.Sprint(v...)) }
func (l raftLogger) Warning(v ...any)      { l.printf("%s", fmt.Sprint(v...)) }
func (l raftLogger) Error(v ...any)        { l.printf("%s", fmt.Sprint(v...)) }
func (l raftLogger) Fatal(v ...any)        { panic(raftPanic{fmt.Sprint(v...)}) }
func (l raftLogger) Panic(v ...any)        { panic(raftPanic{fmt.Sprint(v...)}) }

func (l raftLogger) Infof(format string, v ...any)    { l.printf(format, v...) }
func (l raftLogger) Warningf(format string, v ...any) { l.printf(format, v...) }
func (l raftLogger) Errorf(format string, v ...any)   { l.printf(format, v...) }
func (l raftLogger) Fatalf(format string, v ...any)   { panic(raftPanic{fmt.Sprintf(format, v...)}) }
func (l raftLogger) Panicf(format string, v ...any)   { panic(raftPanic{fmt.Sprintf(format, v...)}) }
