package passporttest

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// Truncated ends the connection in the middle of an answer.
func Truncated() Fault {
	return spoiled("truncated", func(w http.ResponseWriter, g grant) {
		body := marshal(g)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write(body[:len(body)/2])
		_ = http.NewResponseController(w).Flush()
		abort()
	})
}

// Oversized answers with a good token in an answer of size bytes; 0 means
// 64 KiB and one byte.
func Oversized(size int) Fault {
	if size == 0 {
		size = 64<<10 + 1
	}
	return spoiled("oversized", func(w http.ResponseWriter, g grant) {
		g.Padding = "."
		g.Padding += strings.Repeat(".", max(0, size-len(marshal(g))))
		writeJSON(w, http.StatusCreated, g)
	})
}

// WrongAccount answers with a token for another account, and says so in the
// answer and, where Config.TokenFormat has a claim for it, in the token; "" is the
// organization. The token is good: who uses it acts for that account.
func WrongAccount(id string) Fault {
	return misissued("wrong account", id, func(*grant, ask) {})
}

// WrongAccountInToken is WrongAccount with an answer that names the account
// that was asked for.
func WrongAccountInToken(id string) Fault {
	return misissued("wrong account in token", id, func(g *grant, ask ask) { g.name(ask.account) })
}

// WrongAccountInAnswer answers with the right token, in an answer that names
// another account.
func WrongAccountInAnswer(id string) Fault {
	return spoiled("wrong account in answer", func(w http.ResponseWriter, g grant) {
		g.name(id)
		writeJSON(w, http.StatusCreated, g)
	})
}

// misissued is a fault with a token for another account.
func misissued(name, id string, change func(*grant, ask)) Fault {
	return inOrder(name, func(s *Server, w http.ResponseWriter, _ *http.Request, ask ask) {
		g := s.grant(ask, id)
		change(&g, ask)
		writeJSON(w, http.StatusCreated, g)
	})
}

// MixUp takes two requests, and gives each the other's answer. The first waits
// for the second.
func MixUp() Fault {
	f := inOrder("mix-up", func(s *Server, w http.ResponseWriter, r *http.Request, ask ask) {
		writeJSON(w, http.StatusCreated, s.mixer.swap(r.Context(), s.grant(ask, ask.account)))
	})
	f.uses = 2
	return f
}

// A mixer swaps the answers of two requests.
type mixer struct {
	mu    sync.Mutex
	first *mixed
}

type mixed struct {
	mine   grant
	theirs chan grant
}

func (m *mixer) swap(ctx context.Context, mine grant) grant {
	m.mu.Lock()
	if first := m.first; first != nil {
		m.first = nil
		m.mu.Unlock()
		first.theirs <- mine
		return first.mine
	}
	me := &mixed{mine, make(chan grant, 1)}
	m.first = me
	m.mu.Unlock()
	select {
	case theirs := <-me.theirs:
		return theirs
	case <-ctx.Done():
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.first == me {
			m.first = nil
		}
		abort()
		return grant{}
	}
}

// spoiled is a fault of the answer to a request that is in order.
func spoiled(name string, write func(http.ResponseWriter, grant)) Fault {
	return inOrder(name, func(s *Server, w http.ResponseWriter, _ *http.Request, ask ask) {
		write(w, s.grant(ask, ask.account))
	})
}

// inOrder is a fault that a request meets only if it is in order: any other is
// refused as usual.
func inOrder(name string, serve func(*Server, http.ResponseWriter, *http.Request, ask)) Fault {
	return Fault{name: name, serve: func(s *Server, w http.ResponseWriter, r *http.Request, ask ask) {
		if !s.refuses(w, ask) {
			serve(s, w, r, ask)
		}
	}}
}

// A Malformation is a way in which an answer is no token, or looks like none. A
// [tokensource.Source] refuses all but UndecodableToken, which may be an opaque
// token, and ExpiresNever, since what an exp means is for the platform to say.
type Malformation string

// The malformations.
const (
	NotJSON             Malformation = "not JSON"
	EmptyToken          Malformation = "empty token"
	TokenWithNewline    Malformation = "token with newline"
	UndecodableToken    Malformation = "three parts that do not decode"
	ExpiredBeforeIssued Malformation = "exp before iat"
	ExpiresNever        Malformation = "exp in the year 292277026596"
)

// Malformations returns all of them.
func Malformations() []Malformation {
	return []Malformation{
		NotJSON, EmptyToken, TokenWithNewline,
		UndecodableToken, ExpiredBeforeIssued, ExpiresNever,
	}
}

// Malformed answers 201 with something that is no token. The resource API
// takes none of them.
func Malformed(m Malformation) Fault {
	return inOrder(string(m), func(s *Server, w http.ResponseWriter, _ *http.Request, ask ask) {
		token := s.malformed(m, ask)
		if m == NotJSON {
			write(w, http.StatusCreated, "application/json", []byte("token="+token))
			return
		}
		writeJSON(w, http.StatusCreated, ask.grant(ask.account, token))
	})
}

// malformed returns a token that is none, and is not in the ledger.
func (s *Server) malformed(m Malformation, ask ask) string {
	claims := s.claims(s.newToken(ask.account), ask.serverKey)
	switch m {
	case EmptyToken:
		return ""
	case TokenWithNewline:
		return s.sign(claims) + "\r\nX-Injected: yes"
	case UndecodableToken:
		return "three.parts.undecodable"
	case ExpiredBeforeIssued:
		claims["exp"], claims["iat"] = claims["iat"], claims["exp"]
	case ExpiresNever:
		claims["exp"] = json.Number("9223372036854775807")
	case NotJSON:
	}
	return s.sign(claims)
}
