package core

// Authenticated says whether the host has authenticated itself, or need not.
func (s *Session) Authenticated() bool { return s.authenticated }
